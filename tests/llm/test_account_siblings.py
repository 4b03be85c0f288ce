"""W11, C4, M2, M8: siblings of whose fault it is. What only an account's owner can mend is not the user's mistake and
another account answers; what is his mistake is asked once, stops nobody else, and says nothing about the model."""

from collections.abc import Callable
from typing import Any

import pytest

from llm.models import Credential, Model, Usage
from notifications.models import Alert
from tests.conftest import rarely, sampled

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, STREAM, World, account
from .upstream import Asked, Script, chat, says, sends

pytestmark = pytest.mark.django_db(transaction=True)


def error(message: str, kind: str = "invalid_request_error", code: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


POOR = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."
BARRED = "This organization has been disabled."
# What an account's trouble looks like, and whether it is that nobody paid.
TROUBLES: dict[str, tuple[Script, bool]] = {
    "Anthropic's, through a gateway": (says(error(POOR), 400), True),
    "Anthropic's, barred": (says(error(BARRED), 400), False),
    "DashScope's": (says(error("Access denied, please make sure your account is in good standing.", "Arrearage",
                               "Arrearage"), 400), True),
    "DashScope's, without a code": (says(error("Access denied, please make sure your account is in good standing."),
                                         400), True),
    "Gemini's key": (says([{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                                      "status": "INVALID_ARGUMENT"}}], 400), False),
    "Gemini's key, in an object": (says({"error": {"code": 400, "message": "API Key not found. Please pass a valid API"
                                                   " key.", "status": "INVALID_ARGUMENT"}}, 400), False),
    "Fireworks'": (says(error("Account acme is suspended, possibly due to reaching the monthly spending limit"), 412),
                   True),
    "Zhipu's": (says({"error": {"code": "1113", "message": "余额不足或无可用资源包,请充值。"}}, 429), True),
    "Moonshot's": (says({"error": {"message": "Your account is suspended due to insufficient balance, please recharge",
                                   "type": "exceeded_current_quota_error"}}, 429), True),
    "SiliconFlow's": (says({"code": 30001, "message": "Sorry, your account balance is insufficient"}, 403), True),
    "xAI's": (says({"code": "The caller does not have permission", "error": "Your team has either used all available"
                    " credits or reached its monthly spending limit."}, 403), True),
    "MiniMax's": (says({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}), True),
    "MiniMax's key": (says({"base_resp": {"status_code": 2049, "status_msg": "invalid api key"}}), False),
    "one-api's": (says(error("用户额度不足", "one_api_error", "insufficient_user_quota"), 403), True),
    "Mistral's": (says({"message": "Unauthorized", "request_id": "x"}, 401), False),
    "OpenRouter's": (says({"error": {"code": 402, "message": "Insufficient credits. Add more at openrouter.ai"}}),
                     True),
}  # fmt: skip


@pytest.fixture
def two(world: World) -> World:
    """Two accounts at a provider of OpenAI's protocol; the second is asked after the first."""
    world.give(10**9)
    Credential.objects.update(provider="openai", max_retries=3)
    account(world, "second", provider="openai")
    Model.objects.filter(name="doubao-pro").update(provider="openai")
    return world


def keyed(first: Script) -> Script:
    """The first account's answer; the second answers well."""

    async def answer(asked: Asked) -> Any:
        told = asked.request.headers.get("Authorization", "") + asked.request.headers.get("x-api-key", "")
        return await (chat() if "second" in told else first)(asked)

    return answer


@pytest.mark.parametrize("streamed", [False, *rarely(True)], ids=["whole", "streamed"])
@pytest.mark.parametrize(("script", "unpaid"), sampled(TROUBLES.values(), keep=5), ids=TROUBLES)
def test_Q_W11_what_the_operator_must_mend_is_answered_by_another_account(
    two: World, script: Script, unpaid: bool, streamed: bool, books_agree: Callable[[], None]
) -> None:
    two.upstream.otherwise = keyed(script)

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post(CHAT, STREAM if streamed else ASK) for _ in range(2)]

    answers = two.play(scenario)
    assert [each.status for each in answers] == [200, 200], answers[0].body
    # Asked once, then left alone: the second question goes to the second account at once.
    assert len(two.upstream.asked) == 3
    assert Alert.objects.filter(event="provider_low_balance").exists() == unpaid
    assert list(Usage.objects.values_list("quota", flat=True)) == [1500, 1500]
    books_agree()


