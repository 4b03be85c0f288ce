"""W9, W12, W14, M5, C1, C5: siblings in how a question is put to another dialect, and in how requests come. What can be
said arrives; what cannot is refused by name."""

import asyncio
import json
from typing import Any

import pytest

from llm.api import v1_request
from llm.models import Credential
from tests.conftest import rarely, sampled
from voicehelper.asgi import application

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, World, model, post
from .test_billing import wav
from .test_media import KIND, form
from .upstream import Asked, says, sends

pytestmark = pytest.mark.django_db(transaction=True)

RESPONSES = "/v1/responses"
HELLO = {"role": "user", "content": "Say hello"}
SAID = {"type": "message", "id": "m", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hello"}], "usage": {"input_tokens": 10, "output_tokens": 20}}  # fmt: skip


def pixel(kind: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,iVBORw0KGgo="}}


def to_claude(world: World, *messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What Claude is asked for a chat."""
    world.upstream.otherwise = _whole_or_events
    answer = post(world, CHAT, {**CLAUDE, "messages": list(messages), **more})
    assert answer.status == 200, answer.body
    return world.upstream.asked[-1].body


async def _whole_or_events(asked: Asked) -> Any:
    if not asked.body.get("stream"):
        return await says(SAID)(asked)
    begun = {**SAID, "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": SAID["usage"]},
        {"type": "message_stop"},
    ]
    lines = (b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in events)
    return await sends(*lines)(asked)


# --- W9: chat put to Claude ------------------------------------------------------------------------------------------
KINDS = {"image/jpg": "image/jpeg", "image/JPEG": "image/jpeg", "IMAGE/PNG": "image/png", "image/pjpeg": "image/jpeg",
         "image/png;charset=utf-8": "image/png", "image/x-png": "image/png", "image/webp": "image/webp"}  # fmt: skip


def test_Q_W9_pictures_are_of_a_kind_that_claude_knows(claude: World) -> None:
    """NousResearch/hermes-agent#55432."""
    sent = to_claude(claude, {"role": "user", "content": [pixel(kind) for kind in KINDS]})
    found = [block["source"]["media_type"] for block in sent["messages"][0]["content"]]
    assert dict(zip(KINDS, found, strict=True)) == KINDS


CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}  # fmt: skip
BLANK: dict[str, list[dict[str, Any]]] = {
    "an empty answer": [HELLO, {"role": "assistant", "content": ""}, HELLO],
    "an answer of blanks": [HELLO, {"role": "assistant", "content": " \n"}, HELLO],
    "no answer": [HELLO, {"role": "assistant", "content": None}, HELLO],
    "an empty part": [{"role": "user", "content": [{"type": "text", "text": " "}, {"type": "text", "text": "Hi"}]}],
    "a call without words": [HELLO, CALL, {"role": "tool", "tool_call_id": "c", "content": " "}, HELLO],
    "empty orders": [{"role": "system", "content": "  "}, HELLO],
    "empty orders in parts": [{"role": "system", "content": [{"type": "text", "text": ""}]}, HELLO],
}


@pytest.mark.parametrize("messages", sampled(BLANK.values(), keep=3), ids=BLANK)
def test_Q_W9_what_says_nothing_is_not_put_to_claude(claude: World, messages: list[dict[str, Any]]) -> None:
    """Anthropic: "text content blocks must contain non-whitespace text"."""
    sent = to_claude(claude, *messages)
    texts = [block["text"] for turn in sent["messages"] for block in turn["content"] if block["type"] == "text"]
    assert texts
    assert all(text.strip() for text in texts)
    assert all(turn["content"] for turn in sent["messages"])
    system = sent.get("system")
    assert system is None or (system.strip() if type(system) is str else all(each["text"].strip() for each in system))
    assert "system" not in sent or sent["system"]


def test_Q_W9_what_claude_is_to_go_on_with_does_not_end_in_blanks(claude: World) -> None:
    """Anthropic: "final assistant content cannot end with trailing whitespace"."""
    sent = to_claude(claude, HELLO, {"role": "assistant", "content": "Hello, \n"})
    assert sent["messages"][-1]["content"] == [{"type": "text", "text": "Hello,"}]


REFUSED = object()
STOPS: dict[str, tuple[Any, Any]] = {
    "a line": ("\n", REFUSED),
    "one of them": (["\n\n", "END"], REFUSED),
    "empty ones": (["END", ""], ["END"]),
    "one": ("END", ["END"]),
    "none": ([], None),
}


@pytest.mark.parametrize(("stop", "sent"), sampled(STOPS.values(), keep=3), ids=STOPS)
def test_Q_W9_no_stop_that_claude_refuses_is_put_to_it(claude: World, stop: Any, sent: Any) -> None:
    """Anthropic: "stop_sequences: each stop sequence must contain non-whitespace". An answer that should have stopped
    there must not go on: what cannot be asked is refused by name."""
    claude.upstream.otherwise = _whole_or_events
    answer = post(claude, CHAT, {**CLAUDE, "stop": stop})
    if sent is REFUSED:
        assert answer.status == 400, answer.body
        assert "stop" in answer.json["error"]["message"]
        assert claude.upstream.asked == []
    else:
        assert claude.upstream.asked[0].body.get("stop_sequences") == sent


TOOLS: dict[str, Any] = {
    "nothing said": {"name": "f"},
    "null": {"name": "f", "parameters": None},
    "empty": {"name": "f", "parameters": {}},
    "without a type": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}},
    "a type that is null": {"name": "f", "parameters": {"type": None, "properties": {}}},
}


