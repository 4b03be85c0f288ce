"""Whole answers that are written anew here: asked for streamed, so that a model at work is heard, and put together."""

from collections.abc import Callable
from typing import Any

import pytest

from llm.models import Credential, Model, Usage
from llm.providers import gathered
from llm.providers.base import Chunk, StreamBroke

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, World, account, model, post
from .upstream import Asked, Script, chat, chunk, fails, says, sends, stream

pytestmark = pytest.mark.django_db(transaction=True)

RESPONSES = "/v1/responses"
WORDS = [f"word{number}" for number in range(6)]
QUESTIONS: dict[str, dict[str, Any]] = {
    CHAT: ASK, MESSAGES: ASK, RESPONSES: {"model": "doubao-pro", "input": "Hi", "max_output_tokens": 100},
}  # fmt: skip
# Doors at a provider that speaks chat, where what is asked is translated.
TRANSLATED = pytest.mark.parametrize("door", [MESSAGES, RESPONSES])


def words(door: str, answer: Answer) -> str:
    """What a whole answer says."""
    said = answer.json
    if door == MESSAGES:
        return "".join(block["text"] for block in said["content"])
    if door == RESPONSES:
        return "".join(part["text"] for item in said["output"] for part in item["content"])
    return str(said["choices"][0]["message"]["content"])


@TRANSLATED
def test_a_slow_model_is_heard_and_not_cut_off(rich: World, door: str, books_agree: Callable[[], None]) -> None:
    """All of it takes longer than the account's time-out, and longer than the model may take to begin."""
    Credential.objects.update(timeout_s=1)
    Model.objects.update(patience_s=1)
    rich.upstream.otherwise = stream(WORDS, pause_s=0.4)
    answer = post(rich, door, QUESTIONS[door])
    assert (answer.status, words(door, answer).split()) == (200, WORDS)
    (asked,) = rich.upstream.asked
    assert (asked.body["stream"], asked.body["stream_options"]["include_usage"]) == (True, True)
    usage = rich.usage()
    assert (usage.streamed, usage.usage_source, usage.quota, usage.outcome) == (False, "provider", 1500, "ok")
    books_agree()


def test_what_passes_through_is_asked_whole(rich: World) -> None:
    assert words(CHAT, post(rich, CHAT, ASK)) == "Hello there"
    assert "stream" not in rich.upstream.asked[0].body


@TRANSLATED
@pytest.mark.parametrize("begun", [False, True], ids=["before the first word", "after it"])
def test_a_model_that_falls_silent_is_given_up_and_costs_nothing(
    rich: World, door: str, begun: bool, books_agree: Callable[[], None]
) -> None:
    Credential.objects.update(timeout_s=1)
    Model.objects.update(patience_s=1)
    rich.upstream.otherwise = stream(WORDS, pause_s=5) if begun else stream(WORDS, first_after_s=5)
    answer = post(rich, door, {**QUESTIONS[door], "fallbacks": ["doubao-lite"]})
    assert answer.status == 504
    assert (len(rich.upstream.asked), rich.usage().quota) == (1, 0)
    books_agree()


@TRANSLATED
@pytest.mark.parametrize("how", [{"breaks_after": 2}, {"error_after": 2}, {"breaks_after": 0}], ids=str)
def test_half_an_answer_is_none(rich: World, door: str, how: dict[str, int], books_agree: Callable[[], None]) -> None:
    """It is free, and nobody is asked again."""
    rich.upstream.scripts = [stream(WORDS, **how)]
    answer = post(rich, door, {**QUESTIONS[door], "fallbacks": ["doubao-lite"]})
    assert answer.status == 502
    assert "error" in answer.json
    assert (len(rich.upstream.asked), rich.usage().quota, rich.usage().outcome) == (1, 0, "failed")
    books_agree()


@TRANSLATED
def test_content_that_is_refused_in_the_middle_is_the_requests_fault(rich: World, door: str) -> None:
    refused = b'data: {"error":{"message":"not this","code":"SensitiveContentDetected"}}\n\n'
    rich.upstream.scripts = [sends(chunk({"content": "Hel"}), refused)]
    assert post(rich, door, QUESTIONS[door]).status == 400


@TRANSLATED
def test_who_did_not_begin_is_asked_again(rich: World, door: str, books_agree: Callable[[], None]) -> None:
    overloaded = sends(b'event: error\ndata: {"error":{"message":"overloaded","type":"overloaded_error"}}\n\n')
    rich.upstream.scripts = [fails(503), overloaded]
    answer = post(rich, door, QUESTIONS[door])
    assert (answer.status, words(door, answer).strip(), rich.usage().tries) == (200, "Hello there", 3)
    books_agree()


# --- Where there are no streams --------------------------------------------------------------------------------------
def whole_only(status: int, text: str) -> Script:
    """Refuses to stream, as some accounts must not and some models cannot."""

    async def answer(asked: Asked) -> Any:
        return await (fails(status, text) if asked.body.get("stream") else chat())(asked)

    return answer


REFUSALS = {
    "an account": (400, "Your organization must be verified to stream this model."),
    "a model": (422, "This model does not support streaming"),
    "the usage": (400, "Unknown field: stream_options"),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_who_refuses_streams_is_asked_whole_and_remembered(
    rich: World, refusal: tuple[int, str], books_agree: Callable[[], None]
) -> None:
    rich.upstream.otherwise = whole_only(*refusal)

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post(MESSAGES, ASK) for _ in range(3)]

    answers = rich.play(scenario)
    assert [words(MESSAGES, answer) for answer in answers] == ["Hello there"] * 3
    assert [bool(asked.body.get("stream")) for asked in rich.upstream.asked] == [True, False, False, False]
    assert set(Usage.objects.values_list("quota", "tries", "outcome")) == {(1500, 1, "ok")}
    books_agree()


