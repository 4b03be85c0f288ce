"""OpenAI's own client talks to /v1: answers, streams, tools, and what they cost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel

from tests.conftest import rarely

from .conftest import GIFT, QUESTION, WEATHER, Deployment
from .vendors import openai

pytestmark = pytest.mark.django_db(transaction=True)

HELLO: list[Any] = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "你好"}]
TOOLS: list[Any] = [{"type": "function", "function": WEATHER}]
EVERY_CHAT_MODEL = pytest.mark.parametrize(
    "model", ["doubao-pro", *rarely("gpt-4"), "claude-3-sonnet", *rarely("gpt-5-codex")]
)


@EVERY_CHAT_MODEL
def test_a_chat_is_answered_and_charged(deployment: Deployment, model: str) -> None:
    raw = deployment.openai().chat.completions.with_raw_response.create(model=model, messages=HELLO, max_tokens=50)
    completion = raw.parse()
    assert completion.model == model
    assert completion.choices[0].message.content
    assert completion.choices[0].message.content.startswith("你好")
    assert completion.choices[0].finish_reason == "length"
    usage = deployment.usage()
    assert completion.usage
    assert (usage.input_tokens, usage.output_tokens) == (completion.usage.prompt_tokens, 50)
    assert (usage.request_id, usage.usage_source) == (raw.headers["x-request-id"], "provider")
    assert deployment.wallet.balance == GIFT - usage.quota


@EVERY_CHAT_MODEL
@pytest.mark.parametrize("asks_for_usage", [True, False])
def test_a_stream_says_the_same_as_a_whole_answer(deployment: Deployment, model: str, asks_for_usage: bool) -> None:
    client = deployment.openai()
    whole = client.chat.completions.create(model=model, messages=HELLO, max_tokens=40)
    options: Any = {"stream_options": {"include_usage": True}} if asks_for_usage else {}
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, max_tokens=40, stream=True, **options))
    assert {chunk.model for chunk in chunks} == {model}
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    reports = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(reports) == asks_for_usage
    if asks_for_usage:
        assert whole.usage
        assert (chunks[-1].choices, reports[0].total_tokens) == ([], whole.usage.total_tokens)
    assert deployment.usage(2).output_tokens == 40


@EVERY_CHAT_MODEL
def test_the_stream_helper_puts_the_answer_together(deployment: Deployment, model: str) -> None:
    question: list[Any] = [{"role": "user", "content": "12 * 34"}]
    with deployment.openai().chat.completions.stream(model=model, messages=question) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert final.choices[0].message.content == text == "12 * 34 = **408**."
    assert final.choices[0].finish_reason == "stop"
    deployment.usage()


@EVERY_CHAT_MODEL
def test_tools_are_called_and_their_results_answered(deployment: Deployment, model: str) -> None:
    client = deployment.openai()
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.tool_calls
    (call,) = first.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)["city"]) == ("get_weather", "Beijing")
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 °C"}]
    second = client.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0]
    assert second.finish_reason == "stop"
    assert "sunny, 21 °C" in (second.message.content or "")
    deployment.usage(2)


@EVERY_CHAT_MODEL
def test_calls_of_tools_are_streamed(deployment: Deployment, model: str) -> None:
    time = {"name": "get_time", "description": "Tells the time of a city", "parameters": WEATHER["parameters"]}
    tools: list[Any] = [*TOOLS, {"type": "function", "function": time}]
    question: list[Any] = [{"role": "user", "content": "Weather and time in Paris, fahrenheit?"}]
    helper = deployment.openai().chat.completions.stream(model=model, messages=question, tools=tools)
    with helper as stream:
        for _ in stream:
            pass
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]
    expected = {"city": "Paris", "unit": "fahrenheit"}
    assert calls == [("get_weather", expected), ("get_time", expected)]
    assert len({call.id for call in choice.message.tool_calls or ()}) == 2
    deployment.usage()


@EVERY_CHAT_MODEL
def test_one_call_at_a_time_and_a_named_tool(deployment: Deployment, model: str) -> None:
    client = deployment.openai()
    choice: Any = {"type": "function", "function": {"name": "get_weather"}}
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Hello"}],
        tools=TOOLS,
        tool_choice=choice,
        parallel_tool_calls=False,
    )
    assert len(answer.choices[0].message.tool_calls or ()) == 1
    none = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": QUESTION}], tools=TOOLS, tool_choice="none"
    )
    assert none.choices[0].message.tool_calls is None
    deployment.usage(2)


@EVERY_CHAT_MODEL
def test_the_older_functions_work(deployment: Deployment, model: str) -> None:
    """Also with models that know only tools."""
    client = deployment.openai()
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    functions: list[Any] = [WEATHER]
    first = client.chat.completions.create(model=model, messages=messages, functions=functions).choices[0]
    assert first.finish_reason == "function_call"
    assert first.message.function_call
    assert json.loads(first.message.function_call.arguments)["city"] == "Beijing"
    streamed = list(client.chat.completions.create(model=model, messages=messages, functions=functions, stream=True))
    calls = [chunk.choices[0].delta.function_call for chunk in streamed if chunk.choices]
    arguments = "".join(call.arguments or "" for call in calls if call)
    assert json.loads(arguments)["city"] == "Beijing"
    messages += [first.message, {"role": "function", "name": "get_weather", "content": "rain"}]
    second = client.chat.completions.create(model=model, messages=messages, functions=functions)
    assert "rain" in (second.choices[0].message.content or "")
    deployment.usage(3)


class Forecast(BaseModel):
    city: str
    degrees: int


def test_a_structured_answer_is_parsed(deployment: Deployment) -> None:
    answer = deployment.openai().chat.completions.parse(
        model="gpt-4", messages=[{"role": "user", "content": "21 degrees in Beijing"}], response_format=Forecast
    )
    assert answer.choices[0].message.parsed == Forecast(city="Beijing", degrees=21)
    deployment.usage()


def test_several_answers_are_all_charged(deployment: Deployment) -> None:
    answer = deployment.openai().chat.completions.create(model="gpt-4", messages=HELLO, max_tokens=10, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert deployment.usage().output_tokens == 30


def test_a_stop_sequence_ends_the_answer(deployment: Deployment) -> None:
    answer = deployment.openai().chat.completions.create(model="doubao-lite", messages=HELLO, stop=["**"])
    assert answer.choices[0].finish_reason == "stop"
    assert "**" not in (answer.choices[0].message.content or "")
    deployment.usage()


def test_what_a_provider_knows_beyond_openai_is_passed_on(deployment: Deployment) -> None:
    answer = deployment.openai().chat.completions.create(
        model="doubao-pro", messages=HELLO, extra_body={"thinking": {"type": "enabled"}}
    )
    assert answer.choices[0].message.model_extra
    assert "你好" in answer.choices[0].message.model_extra["reasoning_content"]
    deployment.usage()


def test_the_asynchronous_client_holds_many_streams(deployment: Deployment) -> None:
    async def one(client: openai.AsyncOpenAI, number: int) -> str:
        question: list[Any] = [{"role": "user", "content": f"{number} + {number}"}]
        stream = await client.chat.completions.create(model="doubao-lite", messages=question, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(api_key=deployment.key, base_url=deployment.url) as client:
            return await asyncio.gather(*(one(client, number) for number in range(20)))

    assert asyncio.run(all_of_them()) == [f"{number} + {number} = **{2 * number}**." for number in range(20)]
    deployment.usage(20)


@EVERY_CHAT_MODEL
def test_who_hangs_up_pays_for_what_was_generated(deployment: Deployment, model: str) -> None:
    question: list[Any] = [{"role": "user", "content": "Hello [[fault: slow 60]]"}]
    with deployment.openai().chat.completions.create(model=model, messages=question, stream=True) as stream:
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
    usage = deployment.usage()
    assert (usage.outcome, usage.usage_source) == ("abandoned", "provider")
    assert usage.output_tokens > 20
