"""Models that answer OpenAI's Responses, or nothing else, as callers meet them: whoever asks in whatever dialect is
answered in it, and pays what the answer says it used."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm.models import Credential, Model
from llm.providers.base import RESPONSES, Unsupported
from llm.relay.call import Call, Caller
from llm.relay.engine import engine
from llm.relay.errors import CallFailed
from llm.relay.operations import CHAT as CHAT_CALL
from llm.relay.questions import Addressee, Question
from llm.relay.router import Priority, RoutingRequest
from llm.relay.snapshot import read_now
from tests.operators import errors
from tests.vectors import load

from .conftest import ASK, CHAT, MESSAGES, World, account, model, post
from .upstream import Script, chat, says, sends

pytestmark = pytest.mark.django_db(transaction=True)

STREAMS: dict[str, list[dict[str, Any]]] = load("responses/streams")
CODEX = {**ASK, "model": "codex"}
TOOLS = [{"type": "function", "function": {"name": "exec_command", "parameters": {"type": "object"}}}]
# What every stream of the vectors says it used, in quota at 50 a token.
QUOTA = 120 * 50


def blocks(name: str) -> list[bytes]:
    return [b"event: %b\ndata: %b\n\n" % (said["type"].encode(), json.dumps(said).encode()) for said in STREAMS[name]]


def streams(name: str, **more: Any) -> Script:
    return sends(*blocks(name), **more)


@pytest.fixture
def codex(rich: World) -> World:
    """`codex` answers nothing but Responses, at an OpenAI-like account that nothing is known of."""
    account(rich, "gateway", provider="openai")
    model("codex", provider="openai", provider_model_id="gpt-4o", responses_api="only")
    return rich


# --- Asked in other dialects -----------------------------------------------------------------------------------------
def test_a_chat_is_put_in_responses_and_charged(codex: World, books_agree: Callable[[], None]) -> None:
    codex.upstream.scripts = [says(STREAMS["two tool calls"][-1]["response"])]
    answer = post(codex, CHAT, {**CODEX, "tools": TOOLS, "max_tokens": 10**6})
    message = answer.json["choices"][0]["message"]
    assert [call["id"] for call in message["tool_calls"]] == ["call_1", "call_2"]
    assert answer.json["model"] == "codex"
    asked = codex.upstream.asked[0]
    assert (asked.path, asked.body["store"], asked.body["max_output_tokens"]) == ("/v1/responses", False, 4096)
    usage = codex.usage()
    assert (usage.quota, usage.usage_source, usage.kinds["cache_read"]) == (QUOTA, "provider", 60)
    books_agree()


def test_a_chat_is_streamed(codex: World, books_agree: Callable[[], None]) -> None:
    codex.upstream.scripts = [streams("tool call after reasoning")]
    told = post(codex, CHAT, {**CODEX, "tools": TOOLS, "stream": True}).events
    assert told[-1] == "[DONE]"
    assert {said["model"] for said in told[:-1]} == {"codex"}
    assert told[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert codex.upstream.asked[0].body["stream"] is True
    assert (codex.usage().quota, codex.usage().outcome) == (QUOTA, "ok")
    books_agree()


def test_messages_are_answered_through_chat(codex: World) -> None:
    codex.upstream.scripts = [streams("tool call after reasoning")]
    tool = {"name": "exec_command", "input_schema": {"type": "object"}}
    told = post(codex, MESSAGES, {**CODEX, "tools": [tool], "stream": True}).told
    begun = [said["content_block"]["type"] for name, said in told if name == "content_block_start"]
    assert begun == ["thinking", "tool_use"]
    assert told[-2][1]["delta"]["stop_reason"] == "tool_use"
    assert codex.upstream.asked[0].path == "/v1/responses"


def test_what_cannot_be_said_is_refused_by_name(codex: World, books_agree: Callable[[], None]) -> None:
    answer = post(codex, CHAT, {**CODEX, "n": 2})
    assert (answer.status, "n" in answer.json["error"]["message"].split()[-1]) == (400, True)
    assert codex.upstream.asked == []
    assert codex.usage().quota == 0
    books_agree()


def test_a_failure_before_output_is_tried_again_and_one_after_it_is_charged(
    codex: World, books_agree: Callable[[], None]
) -> None:
    failed = {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "Once"}}}
    once = b"data: %b\n\n" % json.dumps(failed).encode()
    codex.upstream.scripts = [sends(*blocks("text")[:2], once), streams("failed in the middle")]
    answer = post(codex, CHAT, {**CODEX, "stream": True})
    assert len(codex.upstream.asked) == 2
    assert b"Half" in answer.body
    assert b"[DONE]" not in answer.body
    assert (codex.usage().outcome, codex.usage().usage_source) == ("failed", "estimate")
    assert codex.usage().output_tokens > 0
    books_agree()


# --- Asked in Responses ----------------------------------------------------------------------------------------------
BODY: dict[str, Any] = {"input": "Hi", "store": False, "max_output_tokens": 100}


def question(body: dict[str, Any] | None = None) -> Question:
    """As the door of Responses puts it."""

    def in_chat(_to: Addressee) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": "Hi"}]}

    return Question({**BODY, **(body or {})}, 5.0, dialect=RESPONSES, in_chat=in_chat)


def ask(world: World, name: str, body: dict[str, Any] | None = None, *, streamed: bool = False) -> tuple[Any, bytes]:
    """Whether it was native, and what came."""

    async def scenario(_world: World) -> tuple[Any, bytes]:
        asked_for = RoutingRequest(frozenset({"chat"}), None, Priority.BALANCED, (name,), "")
        caller = Caller(world.user.pk, "default")
        call = Call(engine(), caller, CHAT_CALL, question(body), asked_for, streamed=streamed)
        if not streamed:
            completed = await call.complete()
            return call.native, completed.result.content
        came: list[bytes] = []

        async def emit(chunk: Any, _model: Any) -> None:
            came.append(chunk.block or b"data: %b\n\n" % chunk.data)

        await call.stream(emit)
        return call.native, b"".join(came)

    found: tuple[Any, bytes] = world.play(scenario)
    return found


@pytest.mark.parametrize("name", ["text", "custom tool", "incomplete: max_output_tokens", "refusal"])
def test_a_stream_passes_through_and_is_charged(codex: World, name: str, books_agree: Callable[[], None]) -> None:
    codex.upstream.scripts = [streams(name)]
    native, came = ask(codex, "codex", {"stream": True, "tools": [{"type": "custom", "name": "x"}]}, streamed=True)
    assert (native, came) == (True, b"".join(blocks(name)))
    assert (codex.usage().quota, codex.usage().usage_source) == (QUOTA, "provider")
    assert codex.upstream.asked[0].body["tools"] == [{"type": "custom", "name": "x"}]
    books_agree()


def test_nothing_reaches_the_caller_of_an_answer_that_only_began(codex: World) -> None:
    overloaded = b'event: error\ndata: {"type":"error","code":"server_is_overloaded","message":"m"}\n\n'
    begun = sends(*blocks("text")[:2], overloaded)
    codex.upstream.scripts = [streams("failed before output: no quota"), begun, streams("text")]
    account(codex, "other", provider="openai")
    account(codex, "third", provider="openai", max_retries=2)
    native, came = ask(codex, "codex", {"stream": True}, streamed=True)
    assert (native, came) == (True, b"".join(blocks("text")))
    assert len(codex.upstream.asked) == 3


@pytest.mark.parametrize(
    ("of_account", "of_model", "path"),
    [
        ("", "", "/v1/responses"),
        ("no", "", "/v1/chat/completions"),
        ("", "never", "/v1/chat/completions"),
        ("no", "only", "/v1/responses"),
    ],
)
def test_what_the_operator_says_of_account_and_model_decides(
    rich: World, of_account: str, of_model: str, path: str
) -> None:
    Credential.objects.update(responses_api=of_account)
    Model.objects.filter(name="doubao-pro").update(responses_api=of_model)
    native = path == "/v1/responses"
    rich.upstream.scripts = [says(STREAMS["text"][-1]["response"]) if native else chat()]
    found, came = ask(rich, "doubao-pro")
    assert (found, rich.upstream.asked[0].path) == (native, path)
    assert (b'"object": "response"' in came) is native


def test_a_custom_tool_goes_to_ark_through_chat(rich: World) -> None:
    Credential.objects.update(responses_api="yes")
    rich.upstream.scripts = [chat()]
    ask(rich, "doubao-pro", {"tools": [{"type": "custom", "name": "x"}]})
    assert rich.upstream.asked[0].path == "/v1/chat/completions"


def test_a_model_at_a_provider_without_responses_is_refused(rich: World) -> None:
    Credential.objects.create(name="claude", provider="claude", base_url=rich.upstream.url, api_key="k")
    model("odd", provider="claude", responses_api="only")
    with pytest.raises(CallFailed) as caught:
        ask(rich, "odd")
    assert isinstance(caught.value.refusal, Unsupported)


# --- What operators say ----------------------------------------------------------------------------------------------
def test_the_catalogue_knows_what_is_said(rich: World) -> None:
    Credential.objects.update(responses_api="yes")
    model("codex", responses_api="only")
    catalogue = read_now()
    assert [spec.account.responses_api for spec in catalogue.credentials.values()] == [True]
    assert (catalogue.models["codex"].responses_api, catalogue.models["doubao-pro"].responses_api) == ("only", "")


def test_an_operator_says_it_in_the_admin(rich: World, browser: Any) -> None:
    page = f"/admin/llm/credential/{rich.credential.pk}/change/"
    assert "Responses API" in browser.get(page).text
    typed = {"enabled": "on", "name": "ark", "timeout_s": "30", "max_retries": "3", "retry_delay_ms": "10"}
    assert browser.post(page, typed | {"responses_api": "no"}).status_code == 302
    rich.credential.refresh_from_db()
    assert rich.credential.responses_api == "no"


def test_a_provider_that_cannot_has_no_model_that_must(rich: World, browser: Any) -> None:
    made = model("odd", provider="claude")
    typed = {"name": "odd", "provider": "claude", "provider_model_id": "x", "capabilities": ["chat"]}
    typed |= {"max_tokens": "1", "cost_per_1k": "0.1", "latency_ms": "1", "quality": "0.5", "responses_api": "only"}
    found = errors(browser.post(f"/admin/llm/model/{made.pk}/change/", typed))
    assert found["responses_api"] == ["This provider has no Responses API."]
