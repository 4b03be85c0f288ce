"""Anthropic's Messages API behind OpenAI's chat shape, both ways."""

from typing import Any

import pytest

from llm.providers.base import Audio, ProviderError, Recovery, Tokens, Unsupported

from .upstream import KEY, answer, asked, collected, talk

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "The weather", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": WEATHER}]


def message(*content: dict[str, Any], stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    counted = {"input_tokens": 5, "output_tokens": 7, **more}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": list(content),
        "stop_reason": stop, "stop_sequence": None, "usage": counted,
    }  # fmt: skip


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def sent(body: dict[str, Any], **more: Any) -> Any:
    _reply, upstream = talk("claude", answer(message(text("a"))), lambda p, _: p.chat(body), **more)
    return upstream.seen[0].json


def replied(said: dict[str, Any], **body: Any) -> Any:
    return talk("claude", answer(said), lambda provider, _: provider.chat(asked(**body)))[0]


# --- Requests ---------------------------------------------------------------------------------------------------------
def test_the_key_the_version_and_the_path_are_anthropics() -> None:
    _reply, upstream = talk("claude", answer(message(text("a"))), lambda p, _: p.chat(asked()))
    seen = upstream.seen[0]
    assert seen.line == "POST /v1/messages HTTP/1.1"
    assert (seen.headers["x-api-key"], seen.headers["anthropic-version"]) == (KEY, "2026-10-21")
    assert "authorization" not in seen.headers


def test_the_smallest_request() -> None:
    turn = {"role": "user", "content": [text("Hi")]}
    assert sent(asked()) == {"model": "m", "max_tokens": 4096, "messages": [turn]}
    assert sent(asked(max_tokens=9))["max_tokens"] == 9
    assert sent(asked(max_tokens=9, max_completion_tokens=8))["max_tokens"] == 8


def test_sampling_parameters_choose_the_version_that_takes_them() -> None:
    body = asked(temperature=1.5, top_p=0.9, n=1, logprobs=None, user="u7", stop="END")
    _reply, upstream = talk("claude", answer(message(text("a"))), lambda p, _: p.chat(body))
    seen = upstream.seen[0]
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert (seen.json["temperature"], seen.json["top_p"]) == (1, 0.9)
    assert (seen.json["stop_sequences"], seen.json["metadata"]) == (["END"], {"user_id": "u7"})
    assert "temperature" not in sent(asked(temperature=1, top_p=1, presence_penalty=0, logprobs=False))


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("n", 2, "n"),
        ("seed", 1, "seed"),
        ("logprobs", True, "logprobs"),
        ("service_tier", "flex", "service_tier"),
        ("response_format", {"type": "json_object"}, "response_format json_object"),
        ("reasoning_effort", "huge", "reasoning_effort huge"),
        ("something_new", {}, "something_new"),
        ("metadata", {"tag": "x"}, "metadata"),
        ("tools", [{"type": "custom", "custom": {"name": "x"}}], "tools of type custom"),
    ],
)
def test_W9_what_claude_has_no_room_for_is_refused_by_name(name: str, value: Any, code: str) -> None:
    with pytest.raises(Unsupported) as caught:
        sent(asked(**{name: value}))
    assert caught.value.code == code
    with pytest.raises(Unsupported, match="temperature"):
        sent(asked(temperature=0.5), api_version="2026-10-21")


