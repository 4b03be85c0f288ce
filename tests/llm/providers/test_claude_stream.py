"""Anthropic's events as OpenAI's chunks."""

import json
from typing import Any

import pytest

from llm.providers.base import Chunk, ProviderError, Recovery, StreamBroke, Tokens

from .test_claude import TOOLS, WEATHER, message
from .upstream import answer, asked, claude_events, collected, failed, stream, talk

START = {"type": "message_start", "message": {**message(), "usage": {"input_tokens": 20, "output_tokens": 1}}}
STOP = {"type": "message_stop"}


def begin(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **more}}


def end(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def last(reason: str, written: int) -> dict[str, Any]:
    counted = {"output_tokens": written, "cache_read_input_tokens": None}
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": counted}


SPOKEN = claude_events(
    START,
    begin(0, type="thinking", thinking=""),
    {"type": "ping"},
    delta(0, "thinking_delta", thinking="hm"),
    delta(0, "signature_delta", signature="s"),
    end(0),
    begin(1, type="text", text=""),
    delta(1, "text_delta", text="早上"),
    {"type": "event_of_the_future", "delta": 7},
    delta(1, "text_delta", text="好"),
    delta(1, "citations_delta", citation={}),
    end(1),
    last("end_turn", 9),
    STOP,
)


def parsed(chunks: list[Chunk]) -> list[Any]:
    return [json.loads(one.data) for one in chunks]


def test_events_become_chunks() -> None:
    chunks, upstream = collected("claude", stream(SPOKEN), asked())
    assert upstream.seen[0].json["stream"] is True
    said = parsed(chunks)
    assert [one["choices"][0]["delta"] for one in said[:-1]] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
        {"content": "早上"},
        {"content": "好"},
        {},
    ]
    assert {(one["id"], one["object"], one["model"]) for one in said} == {
        ("msg_1", "chat.completion.chunk", "claude-x")
    }
    assert said[-2]["choices"][0]["finish_reason"] == "stop"
    assert (said[-1]["choices"], said[-1]["usage"]["total_tokens"]) == ([], 29)
    assert [(one.output, one.text) for one in chunks] == [
        (False, ""), (True, "hm"), (False, ""), (True, "早上"), (True, "好"), (False, ""), (False, ""),
    ]  # fmt: skip
    assert [one.usage for one in chunks if one.usage] == [
        Tokens(20, 1, final=False),
        Tokens(20, 9, final=False),
        Tokens(20, 9),
    ]
    assert [one.usage_only for one in chunks] == [False] * 6 + [True]


CALLED = claude_events(
    START,
    begin(0, type="text", text="Wait"),
    end(0),
    begin(1, type="tool_use", id="t1", name="weather", input={}),
    delta(1, "input_json_delta", partial_json=""),
    delta(1, "input_json_delta", partial_json='{"city":'),
    delta(1, "input_json_delta", partial_json=' "A"}'),
    end(1),
    begin(2, type="tool_use", id="t2", name="now", input={}),
    end(2),
    last("tool_use", 9),
    STOP,
)


