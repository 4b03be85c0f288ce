"""OpenAI's own client talks Responses with /v1: with every kind of model, streamed and whole, kept and read again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import rarely

from .conftest import GIFT, QUESTION, WEATHER, Deployment
from .vendors import openai

pytestmark = pytest.mark.django_db(transaction=True)

TOOL: Any = {"type": "function", "strict": False, **WEATHER}
EVERY_MODEL = pytest.mark.parametrize(
    "model", ["doubao-pro", *rarely("gpt-4"), "claude-3-sonnet", *rarely("gpt-5-codex")]
)


@EVERY_MODEL
def test_a_stream_says_the_same_as_a_whole_answer(deployment: Deployment, model: str) -> None:
    responses = deployment.openai().responses
    whole = responses.create(model=model, input="你好", store=False)
    with responses.stream(model=model, input="你好", store=False) as stream:
        numbers = [event.sequence_number for event in stream]
        final = stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert (final.output_text, final.model, final.status) == (whole.output_text, model, "completed")
    assert final.output_text
    assert whole.usage
    assert final.usage == whole.usage
    usage = deployment.usage(2)
    assert (usage.input_tokens, usage.output_tokens) == (whole.usage.input_tokens, whole.usage.output_tokens)
    assert deployment.wallet.balance == GIFT - 2 * usage.quota


@EVERY_MODEL
def test_a_tool_is_called_and_its_output_sent_after_the_answer_before(deployment: Deployment, model: str) -> None:
    responses = deployment.openai().responses
    first = responses.create(model=model, input=QUESTION, tools=[TOOL])
    (call,) = (item for item in first.output if item.type == "function_call")
    assert (call.name, json.loads(call.arguments)["city"]) == ("get_weather", "Beijing")
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 21 °C"}
    second = responses.create(model=model, input=[output], tools=[TOOL], previous_response_id=first.id)
    assert "21" in second.output_text
    assert [item.type for item in responses.input_items.list(second.id, order="asc")] == ["function_call_output"]
    assert responses.retrieve(first.id).output == first.output
    responses.delete(first.id)
    with pytest.raises(openai.NotFoundError) as gone:
        responses.retrieve(first.id)
    assert gone.value.code == "previous_response_not_found"
    deployment.usage(2)