@pytest.mark.parametrize("function", sampled(TOOLS.values(), keep=2), ids=TOOLS)
def test_Q_W9_a_tool_has_a_schema_that_claude_takes(claude: World, function: dict[str, Any]) -> None:
    sent = to_claude(claude, HELLO, tools=[{"type": "function", "function": function}])
    assert sent["tools"][0]["input_schema"]["type"] == "object"


def test_Q_W9_orders_alone_are_a_question_all_the_same(claude: World) -> None:
    """OpenAI answers them; Anthropic wants at least one turn."""
    sent = to_claude(claude, {"role": "system", "content": "Say hello"})
    assert [turn["role"] for turn in sent["messages"]] == ["user"]


# --- M5, W9: messages put to a chat ----------------------------------------------------------------------------------
BILLING = "x-anthropic-billing-header: cc_version=2.1.177.01c; cc_entrypoint=cli; cch=36ee5;"
ORDERS: dict[str, Any] = {
    "a block of its own": [{"type": "text", "text": BILLING}, {"type": "text", "text": "You are Claude Code."}],
    "a line": f"{BILLING}\nYou are Claude Code.",
    "in one block": [{"type": "text", "text": f"{BILLING}\nYou are Claude Code."}],
}


@pytest.mark.parametrize("system", sampled(ORDERS.values(), keep=2), ids=ORDERS)
def test_Q_M5_what_changes_with_each_request_does_not_stand_before_a_cached_prompt(rich: World, system: Any) -> None:
    """Claude Code's first block is another one in each request, and no cache of a chat model would be hit again
    (anthropics/claude-code#68900)."""
    assert post(rich, MESSAGES, {**ASK, "system": system}).status == 200
    assert rich.upstream.asked[0].body["messages"][0] == {"role": "system", "content": "You are Claude Code."}


@pytest.mark.parametrize("system", sampled(ORDERS.values(), keep=2), ids=ORDERS)
def test_what_passes_to_claude_stays_as_it_is(claude: World, system: Any) -> None:
    claude.upstream.otherwise = says(SAID)
    assert post(claude, MESSAGES, {**CLAUDE, "system": system}).status == 200
    assert claude.upstream.asked[0].body["system"] == system