def test_tool_calls_are_streamed_with_their_index() -> None:
    chunks, _ = collected("claude", stream(CALLED), asked(tools=TOOLS))
    deltas = [one["choices"][0]["delta"] for one in parsed(chunks)[:-1]]

    def opened(index: int, call_id: str, name: str) -> dict[str, Any]:
        return {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}

    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": "Wait"},
        {"tool_calls": [opened(0, "t1", "weather")]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ' "A"}'}}]},
        {"tool_calls": [opened(1, "t2", "now")]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert parsed(chunks)[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_function_call_is_streamed_to_those_who_speak_the_older_form() -> None:
    chunks, upstream = collected("claude", stream(CALLED), asked(functions=[WEATHER], function_call="auto"))
    body = upstream.seen[0].json
    assert body["tools"][0]["name"] == "weather"
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    calls = [one["choices"][0]["delta"].get("function_call") for one in parsed(chunks)[:-1]]
    assert [call for call in calls if call] == [
        {"name": "weather", "arguments": ""},
        {"arguments": '{"city":'},
        {"arguments": ' "A"}'},
    ]
    assert parsed(chunks)[-2]["choices"][0]["finish_reason"] == "function_call"


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
WORD = delta(0, "text_delta", text="a")


def test_an_error_event_is_an_error_before_output_and_a_break_after_it() -> None:
    error, chunks = failed("claude", stream(claude_events(START, OVERLOADED)))
    assert (type(error), error.recovery, error.text, len(chunks)) == (ProviderError, Recovery.RETRY, "Overloaded", 1)
    error, chunks = failed("claude", stream(claude_events(START, WORD, OVERLOADED)))
    assert (type(error), error.code, len(chunks)) == (StreamBroke, "overloaded_error", 2)


@pytest.mark.parametrize("end", [True, False])
def test_half_a_stream_is_a_break_with_its_input_known(end: bool) -> None:
    tail: tuple[bytes | float | None, ...] = () if end else (None,)
    error, chunks = failed("claude", stream(claude_events(START, WORD), *tail, end=end))
    assert isinstance(error, StreamBroke)
    assert chunks[0].usage == Tokens(20, 1, final=False)
    error, _ = failed("claude", stream(claude_events(START), *tail, end=end))
    assert type(error) is ProviderError


@pytest.mark.parametrize("end", ["closed", "cut", "silent"])
def test_a_stream_that_said_why_it_stops_needs_no_end(end: str) -> None:
    """It is whole, and its usage is known, however its connection ends."""
    after: list[Any] = {"closed": [], "cut": [None], "silent": [10.0]}[end]
    script = stream(claude_events(START, WORD, last("end_turn", 9)), *after, end=end == "closed")
    chunks, _ = collected("claude", script, asked(), timeout_s=0.5)
    assert chunks[-1].usage == Tokens(20, 9)


def test_O2_counts_that_fall_at_the_end_are_not_believed() -> None:
    """Some servers repeat every count in the end, and know only the last one."""
    cached = {**START, "message": {**message(), "usage": {"input_tokens": 20, "output_tokens": 1}}}
    cached["message"]["usage"]["cache_read_input_tokens"] = 300
    zeros = {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 9}
    fallen = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": zeros}
    chunks, _ = collected("claude", stream(claude_events(cached, WORD, fallen, STOP)), asked())
    assert [one.usage for one in chunks if one.usage][1:] == [
        Tokens(320, 9, final=final, kinds={"input": 20, "cache_read": 300, "output": 9}) for final in (False, True)
    ]
    assert parsed(chunks)[-1]["usage"]["prompt_tokens"] == 320


def test_events_without_shape_are_skipped_and_counted() -> None:
    odd = [{"type": "content_block_delta"}, {"type": "content_block_start", "content_block": 7}, {"type": "x"}]

    async def scenario(provider: Any, _upstream: Any) -> tuple[int, int]:
        chunks = [one async for one in provider.stream(asked())]
        return len(chunks), provider.broken_lines

    script = stream(claude_events(START, *odd, WORD) + b"data: {broken\n\n" + claude_events(last("end_turn", 2), STOP))
    assert talk("claude", script, scenario)[0] == (4, 3)


@pytest.mark.parametrize(
    ("status", "kind", "details", "recovery", "cool_down"),
    [
        (400, "invalid_request_error", None, Recovery.FAIL, False),
        (401, "authentication_error", None, Recovery.FAILOVER, True),
        (402, "billing_error", None, Recovery.FAILOVER, True),
        (403, "permission_error", None, Recovery.FAILOVER, True),
        (404, "not_found_error", None, Recovery.FAILOVER, False),
        (413, "request_too_large", None, Recovery.FAIL, False),
        (429, "rate_limit_error", None, Recovery.RETRY, True),
        (429, "rate_limit_error", {"error_code": "enforced_spend_limit_reached"}, Recovery.FAILOVER, True),
        (500, "api_error", None, Recovery.RETRY, False),
        (529, "overloaded_error", None, Recovery.RETRY, False),
    ],
)
def test_anthropics_types_say_what_to_do(
    status: int, kind: str, details: Any, recovery: Recovery, cool_down: bool
) -> None:
    error = {"type": kind, "message": "Text", **({"details": details} if details else {})}
    said = {"type": "error", "error": error, "request_id": "req_1"}
    raised, _ = failed("claude", answer(said, f"{status} X"))
    assert (raised.recovery, raised.cool_down, raised.text, raised.status) == (recovery, cool_down, "Text", status)