def test_W9_schemas_and_effort_are_translated() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
    body = sent(asked(response_format=wanted, reasoning_effort="high"))
    assert body["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}}


@pytest.mark.parametrize(
    ("model", "effort", "more", "thinking", "sent_effort"),
    [
        ("claude-opus-5", "minimal", {}, {"type": "adaptive"}, "low"),
        ("claude-opus-5", "max", {}, {"type": "adaptive"}, "max"),
        ("claude-opus-5", "none", {}, {"type": "disabled"}, None),
        ("claude-opus-5", "high", {"thinking": {"type": "between_tools"}}, {"type": "between_tools"}, "high"),
        ("claude-opus-5", "high", {"tools": TOOLS, "tool_choice": "required"}, None, "high"),
        ("claude-opus-5", "high", {"temperature": 0.5}, None, "high"),
        ("claude-sonnet-4-5-20250929", "low", {}, {"type": "enabled", "budget_tokens": 2048}, None),
        ("us.anthropic.claude-sonnet-4-5-v1:0", "high", {}, {"type": "enabled", "budget_tokens": 4095}, None),
        ("claude-haiku-4-5", "high", {"max_tokens": 1000}, None, None),
    ],
)
def test_W9_effort_is_thinking_as_far_as_the_model_may_think(
    model: str, effort: str, more: dict[str, Any], thinking: Any, sent_effort: str | None
) -> None:
    body = sent({**asked(reasoning_effort=effort, **more), "model": model})
    assert (body.get("thinking"), body.get("output_config", {}).get("effort")) == (thinking, sent_effort)


def test_W8_thoughts_are_given_out_signed_and_taken_back() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    given = replied(message(thought, call, stop="tool_use"), tools=TOOLS).body["choices"][0]["message"]
    assert given["thinking_blocks"] == [thought]
    result = {"role": "tool", "tool_call_id": "t1", "content": "sunny"}
    on = {"tools": TOOLS, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    body = sent(asked([{"role": "user", "content": "Hi"}, given, result], **on))
    assert (body["messages"][1]["content"], "thinking" in body) == ([thought, call], True)
    # A client that lost them is answered all the same, without thinking in this turn.
    del given["thinking_blocks"]
    assert "thinking" not in sent(asked([{"role": "user", "content": "Hi"}, given, result], **on))


def test_anthropics_own_parameters_are_passed_through() -> None:
    own = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "service_tier": "auto", "stop": ["a", "b"]}
    body = sent(asked(**own))
    assert (body["thinking"], body["service_tier"], body["stop_sequences"]) == (own["thinking"], "auto", ["a", "b"])


def test_system_messages_go_to_the_top_and_neighbours_are_merged() -> None:
    body = sent(
        asked(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "a"},
                {"role": "user", "content": ""},
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [text("b")]},
                {"role": "assistant", "content": "c"},
                {"role": "user", "content": "d"},
            ]
        )
    )
    assert body["system"] == "Be brief.\n\nBe kind."
    assert body["messages"] == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("c")]},
        {"role": "user", "content": [text("d")]},
    ]
    cached = {**text("x"), "cache_control": {"type": "ephemeral"}}
    assert sent(asked([{"role": "system", "content": [cached]}, {"role": "user", "content": "a"}]))["system"] == [
        cached
    ]


def test_images_become_sources() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
    ]
    assert sent(asked([{"role": "user", "content": parts}]))["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ]


@pytest.mark.parametrize(
    ("messages", "recovery", "code"),
    [
        ([{"role": "user", "content": [{"type": "input_audio"}]}], Recovery.FAILOVER, "input_audio content"),
        ([{"role": "user", "content": [7]}], Recovery.FAILOVER, "None content"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png,raw"}]}],
            Recovery.FAIL,
            "image_url",
        ),
        ([{"role": "robot", "content": "a"}], Recovery.FAIL, "messages"),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}],
            Recovery.FAILOVER,
            "file content by id",
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_data": "data:text/csv;base64,AA"}}]}],
            Recovery.FAILOVER,
            "file content of type text/csv",
        ),
        (
            [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x/a.png"}}]}],
            Recovery.FAILOVER,
            "image content in a system message",
        ),
        ([{"role": "assistant", "content": None, "audio": {"id": "a"}}], Recovery.FAILOVER, "audio content"),
        (
            [{"role": "assistant", "content": None, "tool_calls": [{"type": "custom", "custom": {}}]}],
            Recovery.FAILOVER,
            "tool_calls of type custom",
        ),
        (["Hi"], Recovery.FAIL, "messages"),
    ],
)
def test_what_claude_cannot_read_is_refused_by_name(messages: list[Any], recovery: Recovery, code: str) -> None:
    for call in (sent, lambda body: collected("claude", [], body)):
        with pytest.raises(ProviderError) as caught:
            call(asked(messages))
        assert (caught.value.recovery, caught.value.code) == (recovery, code)


CALL = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Xi\'an"}'}}


def test_tools_calls_and_results_are_translated() -> None:
    other = {**CALL, "id": "toolu_2", "function": {"name": "weather", "arguments": "no json"}}
    body = sent(
        asked(
            [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": "Wait", "tool_calls": [CALL, other]},
                {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"},
                {"role": "tool", "tool_call_id": "toolu_2", "content": [text("rain")]},
                {"role": "user", "content": "Well?"},
            ],
            tools=[*TOOLS, {"type": "function", "function": {"name": "now"}}],
            tool_choice="required",
            parallel_tool_calls=False,
        )
    )
    assert body["tools"] == [
        {"name": "weather", "description": "The weather", "input_schema": SCHEMA},
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                text("Wait"),
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Xi'an"}},
                {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"arguments": "no json"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [text("rain")]},
                text("Well?"),
            ],
        },
    ]


