"""The stand-ins for Ark, OpenAI and Anthropic: what they answer to a chat, and what they refuse."""

import json
from typing import Any

import pytest

from sandbox.upstream import tokens
from sandbox.upstream.catalogue import CUSTOMERS

from .model_client import Customer

EVERYONE = pytest.mark.parametrize("provider", ["ark", "openai", "anthropic"])
OPENAI_LIKE = pytest.mark.parametrize("provider", ["ark", "openai"])
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": FUNCTION}]
ASKED = {"role": "user", "content": "What is the weather in Paris?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}


@EVERYONE
def test_only_a_customers_key_is_let_in(models: int, provider: str) -> None:
    wrong = Customer(models, provider, "sk-wrong").chat()
    assert wrong.status == 401
    code = {"ark": "AuthenticationError", "openai": "invalid_api_key"}.get(provider)
    assert wrong.error["type"] == "authentication_error" if code is None else wrong.error["code"] == code
    other = next(name for name in CUSTOMERS if name != provider)
    assert Customer(models, provider, CUSTOMERS[other][0].key).chat().status == 401
    assert Customer(models, provider, CUSTOMERS[provider][1].key).chat().status == 200


@EVERYONE
def test_who_has_not_paid_is_told_so(models: int, provider: str) -> None:
    said = Customer(models, provider, CUSTOMERS[provider][2].key).chat()
    code = said.error.get("code") or said.error["type"]
    expected = {"ark": (403, "AccountOverdueError"), "openai": (429, "insufficient_quota")}
    assert (said.status, code) == expected.get(provider, (402, "billing_error"))


@EVERYONE
def test_an_unknown_model_is_refused_in_the_providers_words(models: int, provider: str) -> None:
    said = Customer(models, provider).chat(model="gpt-9")
    code = said.error.get("code") or said.error["type"]
    expected = {"ark": "InvalidEndpointOrModel.NotFound", "openai": "model_not_found"}
    assert (said.status, code) == (404, expected.get(provider, "not_found_error"))
    named = said.headers["request-id" if provider == "anthropic" else "x-request-id"]
    assert (named in said.body.decode()) == (provider != "openai")


@EVERYONE
@pytest.mark.parametrize(
    "change",
    [
        {"model": None},
        {"messages": None},
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "king", "content": "hi"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"max_tokens": 100_000},
        {"stream": "yes"},
        {"tools": [{"name": 7}]},
        {"tool_choice": {"type": "tool", "name": "nobody"}},
        {"stop": 7, "stop_sequences": 7},
    ],
    ids=str,
)
def test_a_wrong_request_is_refused(models: int, provider: str, change: dict[str, Any]) -> None:
    said = Customer(models, provider).chat(**change)
    assert said.status == 400, said.body
    assert said.error["message"]


@OPENAI_LIKE
@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 2.1},
        {"top_p": -1},
        {"n": 1000},
        {"stream_options": {"include_usage": True}},
        {"response_format": {"type": "json_object"}},
        {"response_format": "json"},
        {
            "tools": [{"type": "function", "function": {**FUNCTION, "parameters": {"properties": "all"}}}],
            "tool_choice": "required",
        },
        {"messages": [ASKED, {"role": "tool", "tool_call_id": "x", "content": "sunny"}]},
        {"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]}, ASKED]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "nobody"}}},
        {"messages": [{"role": "user", "content": "word " * 140_000}]},
    ],
    ids=lambda value: str(value)[:60],
)
def test_openais_rules_are_kept(models: int, provider: str, change: dict[str, Any]) -> None:
    said = Customer(models, provider).chat(**change)
    assert said.status == 400, said.body
    assert said.error["param"]


