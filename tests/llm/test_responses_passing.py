"""/v1/responses in front of providers that speak it: as it came, but for what would be state at our account."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from llm.dialects.responses import sealed
from llm.models import Credential, KeptResponse, Model, ModelPrice

from .client import Answer
from .conftest import World, account, post
from .test_responses import RESPONSES, follows_the_rules
from .test_responses_upstream import QUOTA, STREAMS, blocks, codex, streams
from .upstream import says, sends

pytestmark = pytest.mark.django_db(transaction=True)

ASK: dict[str, Any] = {"model": "codex", "input": "Say hello", "store": False, "max_output_tokens": 100}
STREAM = {**ASK, "stream": True}
WHOLE: dict[str, Any] = STREAMS["text"][-1]["response"]
SEALED = ["reasoning.encrypted_content"]


def own(name: str, world: World, **changes: str) -> bytes:
    """The events of a vector as they must come down."""
    tag = sealed.tag_of(Credential.objects.get(name="gateway").pk)
    said = b"".join(blocks(name)).replace(b'"model": "gpt-4o"', b'"model": "codex"')
    said = said.replace(b'"vh1:AAAA"', f'"vh1.o.{tag}.vh1:AAAA"'.encode())
    for before, after in changes.items():
        said = said.replace(before.encode(), after.encode())
    return said


@pytest.mark.parametrize("name", ["text", "tool call after reasoning", "refusal", "custom tool", "namespaced tool"])
def test_events_come_down_byte_by_byte_and_the_last_when_all_is_settled(
    codex: World, name: str, books_agree: Callable[[], None]
) -> None:
    codex.upstream.scripts = [streams(name)]
    answer = post(codex, RESPONSES, {**STREAM, "include": SEALED})
    assert answer.body == own(name, codex)
    assert answer.pieces[-1].startswith(b"event: response.completed")
    assert (codex.usage().quota, codex.usage().usage_source, codex.usage().outcome) == (QUOTA, "provider", "ok")
    books_agree()


def test_a_request_goes_up_as_it_came_but_for_what_is_ours(codex: World) -> None:
    codex.upstream.scripts = [says(WHOLE)]
    body = {
        **ASK, "client_metadata": {"a": "b"}, "fallbacks": [], "prompt_cache_key": "k", "zeta": {"a": None},
        "temperature": None, "max_output_tokens": 10**6, "metadata": {"model": "gpt-4o"},
        "tools": [{"type": "custom", "name": "x"}, {"type": "mcp", "server_label": "y"}],
    }  # fmt: skip
    answer = post(codex, RESPONSES, body, headers={"openai-beta": "x", "cookie": "c"})
    assert (answer.status, answer.json["model"], answer.json["store"]) == (200, "codex", False)
    asked = codex.upstream.asked[0]
    expected = {name: value for name, value in body.items() if name not in ("client_metadata", "fallbacks")}
    changed = {"model": "gpt-4o", "max_output_tokens": 4096, "prompt_cache_key": f"{codex.user.pk}-k"}
    assert asked.body == {**expected, **changed}
    assert asked.request.headers["openai-beta"] == "x"
    assert "cookie" not in asked.request.headers
    assert (codex.usage().quota, codex.usage().kinds) == (QUOTA, {"cache_read": 60})


def test_what_is_kept_is_kept_here_and_not_there(codex: World) -> None:
    codex.upstream.scripts = [streams("tool call after reasoning"), says(WHOLE)]
    keep = {name: value for name, value in STREAM.items() if name != "store"}

    async def scenario(w: World) -> list[Answer]:
        first = await w.client.post(RESPONSES, {**keep, "include": SEALED})
        output = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
        second = {**keep, "stream": False, "input": [output], "previous_response_id": "resp_1"}
        return [first, await w.client.post(RESPONSES, second), await w.client.get(f"{RESPONSES}/resp_1")]

    first, second, again = codex.play(scenario)
    assert {event["response"]["store"] for event in first.events if "response" in event} == {True}
    assert b"encrypted_content" not in again.body
    assert [asked.body["store"] for asked in codex.upstream.asked] == [False, False]
    went_up = codex.upstream.asked[1].body
    assert "previous_response_id" not in went_up
    kinds = ["message", "reasoning", "function_call", "function_call_output"]
    assert [item["type"] for item in went_up["input"]] == kinds
    # Sealed for clients, open for whoever sealed it.
    assert went_up["input"][1]["encrypted_content"] == "vh1:AAAA"
    assert second.status == 200, second.body


def test_reasoning_of_another_account_is_left_out_with_the_ids_after_it(codex: World) -> None:
    codex.upstream.scripts = [says(WHOLE)]
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed.seal("o", 10**9, "AAAA")}
    items = [
        {"role": "user", "content": "hi", "id": "msg_0"}, reasoning,
        {"type": "message", "role": "assistant", "content": "Hello", "id": "msg_1"},
        {"role": "user", "content": "again"},
    ]  # fmt: skip
    assert post(codex, RESPONSES, {**ASK, "input": items}).status == 200
    assert [item.get("id") for item in codex.upstream.asked[0].body["input"]] == ["msg_0", None, None]


@pytest.mark.parametrize("kind", ["abort", "told"])
def test_a_stream_that_breaks_ends_with_what_there_is(codex: World, kind: str, books_agree: Callable[[], None]) -> None:
    whole = blocks("failed in the middle")
    codex.upstream.scripts = [sends(*whole) if kind == "told" else sends(*whole[:6], end=False)]
    answer = post(codex, RESPONSES, STREAM)
    follows_the_rules(answer)
    last = answer.events[-1]["response"]
    assert (last["status"], last["error"]["code"], last["model"]) == ("failed", "server_error", "codex")
    assert last["output"][0]["content"][0]["text"] == "Half an ans"
    assert (codex.usage().outcome, codex.usage().output_tokens > 0) == ("failed", True)
    if kind == "abort":
        assert last["usage"]["output_tokens"] == codex.usage().output_tokens
        assert last["output"][0]["status"] == "incomplete"
    books_agree()


@pytest.mark.parametrize("ending", ["says that it failed", "failed and counted", "cut"])
def test_Q_M8_an_answer_that_only_began_is_asked_for_elsewhere_when_it_says_that_it_failed(
    codex: World, ending: str
) -> None:
    account(codex, "other", provider="openai")
    begun, last = blocks("text")[:2], {"status": "failed", "error": {"code": "server_is_overloaded", "message": "m"}}
    used = {"usage": {"input_tokens": 9, "output_tokens": 0}} if ending == "failed and counted" else {}
    said = {"type": "response.failed", "response": {**last, **used}}
    failed = [] if ending == "cut" else [b"event: response.failed\ndata: %b\n\n" % json.dumps(said).encode()]
    codex.upstream.scripts = [sends(*begun, *failed, end=bool(failed)), streams("text")]
    Credential.objects.filter(name="gateway").update(max_retries=0)
    answer = post(codex, RESPONSES, STREAM)
    if ending == "says that it failed":
        assert answer.body == own("text", codex)
    else:
        assert answer.status == (503 if ending == "failed and counted" else 502)
        assert (len(codex.upstream.asked), codex.usage().quota) == (1, 0)


SEARCHING = {**ASK, "tools": [{"type": "web_search"}]}


def test_Q_M6_searches_that_have_no_price_are_refused(codex: World) -> None:
    tools = {"type": "additional_tools", "tools": [{"type": "web_search"}]}
    hidden = {**ASK, "input": [tools, {"role": "user", "content": "hi"}]}

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post(RESPONSES, SEARCHING), await w.client.post(RESPONSES, hidden)]

    for answer in codex.play(scenario):
        assert (answer.status, answer.json["error"]["code"]) == (400, "no_price")
    assert codex.upstream.asked == []


def test_Q_M6_searches_that_have_no_price_stay_behind_where_a_request_can_do_without(codex: World) -> None:
    """Codex sends the tool with every request: refusing would shut it out."""
    own, user = {"type": "custom", "name": "x"}, {"role": "user", "content": "hi"}
    among = {"type": "additional_tools", "tools": [{"type": "web_search_preview"}, own]}
    codex.upstream.otherwise = says(WHOLE)

    async def scenario(w: World) -> list[Answer]:
        body = {**SEARCHING, "tools": [*SEARCHING["tools"], own]}
        return [
            await w.client.post(RESPONSES, body), await w.client.post(RESPONSES, {**ASK, "input": [among, user]}),
        ]  # fmt: skip

    for answer in codex.play(scenario):
        assert (answer.status, answer.headers["x-left-out"]) == (200, "tools.web_search")
    first, second = (asked.body for asked in codex.upstream.asked)
    assert first["tools"] == [own]
    assert second["input"] == [{**among, "tools": [own]}, user]


FORCED = {
    "by its kind": {"type": "web_search"},
    "by its kind of before": {"type": "web_search_preview"},
    "as one of all": "required",
    "as one of the allowed": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
}


@pytest.mark.parametrize("choice", FORCED.values(), ids=FORCED)
def test_a_search_that_an_answer_has_to_make_is_refused_by_name(codex: World, choice: Any) -> None:
    own = {"type": "function", "name": "x", "parameters": {}}
    answer = post(codex, RESPONSES, {**SEARCHING, "tools": [*SEARCHING["tools"], own], "tool_choice": choice})
    assert (answer.status, answer.json["error"]["code"]) == (400, "no_price")
    assert "search" in answer.json["error"]["message"]
    assert (codex.upstream.asked, codex.wallet.held) == ([], 0)


def test_Q_M6_searches_are_charged_as_often_as_was_searched(codex: World, books_agree: Callable[[], None]) -> None:
    priced = Model.objects.get(name="codex")
    for kind, per, price in (("input", 1000, "0.1"), ("output", 1000, "0.1"), ("web_search", 1, "0.01")):
        ModelPrice.objects.create(model=priced, kind=kind, per=per, price=Decimal(price))
    codex.upstream.scripts = [says({**WHOLE, "tool_usage": {"web_search": {"num_requests": 2}}})]
    assert post(codex, RESPONSES, SEARCHING).status == 200
    usage = codex.usage()
    assert (usage.kinds["web_search"], usage.quota) == (2, QUOTA + 2 * 5000)
    books_agree()


def test_who_hangs_up_pays_for_what_was_written(codex: World, books_agree: Callable[[], None]) -> None:
    codex.upstream.scripts = [streams("text", pause_s=0.03)]
    codex.play(lambda w: w.client.post(RESPONSES, {**STREAM, "store": True}, leave_after=2))
    assert (codex.usage().outcome, codex.usage().quota) == ("abandoned", QUOTA)
    assert not KeptResponse.objects.exists()
    books_agree()


def test_answers_have_numbers_and_fields_as_they_came(codex: World) -> None:
    odd = json.dumps({**WHOLE, "new": 1.50, "odd": None}, indent=1).replace("1.5", "1.50").encode()
    codex.upstream.scripts = [sends(odd, kind="application/json")]
    answer = post(codex, RESPONSES, ASK)
    assert answer.body == odd.replace(b'"model": "gpt-4o"', b'"model": "codex"', 1)


__all__ = ["codex"]
