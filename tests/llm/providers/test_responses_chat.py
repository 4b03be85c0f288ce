"""Chats put to models that answer nothing but Responses, both ways."""

import json
from typing import Any

import pytest

from llm.providers.base import (
    Chunk,
    Provider,
    ProviderError,
    Recovery,
    RequestOptions,
    StreamBroke,
    Tokens,
    Unsupported,
)
from tests.vectors import load

from .upstream import Script, answer, asked, stream, talk

STREAMS: dict[str, list[dict[str, Any]]] = load("responses/streams")
IN_RESPONSES = RequestOptions(in_responses=True)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "The weather", "parameters": SCHEMA}
TOOLS: list[Any] = [{"type": "function", "function": WEATHER}]
COUNTS = {"input": 40, "cache_read": 60, "output": 20}
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**STREAMS["text"][-1]["response"], "output": list(output), **more}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": list(parts)}


def text(words: str) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": []}


def sent(provider: str = "openai", **body: Any) -> Any:
    said = answer(response(message(text("a"))))
    _reply, upstream = talk(provider, said, lambda p, _: p.chat(asked(**body), IN_RESPONSES))
    assert upstream.seen[0].line.split()[1].endswith("/responses")
    return upstream.seen[0].json


def replied(said: dict[str, Any], **body: Any) -> Any:
    return talk("openai", answer(said), lambda provider, _: provider.chat(asked(**body), IN_RESPONSES))[0]


async def collect(provider: Provider, into: list[Chunk], body: dict[str, Any]) -> None:
    async for chunk in provider.stream(body, IN_RESPONSES):
        into.append(chunk)


def script(events: list[dict[str, Any]], *, end: bool = True) -> Script:
    blocks = [b"event: %b\ndata: %b\n\n" % (said["type"].encode(), json.dumps(said).encode()) for said in events]
    return stream(*blocks, end=end)


def streamed(events: list[dict[str, Any]], **body: Any) -> list[Chunk]:
    chunks: list[Chunk] = []
    talk("openai", script(events), lambda speaker, _: collect(speaker, chunks, asked(**body)))
    return chunks


def parsed(chunks: list[Chunk]) -> list[Any]:
    return [json.loads(chunk.data) for chunk in chunks]


def deltas(chunks: list[Chunk]) -> list[Any]:
    return [said["choices"][0]["delta"] for said in parsed(chunks) if said["choices"]]


def put_together(chunks: list[Chunk]) -> dict[str, Any]:
    """The message that a client makes of the deltas."""
    made: dict[str, Any] = {}
    calls: dict[int, Any] = {}
    for delta in deltas(chunks):
        for key, value in delta.items():
            if key != "tool_calls":
                made[key] = made.get(key, "") + value
                continue
            for call in value:
                known = calls.setdefault(call["index"], {**call, "function": {"name": "", "arguments": ""}})
                for part, more in call["function"].items():
                    known["function"][part] += more
    return made | ({"tool_calls": [calls[number] for number in sorted(calls)]} if calls else {})


# --- Requests --------------------------------------------------------------------------------------------------------
def test_the_smallest_request() -> None:
    item = {"type": "message", "role": "user", "content": "Hi"}
    assert sent() == {"model": "m", "input": [item], "store": False}
    assert sent(max_tokens=99)["max_output_tokens"] == 99
    assert sent(max_tokens=99, max_completion_tokens=98)["max_output_tokens"] == 98