def test_openai_refuses_what_it_does_not_know_and_ark_does_not_know_functions(models: int) -> None:
    assert Customer(models, "openai").chat(thinking={"type": "enabled"}).status == 400
    assert Customer(models, "openai").chat(functions=[FUNCTION]).status == 200
    assert Customer(models, "ark").chat(functions=[FUNCTION]).error["code"] == "InvalidParameter"
    assert Customer(models, "ark").chat(model=None).error["code"] == "MissingParameter.model"


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        ({"max_tokens": None}, {}),
        ({"temperature": 0.5}, {}),
        ({"top_p": 0.5}, {}),
        ({"top_k": 5}, {}),
        ({"temperature": 1.5}, {"anthropic_version": "2023-06-01"}),
        ({}, {"anthropic_version": "2019-01-01"}),
        ({"frequency_penalty": 1}, {}),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, {}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}, {}),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]}, {}),
        ({"tools": [{"name": "x", "input_schema": {"type": "string"}}]}, {}),
    ],
    ids=str,
)
def test_anthropics_rules_are_kept(models: int, change: dict[str, Any], headers: dict[str, str]) -> None:
    customer = Customer(models, "anthropic")
    body = {"model": "claude-3-sonnet-20240229", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    body = {name: value for name, value in (body | change).items() if value is not None}
    said = customer.post("/v1/messages", body, **headers)
    assert (said.status, said.error["type"]) == (400, "invalid_request_error")


def test_the_older_version_still_takes_sampling(models: int) -> None:
    customer = Customer(models, "anthropic")
    body = {"model": "claude-3-sonnet-20240229", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    said = customer.post("/v1/messages", body | {"temperature": 0.5, "top_k": 5}, anthropic_version="2023-06-01")
    assert said.status == 200


@EVERYONE
def test_what_is_no_json_is_refused(models: int, provider: str) -> None:
    customer = Customer(models, provider)
    path = "/v1/messages" if provider == "anthropic" else "/chat/completions"
    assert customer.post(path, b"{").status == 400
    assert customer.post(path, b"[]").status == 400
    assert customer.post(path, {}, Content_Type="text/plain").status == 400
    assert customer.get(path).status == 404
    assert customer.post("/nothing", {}).status == 404


# --- Answers ---------------------------------------------------------------------------------------------------------
@OPENAI_LIKE
def test_usage_is_what_was_read_and_written(models: int, provider: str) -> None:
    said = Customer(models, provider).chat(max_tokens=None).json
    text = said["choices"][0]["message"]["content"]
    assert said["usage"]["completion_tokens"] == tokens.count(text) > 20
    assert said["usage"]["prompt_tokens"] == tokens.count_turns(["Hello"])
    assert said["usage"]["total_tokens"] == said["usage"]["prompt_tokens"] + said["usage"]["completion_tokens"]


@OPENAI_LIKE
@pytest.mark.parametrize("asks_for_usage", [True, False])
def test_a_stream_is_the_whole_answer_in_pieces(models: int, provider: str, asks_for_usage: bool) -> None:
    customer = Customer(models, provider)
    whole = customer.chat().json
    options = {"stream_options": {"include_usage": True}} if asks_for_usage else {}
    said = customer.chat(stream=True, **options)
    assert said.headers["content-type"].startswith("text/event-stream")
    assert said.lines[-1] == "[DONE]"
    choices = [event["choices"][0] for event in said.events if event["choices"]]
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    assert text == whole["choices"][0]["message"]["content"]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["length"]
    reports = [event["usage"] for event in said.events if event.get("usage")]
    assert reports == ([whole["usage"]] if asks_for_usage else [])
    assert all("usage" in event for event in said.events) == asks_for_usage


def test_ark_reports_with_every_chunk_when_asked_to(models: int) -> None:
    options = {"include_usage": True, "chunk_include_usage": True}
    events = Customer(models, "ark").chat(stream=True, stream_options=options).events
    written = [event["usage"]["completion_tokens"] for event in events]
    assert written == sorted(written)
    assert (written[0], written[-1]) == (0, 30)


def test_ark_thinks_aloud_when_asked_to(models: int) -> None:
    said = Customer(models, "ark").chat(thinking={"type": "enabled"}, max_tokens=200).json
    assert "Hello" in said["choices"][0]["message"]["reasoning_content"]
    assert said["usage"]["completion_tokens_details"]["reasoning_tokens"] > 5


@EVERYONE
def test_streams_come_at_the_pace_of_somebody_who_writes(models: int, provider: str) -> None:
    slow = [{"role": "user", "content": "Hello [[fault: slow 100]]"}]
    said = Customer(models, provider).chat(stream=True, messages=slow)
    assert 0.2 < said.times[-1] - said.times[0] < 2
    halfway = said.times[len(said.times) // 2] - said.times[0]
    assert 0.1 < halfway < said.times[-1] - said.times[0]


def test_anthropics_events_come_in_their_order(models: int) -> None:
    events = Customer(models, "anthropic").chat(stream=True).events
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[0]["message"]["usage"]["input_tokens"] > 0
    assert events[-2]["usage"]["output_tokens"] == 30
    assert events[-2]["delta"]["stop_reason"] == "max_tokens"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("写一段 Python 代码", "```python"),
        ("Write some code", "```python"),
        ("比较苹果和梨", "| | 苹果 | 梨 |"),
        ("Compare tea with coffee", "| | tea | coffee |"),
        ("怎么学英语", "1. **"),
        ("How do I learn Go?", "1. **"),
        ("12 * 34", "**408**"),
        ("1/0", "zero"),
        ("What is 7 - 9?", "**-2**"),
        ("What happened on 2026-11-22?", "2026-11-22"),
        ("你是谁", "演示模型"),
        ("天空是蓝色的", "天空是蓝色的"),
        ("The sky is blue | `x`", "The sky is blue / 'x'"),
    ],
)
def test_it_answers_in_the_language_of_the_question_about_what_was_asked(
    models: int, question: str, expected: str
) -> None:
    said = Customer(models, "ark").chat(messages=[{"role": "user", "content": question}], max_tokens=None).json
    assert expected in said["choices"][0]["message"]["content"]


def test_it_remembers_the_conversation(models: int) -> None:
    said = [
        {"role": "user", "content": "我喜欢茶"},
        {"role": "assistant", "content": "好"},
        {"role": "user", "content": "我刚才说了什么？"},
    ]
    answer = Customer(models, "ark").chat(messages=said, max_tokens=None).json
    assert "我喜欢茶" in answer["choices"][0]["message"]["content"]


def test_tools_are_called_with_arguments_of_their_schema(models: int) -> None:
    inner = {"type": "object", "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 5}}}
    schema = {"type": "object", "properties": {**SCHEMA["properties"], "range": inner, "also": {"type": "array"}}}
    tools = [{"type": "function", "function": {**FUNCTION, "parameters": schema}}]
    asked = [{"role": "user", "content": "What is the weather in New York for 9 days?"}]
    said = Customer(models, "openai").chat(messages=asked, tools=tools, max_tokens=None).json["choices"][0]
    arguments = json.loads(said["message"]["tool_calls"][0]["function"]["arguments"])
    assert said["finish_reason"] == "tool_calls"
    assert (arguments["city"], arguments["range"]) == ("New York", {"days": 5})
    plain = Customer(models, "openai").chat(tools=tools).json["choices"][0]
    assert plain["message"].get("tool_calls") is None


def test_tokens_put_together_are_the_text() -> None:
    text = "Hello wonderful 世界!\n\n  12345 x²\0\ud83d"
    assert "".join(tokens.split(text)) == text
    assert tokens.count("你好") == 2
