"""Ark: OpenAI's protocol with defaults, cumulative usage and the older functions."""

import json
from typing import Any

import pytest

from llm.providers.base import Audio, ProviderError, Recovery, Tokens, Unsupported

from .upstream import answer, asked, chunk, collected, completion, events, stream, talk, usage

WEATHER = {"name": "weather", "description": "The weather", "parameters": {"type": "object", "properties": {}}}


def sent(body: dict[str, Any]) -> Any:
    _reply, upstream = talk("ark", answer(completion()), lambda provider, _: provider.chat(body))
    return upstream.seen[0].json


# --- Requests ---------------------------------------------------------------------------------------------------------
def test_temperature_and_length_have_defaults_and_extras_are_passed_through() -> None:
    extra = {"thinking": {"type": "disabled"}, "repetition_penalty": 1.1, "service_tier": "flex"}
    assert sent(asked(**extra)) == asked(**extra, temperature=0.7, max_tokens=2000)
    assert sent(asked(temperature=0, max_tokens=5)) == asked(temperature=0, max_tokens=5)
    assert sent(asked(max_completion_tokens=5)) == asked(max_completion_tokens=5, temperature=0.7)


def test_the_address_and_key_are_arks() -> None:
    _reply, upstream = talk("ark", answer(completion()), lambda provider, _: provider.chat(asked()))
    assert upstream.seen[0].line == "POST /api/v3/chat/completions HTTP/1.1"
    assert upstream.seen[0].headers["authorization"].startswith("Bearer ")


def test_tools_go_out_as_they_are() -> None:
    tools = [{"type": "function", "function": WEATHER}]
    assert sent(asked(tools=tools, tool_choice="auto"))["tools"] == tools


