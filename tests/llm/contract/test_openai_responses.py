"""OpenAI's own client talks Responses with the stand-in, which is as strict as it has to be for us to be right."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llm.providers import open_provider
from llm.providers.base import RESPONSES, Account, Chunk, ProviderError
from llm.relay import loops
from sandbox.upstream.catalogue import CUSTOMERS
from tests.conftest import sampled

from .conftest import QUESTION, WEATHER, Deployment
from .vendors import openai

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = [customer.key for customer in CUSTOMERS["openai"]]
TOOL: Any = {"type": "function", "strict": False, **WEATHER}
PATCH: Any = {"type": "custom", "name": "apply_patch", "description": "Applies a patch"}
KEPT = {"store": False, "include": ["reasoning.encrypted_content"]}
MODEL = "gpt-5-codex"


def stand_in(deployment: Deployment, key: str = KEYS[0], brand: str = "openai/v1") -> Any:
    return deployment.openai(base_url=f"{deployment.server.address}/sandbox/llm/{brand}", api_key=key).responses


@pytest.mark.parametrize("effort", [None, "high"])
def test_a_stream_says_the_same_as_a_whole_answer(deployment: Deployment, effort: str | None) -> None:
    asked = {"model": MODEL, "input": "12 * 34", **KEPT}
    asked |= {"reasoning": {"effort": effort, "summary": "auto"}} if effort else {}
    whole = stand_in(deployment).create(**asked)
    assert (whole.output_text, whole.status) == ("12 * 34 = **408**.", "completed")
    with stand_in(deployment).stream(**asked) as stream:
        numbers = [event.sequence_number for event in stream]
        final = stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert (final.output_text, final.usage) == (whole.output_text, whole.usage)
    assert [item.type for item in final.output] == (["reasoning", "message"] if effort else ["message"])


def test_an_answer_that_is_cut_is_incomplete(deployment: Deployment) -> None:
    with stand_in(deployment).stream(model=MODEL, input="你好", max_output_tokens=20, store=False) as stream:
        final = list(stream)[-1]
    assert (final.type, final.response.incomplete_details.reason) == ("response.incomplete", "max_output_tokens")
    assert final.response.usage.output_tokens == 20


def test_calls_thoughts_and_results_come_back_in_the_next_turn(deployment: Deployment) -> None:
    turns: list[Any] = [{"role": "user", "content": QUESTION}]
    asked = {"model": MODEL, "tools": [TOOL, PATCH], "reasoning": {"effort": "low"}, **KEPT}
    first = stand_in(deployment).create(input=turns, **asked)
    thought, call = first.output
    assert (thought.type, call.name, json.loads(call.arguments)["city"]) == ("reasoning", "get_weather", "Beijing")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 21 °C"}
    items = [item.model_dump(exclude_none=True) for item in first.output]
    second = stand_in(deployment).create(input=[*turns, *items, result], **asked)
    assert "sunny, 21 °C" in second.output_text
    refused = {
        # Its thought is missing, was sealed for another account, or nothing follows it.
        "required 'reasoning' item": (KEYS[0], [*turns, items[1], result]),
        "could not be verified": (KEYS[1], [*turns, *items, result]),
        "required following item": (KEYS[0], [*turns, items[1] | {"id": None}, result, items[0]]),
    }
    for text, (key, sent) in refused.items():
        cleaned = [{name: value for name, value in item.items() if value is not None} for item in sent]
        with pytest.raises(openai.BadRequestError, match=text):
            stand_in(deployment, key).create(input=cleaned, **asked)
    # Without its id it belongs to no thought.
    alone = {name: value for name, value in items[1].items() if name != "id"}
    assert stand_in(deployment, KEYS[1]).create(input=[*turns, alone, result], **asked).output_text


def test_a_custom_tool_is_called_in_its_own_words(deployment: Deployment) -> None:
    choice: Any = {"type": "custom", "name": "apply_patch"}
    with stand_in(deployment).stream(
        model=MODEL, input="Apply it", tools=[PATCH], tool_choice=choice, store=False
    ) as stream:
        written = "".join(event.delta for event in stream if event.type == "response.custom_tool_call_input.delta")
        (call,) = stream.get_final_response().output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "apply_patch", written)
    assert written


CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": ""}
HI = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("changed", "text"),
    sampled(
        [
            ({"store": True}, "nothing is kept"),
            ({"store": None}, "nothing is kept"),
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"conversation": "conv_1"}, "conversation"),
            ({"background": True}, "background"),
            ({"max_output_tokens": 15}, ">= 16"),
            ({"messages": [HI]}, "messages"),
            ({"include": ["everything"]}, "everything"),
            ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "msg_1"),
            ({"input": [HI, {"type": "item_of_the_future"}]}, "item_of_the_future"),
            ({"input": [HI, CALL]}, "No tool output found for function call call_1"),
            ({"input": [HI, RESULT]}, "No tool call found for function call output with call_id call_1"),
            ({"input": [HI, {**CALL, "id": "msg_1"}, RESULT]}, "begins with 'fc'"),
            ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}, HI]}, "not persisted"),
            ({"input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "input_text"),
            ({"tools": [{"type": "function", "function": WEATHER}]}, r"tools\[0\].name"),
            ({"tools": [{"type": "code_interpreter"}]}, "code_interpreter"),
            ({"tool_choice": "required"}, "Tool choice"),
            ({"text": {"format": {"type": "json_schema", "json_schema": {}}}}, "beside the type"),
        ],
        keep=3,
    ),
)
def test_what_the_stand_in_refuses(deployment: Deployment, changed: dict[str, Any], text: str) -> None:
    body = {"model": MODEL, "input": [HI], "store": False, **changed}
    url = f"{deployment.server.address}/sandbox/llm/openai/v1"
    with pytest.raises(openai.BadRequestError, match=text):
        deployment.openai(base_url=url, api_key=KEYS[0]).post("/responses", body=body, cast_to=object)


def test_such_a_model_refuses_chat_and_others_do_not(deployment: Deployment) -> None:
    client = deployment.openai(base_url=f"{deployment.server.address}/sandbox/llm/openai/v1", api_key=KEYS[0])
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=MODEL, messages=[HI])
    assert client.responses.create(model="gpt-4o", input="Hi", store=False).output_text


# --- Our own side ----------------------------------------------------------------------------------------------------
def account(deployment: Deployment, provider: str) -> Account:
    path = {"openai": "openai/v1", "ark": "ark/api/v3"}[provider]
    url = f"{deployment.server.address}/sandbox/llm/{path}"
    return Account(provider, url, CUSTOMERS[provider][0].key, trusted=True, responses_api=True)


@pytest.mark.parametrize(("provider", "model"), [("openai", MODEL), ("ark", "doubao-seed-1-6-250615")])
def test_a_conversation_passes_through_our_provider(deployment: Deployment, provider: str, model: str) -> None:
    """With thoughts that come back, and what one of the two does not know."""
    body: dict[str, Any] = {
        "model": model, "tools": [TOOL], "reasoning": {"effort": "low", "summary": "auto"}, "metadata": {"a": "b"},
        "text": {"verbosity": "low"}, **KEPT,
    }  # fmt: skip

    async def talk() -> tuple[list[Chunk], Any]:
        speaker = open_provider(account(deployment, provider))
        try:
            turns: list[Any] = [{"role": "user", "content": QUESTION}]
            asked = {**body, "input": turns, "stream": True}
            if provider == "openai":
                asked.pop("text")
            chunks = [chunk async for chunk in speaker.ask_stream(RESPONSES, asked)]
            output = json.loads(chunks[-1].data)["response"]["output"]
            assert [item["type"] for item in output] == ["reasoning", "function_call"]
            result = {"type": "function_call_output", "call_id": output[1]["call_id"], "output": "sunny"}
            again = {**body, "input": [*turns, *output, result]}
            return chunks, await speaker.ask(RESPONSES, again)
        finally:
            await speaker.close()

    chunks, reply = asyncio.run(talk())
    assert [chunk.output for chunk in chunks[:3]] == [False, False, True]
    assert chunks[-1].usage.output > 0
    assert "sunny" in reply.text
    assert reply.usage.final


def test_the_faults_of_the_stand_in_are_errors(deployment: Deployment) -> None:
    async def ask(mark: str) -> Any:
        speaker = open_provider(account(deployment, "openai"))
        try:
            asked = {"model": MODEL, "input": f"Hi [[fault: {mark}]]", "store": False, "stream": True}
            return [chunk async for chunk in speaker.ask_stream(RESPONSES, asked)]
        finally:
            await speaker.close()

    for mark in ("429", "500", "risk", "cut 4", "error_in_stream 5", "error_in_stream 1"):
        with pytest.raises(ProviderError):
            asyncio.run(ask(mark))
    chunks = asyncio.run(ask("no_usage"))
    assert chunks[-1].usage is None
    filtered = json.loads(asyncio.run(ask("filtered"))[-1].data)["response"]
    assert filtered["incomplete_details"] == {"reason": "content_filter"}
    loops.hang_up()