def test_everything_has_its_place() -> None:
    schema = {"name": "city", "schema": SCHEMA, "strict": True}
    body = sent(
        temperature=0.5, top_p=0.9, user="u", metadata={"a": "b"}, service_tier="flex", prompt_cache_key="k",
        reasoning_effort="high", verbosity="low", stream_options={"include_usage": True}, n=1, stop=[], store=False,
        presence_penalty=0, frequency_penalty=0, logit_bias={}, logprobs=False, modalities=["text"], seed=None,
        response_format={"type": "json_schema", "json_schema": schema}, parallel_tool_calls=False,
        tools=[*TOOLS, {"type": "function", "function": {"name": "now", "strict": True}}],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )  # fmt: skip
    assert body == {
        "model": "m", "store": False, "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "temperature": 0.5, "top_p": 0.9, "user": "u", "metadata": {"a": "b"}, "service_tier": "flex",
        "prompt_cache_key": "k", "reasoning": {"effort": "high"}, "parallel_tool_calls": False,
        "text": {"verbosity": "low", "format": {"type": "json_schema", **schema}},
        "tools": [
            {"type": "function", **WEATHER, "strict": False},
            {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": True},
        ],
        "tool_choice": {"type": "function", "name": "weather"},
    }  # fmt: skip
    assert sent(response_format={"type": "json_object"})["text"] == {"format": {"type": "json_object"}}
    assert "text" not in sent(response_format={"type": "text"})
    named = {"type": "function", "function": {"name": "weather"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}}
    assert sent(tools=TOOLS, tool_choice=allowed)["tool_choice"] == {
        "type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}],
    }  # fmt: skip


def test_a_choice_without_tools_is_left_out() -> None:
    assert (
        not {"tools", "tool_choice", "parallel_tool_calls"} & sent(tool_choice="auto", parallel_tool_calls=True).keys()
    )


TURNS: list[Any] = [
    {"role": "system", "content": "Be brief"},
    {"role": "developer", "content": [{"type": "text", "text": "and kind"}]},
    {"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        {"type": "image_url", "image_url": "https://x/a.png"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
    ]},
    {"role": "assistant", "content": "Wait", "reasoning_content": "hm", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"A"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}},
    ]},
    {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
    {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "sunny"}]},
    {"role": "assistant", "content": None, "refusal": "No"},
    {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]},
    {"role": "assistant", "content": ""},
    {"role": "user", "content": "Well?"},
]  # fmt: skip


def test_messages_become_items() -> None:
    refusal = {"type": "refusal", "refusal": "No"}
    assert sent(messages=TURNS)["input"] == [
        {"type": "message", "role": "developer", "content": "Be brief"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "and kind"}]},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
            {"type": "input_image", "image_url": "https://x/a.png"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        ]},
        {"type": "message", "role": "assistant", "content": "Wait"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"A"}'},
        {"type": "function_call", "call_id": "call_2", "name": "now", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_2", "output": "noon"},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "sunny"}]},
        {"type": "message", "role": "assistant", "content": [refusal]},
        {"type": "message", "role": "assistant", "content": [
            {"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "b"}]},
        {"type": "message", "role": "user", "content": "Well?"},
    ]  # fmt: skip


def test_older_functions_are_tools_and_come_back_as_functions() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": "{}"}
    old = {"functions": [WEATHER], "function_call": {"name": "weather"}}
    body = sent(**old)
    assert (body["tools"][0]["name"], body["tool_choice"]) == ("weather", {"type": "function", "name": "weather"})
    assert body["parallel_tool_calls"] is False
    choice = replied(response(call), **old).body["choices"][0]
    assert choice["message"]["function_call"] == {"name": "weather", "arguments": "{}"}
    assert choice["finish_reason"] == "function_call"
    called = [delta["function_call"] for delta in deltas(streamed(STREAMS["two tool calls"], **old)) if len(delta) == 1]
    # The older form has room for one.
    assert "".join(call.get("arguments", "") for call in called) == '{"cmd": "echo one"}'


PART = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"n": 2}, "n"),
        ({"stop": "END"}, "stop"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"logprobs": True}, "logprobs"),
        ({"seed": 7}, "seed"),
        ({"store": True}, "store"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"thinking": {"type": "enabled"}}, "thinking"),
        ({"field_of_the_future": 1}, "field_of_the_future"),
        ({"messages": [{"role": "user", "content": [PART]}]}, "input_audio content"),
        ({"messages": [{"role": "assistant", "content": None, "audio": {"id": "a"}}]}, "audio"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "file_id"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools of type custom"),
        ({"tools": TOOLS, "tool_choice": {"type": "custom"}}, "tool_choice custom"),
        ({"response_format": {"type": "grammar"}}, "response_format grammar"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_has_no_counterpart_is_refused_by_name_and_not_sent(
    changed: dict[str, Any], named: str, whole: bool
) -> None:
    async def scenario(provider: Provider, upstream: Any) -> Any:
        body = asked(**changed)
        with pytest.raises(Unsupported) as caught:
            await (provider.chat(body, IN_RESPONSES) if whole else collect(provider, [], body))
        return caught.value, upstream.seen

    error, seen = talk("openai", answer(response()), scenario)[0]
    assert (error.code, error.recovery, seen) == (named, Recovery.FAILOVER, [])


@pytest.mark.parametrize(
    "odd",
    [{"messages": "Hi"}, {"messages": [7]}, {"messages": [{"role": "owner"}]}, {"tools": [7]}, {"functions": 7}],
    ids=str,
)
def test_a_request_without_shape_is_refused(odd: dict[str, Any]) -> None:
    body = {**asked(), **odd}
    with pytest.raises(ProviderError) as caught:
        talk("openai", answer(response()), lambda p, _: p.chat(body, IN_RESPONSES))
    assert caught.value.recovery is Recovery.FAIL


def test_ark_takes_its_own_words_and_no_strictness() -> None:
    body = sent("ark", tools=TOOLS, thinking={"type": "enabled"}, user="u", metadata={"a": "b"})
    assert body["tools"] == [{"type": "function", **WEATHER}]
    assert (body["thinking"], body.keys() & {"user", "metadata"}) == ({"type": "enabled"}, set())


# --- Whole answers ---------------------------------------------------------------------------------------------------
def test_an_answer_becomes_a_completion() -> None:
    thoughts = {"id": "rs_1", "type": "reasoning", "summary": [{"text": "one"}, {"text": "two"}], "content": []}
    reply = replied(response(thoughts, message(text("Hello "), text("there")), {"type": "item_of_the_future"}))
    assert reply.body == {
        "id": "resp_1",
        "object": "chat.completion",
        "created": 1796019914,
        "model": "gpt-4o",
        "choices": [{
            "index": 0, "logprobs": None, "finish_reason": "stop",
            "message": {
                "role": "assistant", "content": "Hello there", "refusal": None, "reasoning_content": "one\n\ntwo",
            },
        }],
        "usage": USAGE,
    }  # fmt: skip
    assert reply.usage == Tokens(100, 20, kinds=COUNTS)


def test_two_calls_are_numbered_as_they_come() -> None:
    choice = replied(STREAMS["two tool calls"][-1]["response"], tools=TOOLS).body["choices"][0]
    assert choice["message"]["content"] is None
    assert [(call["id"], call["function"]["arguments"]) for call in choice["message"]["tool_calls"]] == [
        ("call_1", '{"cmd": "echo one"}'),
        ("call_2", '{"cmd": "echo two"}'),
    ]
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), (None, "length")]
)
def test_a_cut_answer_says_why(reason: str | None, finish: str) -> None:
    said = response(message(text("Half")), status="incomplete", incomplete_details={"reason": reason})
    assert replied(said).body["choices"][0]["finish_reason"] == finish