def test_functions_become_tools() -> None:
    history = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}},
        {"role": "function", "name": "weather", "content": "sunny"},
    ]
    body = sent(asked(history, functions=[WEATHER], function_call={"name": "weather"}))
    assert body["tools"] == [{"type": "function", "function": WEATHER}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["parallel_tool_calls"] is False
    assert not {"functions", "function_call"} & set(body)
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    assert body["messages"] == [
        history[0],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    assert sent(asked(functions=[WEATHER], function_call="none"))["tool_choice"] == "none"


def test_old_turns_are_translated_without_functions_too() -> None:
    body = sent(asked([{"role": "function", "name": "f", "content": "1"}]))
    assert body["messages"] == [{"role": "tool", "tool_call_id": "call_0", "content": "1"}]
    assert "tools" not in body


# --- Answers ----------------------------------------------------------------------------------------------------------
CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


@pytest.mark.parametrize("legacy", [True, False])
def test_a_call_comes_back_in_the_form_the_caller_used(legacy: bool) -> None:
    said = completion({"content": None, "tool_calls": [CALL]}, "tool_calls", usage=usage(1, 2))
    offered = {"functions": [WEATHER]} if legacy else {"tools": [{"type": "function", "function": WEATHER}]}
    reply, _ = talk("ark", answer(said), lambda provider, _: provider.chat(asked(**offered)))
    choice = reply.body["choices"][0]
    if legacy:
        assert choice["message"] == {"role": "assistant", "content": None, "function_call": CALL["function"]}
        assert choice["finish_reason"] == "function_call"
    else:
        assert reply.body == said
    assert reply.usage == Tokens(1, 2)


def test_a_streamed_call_comes_back_as_a_function_call() -> None:
    calls = [
        chunk({"role": "assistant", "tool_calls": [{"index": 0, **CALL, "function": {"name": "weather"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": None, "arguments": '{"city"'}}]}),
        chunk({"tool_calls": [{"index": 1, "function": {"name": "other", "arguments": "{}"}}]}),
        chunk({}, "tool_calls"),
    ]
    chunks, _ = collected("ark", stream(events(*calls)), asked(functions=[WEATHER]))
    said = [json.loads(one.data)["choices"][0] for one in chunks]
    assert [choice["delta"] for choice in said] == [
        {"role": "assistant", "function_call": {"name": "weather"}},
        {"function_call": {"arguments": '{"city"'}},
        {},
        {},
    ]
    assert [choice["finish_reason"] for choice in said] == [None, None, None, "function_call"]
    assert [one.text for one in chunks] == ["weather", '{"city"', "", ""]


LAST = {**chunk({}), "choices": [], "usage": usage(9, 3)}
GROWING = events(
    chunk({"content": "a"}, usage=usage(9, 1)),
    chunk({"content": "b"}, usage=usage(9, 2)),
    chunk({}, "stop", usage=usage(9, 3)),
    LAST,
)


def test_usage_grows_with_every_chunk_and_is_shown_to_the_caller_once() -> None:
    chunks, upstream = collected("ark", stream(GROWING), asked())
    assert upstream.seen[0].json["stream_options"] == {"include_usage": True, "chunk_include_usage": True}
    assert [one.usage for one in chunks] == [
        Tokens(9, 1, final=False),
        Tokens(9, 2, final=False),
        Tokens(9, 3),
        Tokens(9, 3),
    ]
    assert [json.loads(one.data)["usage"] for one in chunks] == [None, None, None, usage(9, 3)]
    assert [one.usage_only for one in chunks] == [False, False, False, True]


def test_a_caller_who_asks_for_usage_in_every_chunk_gets_arks_bytes() -> None:
    chunks, _ = collected("ark", stream(GROWING), asked(stream_options={"chunk_include_usage": True}))
    assert b"".join(b"data: " + one.data + b"\n\n" for one in chunks) + b"data: [DONE]\n\n" == GROWING


def test_multimodal_embeddings_have_their_own_address_and_shape() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "http://x/y.png"}}]
    said = {"object": "list", "data": {"embedding": [0.1]}, "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    body = {"model": "m", "input": parts, "dimensions": 1024}
    reply, upstream = talk("ark", answer(said), lambda provider, _: provider.embed(body))
    assert (upstream.seen[0].line, upstream.seen[0].json) == ("POST /api/v3/embeddings/multimodal HTTP/1.1", body)
    assert reply.body["data"] == [{"object": "embedding", "index": 0, "embedding": [0.1]}]
    assert reply.usage == Tokens(7, 0)


def test_text_embeddings_are_openais() -> None:
    body = {"model": "m", "input": ["a", "b"], "encoding_format": "float"}
    said = {"data": [{"embedding": [0.5]}] * 2, "usage": {"prompt_tokens": 2}}
    _reply, upstream = talk("ark", answer(said), lambda p, _: p.embed(body))
    assert (upstream.seen[0].line, upstream.seen[0].json) == ("POST /api/v3/embeddings HTTP/1.1", body)


def test_ark_neither_hears_nor_speaks() -> None:
    for call in (lambda p, _: p.transcribe(Audio(b""), {}), lambda p, _: p.speak({})):
        with pytest.raises(Unsupported, match="ark has no"):
            talk("ark", answer({}), call)


# --- Errors -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "code", "recovery", "cool_down"),
    [
        ("400 Bad Request", "MissingParameter.model", Recovery.FAIL, False),
        ("400 Bad Request", "InvalidParameter", Recovery.FAIL, False),
        ("400 Bad Request", "InvalidEndpoint.ClosedEndpoint", Recovery.FAILOVER, False),
        ("400 Bad Request", "InputTextRiskDetection", Recovery.FAIL, False),
        ("400 Bad Request", "OutputTextRiskDetection", Recovery.FAIL, False),
        ("429 Too Many Requests", "SensitiveContentDetected.SevereViolation", Recovery.FAIL, False),
        ("401 Unauthorized", "AuthenticationError", Recovery.FAILOVER, True),
        ("403 Forbidden", "AccountOverdueError", Recovery.FAILOVER, True),
        ("403 Forbidden", "AccessDenied", Recovery.FAILOVER, True),
        ("404 Not Found", "InvalidEndpointOrModel.NotFound", Recovery.FAILOVER, False),
        ("404 Not Found", "ModelNotOpen", Recovery.FAILOVER, False),
        ("429 Too Many Requests", "RateLimitExceeded.EndpointTPMExceeded", Recovery.RETRY, True),
        ("429 Too Many Requests", "SetLimitExceeded", Recovery.FAILOVER, False),
        ("429 Too Many Requests", "ServerOverloaded", Recovery.RETRY, False),
        ("500 Internal Server Error", "InternalServiceError", Recovery.RETRY, False),
        ("503 Service Unavailable", "Anything", Recovery.RETRY, False),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_arks_codes_say_what_to_do(status: str, code: str, recovery: Recovery, cool_down: bool, streamed: bool) -> None:
    error = {"error": {"code": code, "message": "Text. Request id: 1", "param": "", "type": "Kind"}}

    async def scenario(provider: Any, _upstream: Any) -> None:
        if not streamed:
            await provider.chat(asked())
        async for _chunk in provider.stream(asked()):
            pytest.fail("there is nothing to see")

    with pytest.raises(ProviderError) as caught:
        talk("ark", answer(error, status), scenario)
    assert (caught.value.recovery, caught.value.cool_down, caught.value.code) == (recovery, cool_down, code)
    assert (caught.value.status, caught.value.text) == (int(status[:3]), "Text. Request id: 1")