RESULTS: dict[str, Any] = {
    "no content": {"type": "tool_result", "tool_use_id": "t"},
    "null": {"type": "tool_result", "tool_use_id": "t", "content": None},
    "no blocks": {"type": "tool_result", "tool_use_id": "t", "content": []},
    "an empty block": {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": ""}]},
}


@pytest.mark.parametrize("result", sampled(RESULTS.values(), keep=2), ids=RESULTS)
def test_Q_W9_a_tool_that_says_nothing_has_said_so(rich: World, result: Any) -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    turns = [HELLO, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    assert post(rich, MESSAGES, {**ASK, "messages": turns}).status == 200
    sent = rich.upstream.asked[0].body["messages"]
    assert sent[-1] == {"role": "tool", "tool_call_id": "t", "content": ""}
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == "{}"


# --- C1, C3, C5, W12: doors ------------------------------------------------------------------------------------------
HEADS = ["/v1/models", "/v1/models/doubao-pro", "/v1/key", "/v1/dashboard/billing/subscription", "/models"]


def test_Q_C5_who_only_asks_for_the_head_gets_one(world: World) -> None:
    """Monitors, and clients that try whether somebody is there."""

    async def scenario(w: World) -> dict[str, tuple[int, bytes]]:
        answers = {path: await w.client.request("HEAD", path, b"") for path in HEADS}
        return {path: (answer.status, answer.body) for path, answer in answers.items()}

    assert world.play(scenario) == dict.fromkeys(HEADS, (200, b""))


def test_Q_C1_a_page_may_call_into_a_private_network(world: World) -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "POST",
             "access-control-request-private-network": "true"}  # fmt: skip
    answer = world.play(lambda w: w.client.request("OPTIONS", CHAT, b"", headers=asked))
    assert (answer.status, answer.headers.get("access-control-allow-private-network")) == (204, "true")


@pytest.mark.parametrize("said", ["True", *rarely("true", "TRUE", "1")])
def test_Q_W12_a_form_says_that_it_wants_a_stream_as_programs_say_it(world: World, said: str) -> None:
    """Python's requests write a true as "True"."""
    world.give(10**8)
    Credential.objects.update(provider="openai")
    model("hearer", provider="openai", capabilities=["speech_to_text"])
    done = b'data: {"type":"transcript.text.done","text":"hi"}\n\n'
    world.upstream.otherwise = sends(b'data: {"type":"transcript.text.delta","delta":"hi"}\n\n', done)
    content = form(wav(3), model="hearer", stream=said)
    answer = world.play(lambda w: w.client.post("/v1/audio/transcriptions", content, headers=KIND))
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.events[-1]["text"] == "hi"


def test_Q_W14_a_body_whose_length_nobody_told_may_take_its_time(rich: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Node sends what it streams in pieces, without a length."""
    monkeypatch.setattr(v1_request, "BODY_SECONDS", 0.2)
    body = json.dumps(ASK).encode()

    async def scenario(w: World) -> int:
        parts, found = [body[:10], body[10:]], Answer()

        async def receive() -> Any:
            if len(parts) == 1:
                await asyncio.sleep(0.5)
            if not parts:
                await asyncio.sleep(60)
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            found.status = message.get("status", found.status)

        headers = [(b"authorization", b"Bearer " + w.client.key.encode()), (b"transfer-encoding", b"chunked")]
        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": headers, "query_string": b""}
        await application(scope, receive, send)
        return found.status

    assert rich.play(scenario) == 200


# --- W9: limits ------------------------------------------------------------------------------------------------------
LIMITS = {"gpt-5.5": "max_completion_tokens", "o3-mini": "max_completion_tokens", "gpt-10": "max_completion_tokens",
          "openai/gpt-6": "max_completion_tokens", "gpt-4o": "max_tokens", "deepseek-chat": "max_tokens"}  # fmt: skip


def test_Q_W9_a_limit_has_the_name_that_a_model_takes(rich: World) -> None:
    """OpenAI: "Unsupported parameter: 'max_tokens' is not supported with this model"."""
    Credential.objects.update(provider="openai")
    for number, name in enumerate(LIMITS):
        model(f"m{number}", provider="openai", provider_model_id=name)

    async def scenario(w: World) -> None:
        for number in range(len(LIMITS)):
            assert (await w.client.post(MESSAGES, {**ASK, "model": f"m{number}"})).status == 200

    rich.play(scenario)
    sent = [{key for key in asked.body if key.startswith("max_")} for asked in rich.upstream.asked]
    assert dict(zip(LIMITS, sent, strict=True)) == {name: {limit} for name, limit in LIMITS.items()}
    assert {asked.body.get("max_tokens", 100) for asked in rich.upstream.asked} == {100}