def test_a_refusal_is_one_and_nothing_is_an_empty_text() -> None:
    refused = replied(response(message({"type": "refusal", "refusal": "No"}))).body["choices"][0]["message"]
    assert (refused["content"], refused["refusal"]) == (None, "No")
    assert replied(response()).body["choices"][0]["message"]["content"] == ""
    no_usage = replied(response(message(text("a")), usage=None))
    assert (no_usage.usage, "usage" in no_usage.body) == (None, False)


@pytest.mark.parametrize(
    "odd", [{"output": 7}, {"output": [{"type": "message", "content": [{"type": "output_text"}]}]}]
)
def test_an_answer_without_shape_is_none_or_empty(odd: dict[str, Any]) -> None:
    if odd["output"] == 7:
        with pytest.raises(ProviderError, match="no response"):
            replied({**response(), **odd})
    else:
        assert replied({**response(), **odd}).body["choices"][0]["message"]["content"] == ""


# --- Streamed --------------------------------------------------------------------------------------------------------
def test_events_become_chunks() -> None:
    chunks = streamed(STREAMS["text"])
    assert deltas(chunks) == [{"role": "assistant", "content": ""}, {"content": "Hell"}, {"content": "o there"}, {}]
    said = parsed(chunks)
    assert {(one["id"], one["object"], one["model"], one["created"]) for one in said} == {
        ("resp_1", "chat.completion.chunk", "gpt-4o", 1796019914)
    }
    assert [one["choices"][0]["finish_reason"] for one in said[:-1]] == [None, None, None, "stop"]
    assert (said[-1]["choices"], said[-1]["usage"]) == ([], USAGE)
    assert [(chunk.output, chunk.text) for chunk in chunks] == [
        (False, ""), (True, "Hell"), (True, "o there"), (False, ""), (False, ""),
    ]  # fmt: skip
    assert [chunk.usage for chunk in chunks] == [None] * 4 + [Tokens(100, 20, kinds=COUNTS)]
    assert [chunk.usage_only for chunk in chunks] == [False] * 4 + [True]


def called(index: int, call_id: str, name: str) -> dict[str, Any]:
    return {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}