def test_Q_C4_an_account_without_credit_is_not_the_users_mistake(claude: World) -> None:
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": POOR}}
    claude.upstream.otherwise = says(said, 400)

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post(MESSAGES, CLAUDE), await w.client.post(CHAT, CLAUDE)]

    for answer in claude.play(scenario):
        assert answer.status == 502
        assert b"credit" not in answer.body
    assert Alert.objects.filter(event="provider_low_balance").exists()


# --- The user's own mistakes -----------------------------------------------------------------------------------------
FLAGGED = {"reasons": ["violence"], "flagged_input": "Say hello", "provider_name": "OpenAI"}
MISTAKES: dict[str, Script] = {
    "OpenRouter's moderation": says({"error": {"code": 403, "message": "Your input was flagged",
                                               "metadata": FLAGGED}}, 403),
    "MiniMax's filter": says({"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}),
    "MiniMax's filter, of the answer": says({"base_resp": {"status_code": 1027, "status_msg": "output sensitive"}}),
    "MiniMax's parameters": says({"base_resp": {"status_code": 2013, "status_msg": "invalid params"}}),
    "a type alone, inside a 200": says(error("This model's maximum context length is 4096 tokens.")),
    "vLLM's, inside a 200": says({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
    "DashScope's filter": says(error("Input data may contain inappropriate content.", "data_inspection_failed",
                                     "data_inspection_failed")),
    "DashScope's filter, by its status": says({"code": "DataInspectionFailed", "message": "inappropriate"}, 400),
    "OpenAI's, inside a 200": says(error("too long", code="context_length_exceeded")),
    "Zhipu's filter": says({"error": {"code": "1301", "message": "输入或生成内容可能包含不安全或敏感内容"}}, 400),
    "words that only look like an account's": says(error(f"Invalid value: '{POOR}'. Supported values are: 'a'."), 400),
    "a key that is the user's own word": says(error("messages[0]: API key not valid. is no role"), 400),
}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, *rarely(True)], ids=["whole", "streamed"])
@pytest.mark.parametrize("script", sampled(MISTAKES.values(), keep=5), ids=MISTAKES)
def test_Q_W11_a_mistake_is_asked_once_and_rests_nobody(
    two: World, script: Script, streamed: bool, books_agree: Callable[[], None]
) -> None:
    two.upstream.scripts = [script]

    async def scenario(w: World) -> list[int]:
        return [(await w.client.post(CHAT, STREAM if streamed else ASK)).status for _ in range(2)]

    assert two.play(scenario) == [400, 200]
    # The next question finds the same account as well as before.
    keys = [asked.request.headers["Authorization"] for asked in two.upstream.asked]
    assert keys == ["Bearer ark-key"] * 2
    assert sorted(Usage.objects.values_list("quota", flat=True)) == [0, 1500]
    books_agree()


EVENTS: dict[str, bytes] = {
    "in an event": b'data: {"error":{"message":"too long","type":"invalid_request_error","code":null}}\n\n',
    "without a prefix": b'{"error":{"message":"too long","type":"invalid_request_error","code":null}}',
    "over several lines": b'{\n "error": {\n  "message": "too long",\n  "type": "invalid_request_error"\n }\n}\n',
    "behind a comment": b': hi\n\n{"error":{"message":"too long","code":"context_length_exceeded"}}\n',
}


@pytest.mark.parametrize("kind", ["text/event-stream", *rarely("text/plain")])
@pytest.mark.parametrize("said", sampled(EVENTS.values(), keep=2), ids=EVENTS)
def test_Q_M3_a_mistake_inside_a_stream_is_told_once(two: World, said: bytes, kind: str) -> None:
    """Gateways that promised events before they knew better."""
    two.upstream.scripts = [sends(said, kind=kind)]
    answer = two.play(lambda w: w.client.post(CHAT, STREAM))
    assert (answer.status, len(two.upstream.asked)) == (400, 1), answer.body
    assert "too long" in answer.json["error"]["message"]
    assert two.usage().quota == 0