def test_another_accounts_streams_are_asked_for_all_the_same(rich: World) -> None:
    account(rich, "second", priority=5)

    async def scenario(w: World) -> None:
        w.upstream.scripts = [whole_only(*REFUSALS["an account"]), chat()]
        await w.client.post(MESSAGES, ASK)
        await w.client.post(MESSAGES, {**ASK, "model": "doubao-lite"})

    rich.play(scenario)
    assert [bool(asked.body.get("stream")) for asked in rich.upstream.asked] == [True, False, True]


@pytest.mark.parametrize("text", ["messages too strange", "upstream error: no such tool"])
def test_a_refusal_of_something_else_is_one(rich: World, text: str) -> None:
    rich.upstream.otherwise = fails(400, text)
    assert post(rich, MESSAGES, ASK).status == 400
    assert len(rich.upstream.asked) == 1


WHOLE = {
    "claude": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "s"}, {"type": "text", "text": "Hello"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use", "usage": {"input_tokens": 10, "output_tokens": 20},
    },
    "responses": {
        "id": "resp_1", "object": "response", "status": "completed", "model": "only-id", "error": None,
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
            {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Hello"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "toolu_1", "name": "f", "arguments": '{"a":1}'},
        ],
        "usage": {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30},
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_provider_that_never_streams_is_understood(
    claude: World, kind: str, streamed: bool, books_agree: Callable[[], None]
) -> None:
    if kind == "responses":
        model("only", responses_api="only")
    claude.upstream.otherwise = says(WHOLE[kind])
    name = "claude" if kind == "claude" else "only"
    answer = post(claude, CHAT, {**CLAUDE, "model": name, "stream": streamed})
    assert answer.status == 200, answer.body
    if streamed:
        delta = {
            key: value for each in answer.events[:-1] for c in each["choices"] for key, value in c["delta"].items()
        }
        assert answer.text == "Hello"
        assert delta["tool_calls"][0]["index"] == 0
    else:
        (choice,) = answer.json["choices"]
        said = choice["message"]
        assert (said["content"], said["reasoning_content"], choice["finish_reason"]) == ("Hello", "Hm", "tool_calls")
        (call,) = said["tool_calls"]
        assert (call["id"], call["function"]["name"]) == ("toolu_1", "f")
        assert call["function"]["arguments"].replace(" ", "") == '{"a":1}'
        assert answer.json["usage"]["total_tokens"] == 30
    assert (len(claude.upstream.asked), claude.usage().output_tokens, claude.usage().usage_source) == (
        1,
        20,
        "provider",
    )
    books_agree()


# --- What comes of the chunks ----------------------------------------------------------------------------------------
def put_together(*chunks: dict[str, Any]) -> dict[str, Any]:
    answer = gathered.GatheredAnswer()
    for each in chunks:
        answer.add(Chunk(chunk(**each)[6:].strip(), True))
    (choice,) = answer.completion().body["choices"]
    found: dict[str, Any] = choice
    return found


def test_calls_come_in_pieces_and_in_turns() -> None:
    pieces = [
        [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}],
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x'}, "extra_content": {"signed": "s"}}],
        [{"index": 1, "function": {"arguments": "{}"}}, {"index": 0, "id": "", "function": {"arguments": '":1}'}}],
    ]
    choice = put_together(
        *({"delta": {"tool_calls": calls}} for calls in pieces), {"delta": {}, "finish": "tool_calls"}
    )
    first = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    second = {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}
    assert choice["message"]["tool_calls"] == [{**first, "extra_content": {"signed": "s"}}, second]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")


def test_all_that_is_said_is_kept() -> None:
    pieces: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "a"},
        {"reasoning_content": "b", "thinking_blocks": [{"type": "thinking", "thinking": "ab"}]},
        {"content": "Hel", "annotations": [{"url": "x"}]},
        {"content": "lo", "thinking_blocks": [{"type": "redacted_thinking", "data": "z"}], "refusal": None},
    ]
    message = put_together(*({"delta": delta} for delta in pieces))["message"]
    assert (message["role"], message["content"], message["reasoning_content"]) == ("assistant", "Hello", "ab")
    assert [block["type"] for block in message["thinking_blocks"]] == ["thinking", "redacted_thinking"]
    assert message["annotations"] == [{"url": "x"}]
    assert put_together({"delta": {"role": "assistant"}, "finish": "stop"})["message"]["content"] == ""


def test_words_between_parts_of_other_kinds_are_kept() -> None:
    parts = [
        {"type": "text", "text": "Hel"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "lo"},
    ]
    choice = put_together(
        {"delta": {"role": "assistant", "content": ""}}, {"delta": {"content": parts}, "finish": "stop"}
    )
    assert choice["message"]["content"] == "Hello"


def test_an_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "MOST_BYTES", 1000)
    answer = gathered.GatheredAnswer()
    large = Chunk(b'{"choices":[]}', True, text="x" * 600)
    answer.add(large)
    with pytest.raises(StreamBroke, match="larger than"):
        answer.add(large)