def test_calls_are_numbered_among_themselves() -> None:
    """Not by their place in the output, where thoughts come first."""
    assert deltas(streamed(STREAMS["tool call after reasoning"])) == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "**Thinking** about it"},
        {"tool_calls": [called(0, "call_1", "exec_command")]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"cmd'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '": "echo hi-from-tool"}'}}]},
        {},
    ]
    chunks = streamed(STREAMS["two tool calls"])
    assert [call["index"] for delta in deltas(chunks) for call in delta.get("tool_calls", ())] == [0, 0, 0, 1, 1, 1]
    assert parsed(chunks)[-2]["choices"][0]["finish_reason"] == "tool_calls"


ENDINGS = [
    ("text", "stop"),
    ("tool call after reasoning", "tool_calls"),
    ("two tool calls", "tool_calls"),
    ("refusal", "stop"),
    ("incomplete: max_output_tokens", "length"),
]


@pytest.mark.parametrize(("name", "finish"), ENDINGS)
@pytest.mark.parametrize("lacking", ["nothing", "deltas", "items", "all"])
def test_a_stream_says_the_same_as_a_whole_answer(name: str, finish: str, lacking: str) -> None:
    """Also of servers that say everything only when it is whole, or at the very end."""
    events = STREAMS[name]
    kept = {
        "nothing": events,
        "deltas": [said for said in events if not said["type"].endswith(".delta")],
        "items": [said for said in events if said["type"].startswith(("response.output_item.done", "response.crea"))],
        "all": events[:1],
    }[lacking]
    chunks = streamed([*kept, events[-1]] if lacking in ("items", "all") else kept)
    whole = replied(events[-1]["response"]).body["choices"][0]
    made = put_together(chunks)
    calls = [{**call, "index": number} for number, call in enumerate(whole["message"].pop("tool_calls", []))]
    assert made.pop("tool_calls", []) == calls
    assert {key: value for key, value in made.items() if value} == {
        key: value for key, value in whole["message"].items() if value
    }
    assert parsed(chunks)[-2]["choices"][0]["finish_reason"] == finish == whole["finish_reason"]


def test_parallel_calls_may_come_in_turns_and_under_other_ids_in_the_end() -> None:
    first, *_ = STREAMS["text"]

    def item(step: str, place: int, number: str, arguments: str) -> dict[str, Any]:
        call = {"id": number, "type": "function_call", "call_id": f"call_{place}", "name": "f", "arguments": arguments}
        return {"type": f"response.output_item.{step}", "output_index": place, "item": call}

    def delta(place: int, number: str, words: str) -> dict[str, Any]:
        kind = "response.function_call_arguments.delta"
        return {"type": kind, "item_id": number, "output_index": place, "delta": words}

    chunks = streamed([
        first,
        item("added", 0, "fc_a", ""), item("added", 1, "fc_b", ""), item("added", 2, "fc_c", ""),
        delta(1, "fc_b", '{"b"'), delta(0, "fc_a", '{"a"'), delta(1, "fc_b", ":1}"), delta(0, "fc_a", ":2}"),
        {"type": "response.function_call_arguments.delta", "item_id": "fc_unknown", "output_index": 9, "delta": "x"},
        item("done", 1, "fc_other", '{"b":1}'), item("done", 0, "fc_a", '{"a":2}'), item("done", 2, "fc_c", ""),
        STREAMS["two tool calls"][-1],
    ])  # fmt: skip
    calls = put_together(chunks)["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [
        ("call_0", '{"a":2}'),
        ("call_1", '{"b":1}'),
        ("call_2", "{}"),
    ]


def test_a_break_and_a_failure() -> None:
    def fail(events: list[dict[str, Any]]) -> tuple[ProviderError, list[Chunk]]:
        chunks: list[Chunk] = []
        with pytest.raises(ProviderError) as caught:
            talk("openai", script(events), lambda speaker, _: collect(speaker, chunks, asked()))
        return caught.value, chunks

    error, _ = fail(STREAMS["failed before output: no quota"])
    assert (type(error), error.recovery, error.code) == (ProviderError, Recovery.FAILOVER, "insufficient_quota")
    last = json.loads(json.dumps(STREAMS["failed in the middle"][-1]))
    last["response"]["usage"] = STREAMS["text"][-1]["response"]["usage"]
    error, chunks = fail([*STREAMS["failed in the middle"][:-1], last])
    assert (type(error), error.text) == (StreamBroke, "The provider broke off.")
    assert chunks[-1].usage == Tokens(100, 20, kinds=COUNTS)
    # What failed has no finish reason.
    assert all(one["choices"][0]["finish_reason"] is None for one in parsed(chunks)[:-1])
    for number in range(len(STREAMS["text"])):
        error, _ = fail(STREAMS["text"][:number])
        assert type(error) is (StreamBroke if number > 4 else ProviderError)
