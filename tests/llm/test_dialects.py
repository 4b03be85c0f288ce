"""What is asked and answered in one dialect passes through as it is; between two, nothing is lost in silence."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm.relay import engine
from tests.conftest import sampled

from .conftest import ASK, CHAT, CLAUDE, MESSAGES, STREAM, World, post
from .upstream import DONE, USED, Script, chunk, says, sends

pytestmark = pytest.mark.django_db(transaction=True)


def event(said: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (said["type"].encode(), json.dumps(said).encode())


# --- The same dialect ------------------------------------------------------------------------------------------------
TURNS: list[Any] = [
    {"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}, "new": 1}]},
    {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s=="}, {"type": "redacted_thinking", "data": "r"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"model": "claude-x"}},
    ]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}],
        "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
]  # fmt: skip
WHOLE = b"""{"content": [{"type":"tool_use","id":"t","name":"f","input":{"model":"claude-y"}},
 {"type":"block_of_the_future","x":1.50}], "type":"message", "model": "claude-x", "odd": null, "stop_reason":"tool_use",
 "usage":{"input_tokens":7,"cache_read_input_tokens":100,"output_tokens":5}}"""


def test_messages_to_claude_pass_through_as_they_are(claude: World) -> None:
    body = {
        **CLAUDE, "messages": TURNS, "thinking": {"type": "adaptive"}, "context_management": {"a": []}, "top_k": None,
        "tools": [{"type": "tool_of_the_future", "name": "f"}], "fallbacks": [], "max_tokens": 10**6,
    }  # fmt: skip
    claude.upstream.scripts = [sends(WHOLE, kind="application/json")]
    headers = {
        "anthropic-beta": "a-1,b-2",
        "anthropic-version": "2099-01-01",
        "cookie": "c",
        "x-forwarded-for": "1.2.3.4",
    }
    answer = post(claude, MESSAGES, body, headers=headers)
    assert answer.body == WHOLE.replace(b'"claude-x"', b'"claude"', 1)
    asked = claude.upstream.asked[0]
    del body["fallbacks"]
    assert asked.body == {**body, "model": "claude-x", "max_tokens": 4096}
    sent = asked.request.headers
    assert (sent["anthropic-beta"], sent["anthropic-version"], sent["x-api-key"]) == (
        "a-1,b-2",
        "2099-01-01",
        "claude-key",
    )
    assert not {"cookie", "x-forwarded-for", "authorization"} & {name.lower() for name in sent}
    assert (claude.usage().input_tokens, claude.usage().output_tokens) == (107, 5)


FIRST, LATER = {"input_tokens": 9, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 8}
BLOCKS = [
    event({"type": "message_start", "message": {"model": "claude-x", "usage": FIRST}}),
    b'event: ping\ndata: {"type": "ping"}\n\n',
    event({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
    event({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}}),
    event({"type": "event_of_the_future", "x": [1]}),
    event({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "claude-x"}}),
    event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": LATER}),
    event({"type": "message_stop"}),
]  # fmt: skip


@pytest.mark.parametrize("together", [False, True])
def test_events_of_messages_come_down_byte_by_byte_and_the_last_when_all_is_settled(
    claude: World, together: bool, books_agree: Callable[[], None]
) -> None:
    claude.upstream.scripts = [sends(*([b"".join(BLOCKS)] if together else BLOCKS))]
    answer = post(claude, MESSAGES, {**CLAUDE, "stream": True})
    assert answer.body == b"".join(BLOCKS).replace(b'"claude-x"', b'"claude"', 1)
    assert answer.pieces[-1] == BLOCKS[-1] or together
    assert len(answer.pieces) <= 2 or not together
    # Counts cannot fall: what was read stays 9.
    assert (claude.usage().input_tokens, claude.usage().output_tokens, claude.usage().usage_source) == (
        9,
        8,
        "provider",
    )
    books_agree()


def test_a_stream_of_messages_that_does_not_say_that_it_ends_is_ended(claude: World) -> None:
    claude.upstream.scripts = [sends(*BLOCKS[:-1])]
    answer = post(claude, MESSAGES, {**CLAUDE, "stream": True})
    assert (answer.told[-1][0], claude.usage().outcome) == ("message_stop", "ok")


def test_chat_passes_through_with_what_nobody_knows(rich: World) -> None:
    odd = b'data: {"model":"ep-1", "choices":[{"index":0,"delta":{"content":"hi","zeta":[1.0]}}],"new":1e5}\n\n'
    rich.upstream.scripts = [sends(odd, DONE)]
    answer = post(rich, CHAT, {**STREAM, "zeta": {"a": None}, "seed": None, "verbosity": "low"})
    assert answer.body.startswith(odd.replace(b"ep-1", b"doubao-pro"))
    sent = rich.upstream.asked[0].body
    assert (sent["zeta"], sent["verbosity"], sent["seed"]) == ({"a": None}, "low", None)


def test_usage_in_every_chunk_is_for_us_alone(rich: World) -> None:
    first = b'data: {"model":"doubao-pro","choices":[{"index":0,"delta":{"content":"hi"}}],"usage":%b,"z":1}\n\n'
    report = b'{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":0}}'
    rich.upstream.scripts = [sends(first % report, DONE)]
    assert post(rich, CHAT, STREAM).body.startswith(first % b"null")


def test_threads_are_refused_by_their_code(claude: World) -> None:
    answer = post(claude, MESSAGES, {**CLAUDE, "thread": {"type": "create"}})
    assert (answer.status, answer.json["error"]["details"]) == (400, {"error_code": "thread_unsupported_request"})
    assert claude.upstream.asked == []


# --- Oddities of the field -------------------------------------------------------------------------------------------
def call(index: int | None, called: str, name: str | None, arguments: str) -> dict[str, Any]:
    found = {"id": called, "function": {"name": name, "arguments": arguments}}
    return found if index is None else {**found, "index": index}


@pytest.mark.parametrize("index", [0, None])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_W3_W4_a_new_id_is_a_new_call_and_a_name_may_come_late(rich: World, path: str, index: int | None) -> None:
    calls = [
        call(index, "a", None, ""),
        call(index, "", "f", '{"x"'),
        call(index, "", None, ":1}"),
        call(index, "b", "g", "{}"),
    ]
    rich.upstream.scripts = [sends(*(chunk({"tool_calls": [one]}) for one in calls), DONE)]
    answer = post(rich, path, STREAM)
    if path == CHAT:
        indexes = [e["choices"][0]["delta"]["tool_calls"][0]["index"] for e in answer.events[:4]]
        assert indexes == [0, 0, 0, 1]
        return
    begun = [data["content_block"] for name, data in answer.told if name == "content_block_start"]
    assert [(block["id"], block["name"]) for block in begun] == [("a", "f"), ("b", "g")]
    parts = [data["delta"]["partial_json"] for name, data in answer.told if name == "content_block_delta"]
    assert "".join(parts) == '{"x":1}{}'


@pytest.mark.parametrize("streamed", [True, False])
def test_W6_numbers_that_are_no_json_lose_no_words(rich: World, streamed: bool) -> None:
    odd = b'"logprobs":{"a":NaN,"b":-Infinity}}]'
    part = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},' + odd + b"}\n\n"
    whole = b'{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop",' + odd + b',"usage":null}'
    rich.upstream.scripts = [sends(part, DONE) if streamed else sends(whole, kind="application/json")]
    answer = post(rich, CHAT, STREAM if streamed else ASK)
    choice = answer.events[0]["choices"][0] if streamed else answer.json["choices"][0]
    assert choice["logprobs"] == {"a": None, "b": None}
    assert (choice.get("delta") or choice["message"])["content"] == "hi"


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_character_cut_in_two_is_put_together(rich: World, path: str) -> None:
    halves = [
        b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % half for half in (b"a\\ud83d", b"\\ude00b")
    ]
    rich.upstream.scripts = [sends(*halves, DONE)]
    answer = post(rich, path, STREAM)
    said = (
        answer.text
        if path == CHAT
        else "".join(d["delta"]["text"] for n, d in answer.told if n == "content_block_delta")
    )
    assert said == "a\U0001f600b"


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("streamed", [True, False])
def test_W13_content_in_parts_is_joined(rich: World, path: str, streamed: bool) -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "Hel"},
        {"type": "text", "text": "lo"},
    ]
    message = {"choices": [{"index": 0, "message": {"role": "assistant", "content": parts}, "finish_reason": "stop"}]}
    rich.upstream.scripts = [sends(chunk({"content": parts}), DONE) if streamed else says(message)]
    answer = post(rich, path, STREAM if streamed else ASK)
    assert "Hello" in answer.body.decode()
    assert answer.status == 200


@pytest.mark.parametrize("name", ["bom", "no done", "pretty"])
def test_W15_streams_are_read_however_they_begin_and_end(rich: World, name: str) -> None:
    pretty = json.dumps({"choices": [{"index": 0, "delta": {"content": "hi"}}]}, indent=1).replace("\n", "\ndata: ")
    first = {"bom": b"\xef\xbb\xbf" + chunk({"content": "hi"}), "pretty": f"data: {pretty}\n\n".encode()}
    end = chunk({}, "stop", usage=USED) if name == "no done" else DONE
    rich.upstream.scripts = [sends(first.get(name, chunk({"content": "hi"})), end)]
    answer = post(rich, CHAT, STREAM)
    assert b"hi" in answer.body
    assert (answer.body.endswith(b"data: [DONE]\n\n"), rich.usage().outcome) == (True, "ok")


OUT_OF_PLACE: list[tuple[str, Script]] = [
    ("M3 event", sends(b'event: error\ndata: {"code":"Bad","message":"boiler broke"}\n\ndata: [DONE]\n\n')),
    ("M3 words", sends(b"event: error\ndata: boiler broke\n\ndata: [DONE]\n\n")),
    ("M3 data", sends(b'data: {"code":"Bad","message":"boiler broke"}\n\ndata: [DONE]\n\n')),
    ("object", sends(b'data: {"object":"error","message":"boiler broke","code":50}\n\ndata: [DONE]\n\n')),
    ("base_resp", sends(b'data: {"choices":null,"base_resp":{"status_code":1,"status_msg":"boiler broke"}}\n\n')),
    ("nothing", sends(b"data: [DONE]\n\n")),
    ("W16", sends(chunk({}, "error", error={"message": "boiler broke"}), b"data: [DONE]\n\n")),
    ("whole", says({"code": "Bad", "message": "boiler broke"})),
    (
        "whole W16",
        says({"choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "error"}], "usage": USED}),
    ),
]


@pytest.mark.parametrize(("name", "script"), sampled(OUT_OF_PLACE, keep=4), ids=[name for name, _ in OUT_OF_PLACE])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_Q_M3_W16_an_error_inside_a_200_is_told_and_free(
    rich: World, path: str, name: str, script: Script, books_agree: Callable[[], None]
) -> None:
    rich.upstream.otherwise = script
    answer = post(rich, path, ASK if name.startswith("whole") else STREAM)
    assert answer.status == 502, answer.body
    assert (rich.usage().quota, rich.usage().outcome) == (0, "failed")
    books_agree()


# --- Between two dialects --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"top_k": 5}, "top_k"),
        ({"mcp_servers": [{"type": "url", "name": "x", "url": "https://example.com"}]}, "mcp_servers"),
        ({"tools": [{"type": "computer_20250124", "name": "c"}]}, "computer_20250124"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "base64"}}]}]}, "document"),
    ],
)
def test_W9_what_cannot_be_said_in_the_providers_dialect_is_refused_by_name(
    rich: World, change: dict[str, Any], named: str
) -> None:
    answer = post(rich, MESSAGES, {**ASK, **change})
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")
    assert named in answer.json["error"]["message"]
    assert (rich.upstream.asked, rich.usage().quota) == ([], 0)


def test_pictures_in_results_of_tools_thoughts_and_schemas_reach_a_chat_model(rich: World) -> None:
    turns = [TURNS[1] | {"content": TURNS[1]["content"][:1] + TURNS[1]["content"][2:]}, TURNS[2]]
    schema = {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}, "effort": "low"}}
    assert post(rich, MESSAGES, {**ASK, "messages": turns, **schema}).status == 200
    sent = rich.upstream.asked[0].body
    kinds = [(message["role"], type(message["content"])) for message in sent["messages"]]
    assert kinds == [("assistant", type(None)), ("tool", str), ("user", list)]
    assert sent["messages"][0]["reasoning_content"] == "hm"
    assert (sent["response_format"]["json_schema"]["schema"], sent["reasoning_effort"]) == ({"type": "object"}, "low")


def test_what_claude_code_sends_reaches_a_chat_model(rich: World) -> None:
    """The system speaks between turns, old thoughts may be forgotten, and tools answer with tools and documents."""
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    found = [{"type": "tool_reference", "tool_name": "WebFetch"}, {"type": "document", "source": source}]
    result = {"type": "tool_result", "tool_use_id": "t1", "content": found}
    said = [{"type": "text", "text": "Today is Monday.", "cache_control": {"type": "ephemeral"}}]
    turns = [
        {"role": "user", "content": "read it"},
        {"role": "system", "content": said, "output_config": {"effort": "low"}},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Read", "input": {}}]},
        {"role": "user", "content": [result]},
    ]
    forgets = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    assert post(rich, MESSAGES, {**ASK, "messages": turns, "context_management": forgets}).status == 200
    sent = rich.upstream.asked[0].body
    assert "context_management" not in sent
    assert [message["role"] for message in sent["messages"]] == ["user", "system", "assistant", "tool", "user"]
    assert sent["messages"][1]["content"] == "Today is Monday."
    assert sent["messages"][3]["content"] == "The tool WebFetch can be called now."
    file = {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}
    assert sent["messages"][4]["content"] == [{"type": "file", "file": file}]


def test_W11_what_can_never_work_is_refused_and_says_nothing_about_the_model(claude: World) -> None:
    audio = {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA"}}]}]}

    async def scenario(w: World) -> None:
        for _ in range(30):
            answer = await w.client.post(CHAT, {**CLAUDE, **audio})
            assert (answer.status, answer.json["error"]["code"]) == (400, "input_audio content")
        relay = engine.engine()
        seen = relay.statistics.seen(await relay.catalogue()).get("claude")
        assert seen is None or seen.failures == 0

    claude.play(scenario)
    assert claude.upstream.asked == []


def test_what_one_model_cannot_another_may(claude: World) -> None:
    """A parameter that Claude has no room for is no reason not to ask the fallback."""
    assert post(claude, CHAT, {**CLAUDE, "seed": 1, "fallbacks": ["doubao-pro"]}).json["model"] == "doubao-pro"