@pytest.mark.parametrize(
    ("choice", "translated"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
        (None, None),
    ],
)
def test_the_choice_of_a_tool_is_translated(choice: Any, translated: Any) -> None:
    assert sent(asked(tools=TOOLS, tool_choice=choice)).get("tool_choice") == translated
    assert "tool_choice" not in sent(asked(tool_choice=choice))


def test_only_the_tools_that_are_allowed_are_offered() -> None:
    other = {"type": "function", "function": {"name": "other", "strict": True}}
    named = [{"type": "function", "function": {"name": "other"}}]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": named}}
    body = sent(asked(tools=[*TOOLS, other], tool_choice=choice))
    assert [(tool["name"], tool.get("strict")) for tool in body["tools"]] == [("other", True)]
    assert body["tool_choice"] == {"type": "any"}
    with pytest.raises(Unsupported, match="tool_choice custom"):
        sent(asked(tools=TOOLS, tool_choice={"type": "custom", "custom": {"name": "x"}}))


def test_results_come_first_in_their_turn_and_ids_are_such_as_claude_takes() -> None:
    call = {**CALL, "id": "functions.weather:0"}
    body = sent(
        asked([
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "user", "content": "Well?"},
            {"role": "tool", "tool_call_id": "functions.weather:0", "content": "sunny"},
        ])
    )  # fmt: skip
    (used,), (result, words) = (turn["content"] for turn in body["messages"])
    assert used["id"] == result["tool_use_id"] == "functions_weather_0"
    assert words == text("Well?")


def test_what_changes_no_answer_is_left_out() -> None:
    wishes = {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "verbosity": "low", "safety_identifier": "u"}
    assert sent(asked(**wishes)) == {**sent(asked()), "metadata": {"user_id": "u"}}


def test_what_was_refused_is_part_of_the_conversation() -> None:
    body = sent(asked([{"role": "user", "content": "Hi"}, {"role": "assistant", "refusal": "No.", "content": None}]))
    assert body["messages"][1]["content"] == [text("No.")]


# --- Answers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "stop"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("of_the_future", "stop"),
    ],
)
def test_a_message_is_a_chat_completion(reason: str, finish: str) -> None:
    said = message({"type": "thinking", "thinking": "hm", "signature": "s"}, text("Hel"), text("lo"), stop=reason)
    said["usage"].update(cache_creation_input_tokens=10, cache_read_input_tokens=100)
    reply = replied(said)
    choice = reply.body["choices"][0]
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    said = {"role": "assistant", "content": "Hello", "reasoning_content": "hm", "thinking_blocks": [thought]}
    assert choice["message"] == said
    kinds = {"input": 5, "cache_write": 10, "cache_read": 100, "output": 7}
    assert (choice["finish_reason"], reply.usage) == (finish, Tokens(115, 7, kinds=kinds))
    assert (reply.body["object"], reply.body["id"], reply.body["model"]) == ("chat.completion", "msg_1", "claude-x")
    assert reply.body["usage"] == {
        "prompt_tokens": 115,
        "completion_tokens": 7,
        "total_tokens": 122,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 10},
    }


def test_a_tool_use_is_a_tool_call_or_a_function_call() -> None:
    said = message({"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "A"}}, stop="tool_use")
    function = {"name": "weather", "arguments": '{"city":"A"}'}
    choice = replied(said, tools=TOOLS).body["choices"][0]
    assert choice["message"]["tool_calls"] == [{"id": "t1", "type": "function", "function": function}]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    choice = replied(said, functions=[WEATHER]).body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": None, "function_call": function}
    assert choice["finish_reason"] == "function_call"


@pytest.mark.parametrize("counted", [None, {}, {"input_tokens": -1, "output_tokens": 2}, {"input_tokens": 1}])
def test_no_usage_is_made_up(counted: Any) -> None:
    reply = replied({**message(text("a")), "usage": counted})
    assert reply.usage is None
    assert "usage" not in reply.body


def test_claude_only_chats() -> None:
    for call, name in (
        (lambda p, _: p.embed({}), "embeddings"),
        (lambda p, _: p.images({}), "images"),
        (lambda p, _: p.transcribe(Audio(b""), {}), "speech to text"),
        (lambda p, _: p.speak({}), "text to speech"),
    ):
        with pytest.raises(Unsupported, match=f"claude has no {name}"):
            talk("claude", [], call)
