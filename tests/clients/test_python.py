"""OpenAI's and Anthropic's clients for Python in their newest releases, with their own retries, streams and errors.

What their features come to in detail is tried by tests/llm/contract, with the releases of our own lock.
"""

import json
from typing import Any

import pytest

from llm.models import Usage

from .conftest import Deployment

OPENAI, ANTHROPIC = "openai.env", "anthropic.env"

OPENAI_TOOLS = """
import json, openai
client = openai.OpenAI()
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": schema}}]
messages = [{"role": "user", "content": "weather in Beijing"}]
with client.chat.completions.stream(model="gpt-4o", messages=messages, tools=tools) as stream:
    message = stream.get_final_completion().choices[0].message
(call,) = message.tool_calls
messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "SECRET-00c0ffee"}]
completion = client.chat.completions.create(model="gpt-4o", messages=messages, tools=tools)
rows = client.embeddings.create(model="text-embedding-3-large", input=["a", "b"]).data
print(json.dumps([
    call.function.name, json.loads(call.function.arguments), completion.choices[0].message.content,
    [row.embedding for row in rows], [model.id for model in client.models.list()],
    client.models.retrieve("gpt-4o").id,
]))
"""

ANTHROPIC_TOOLS = """
import anthropic, json
client = anthropic.Anthropic()
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ask = {
    "model": "claude-sonnet-4-5", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 2000},
    "tools": [{"name": "get_weather", "description": "Weather", "input_schema": schema}],
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
}
messages = [{"role": "user", "content": "weather in Beijing"}]
with client.messages.stream(messages=messages, **ask) as stream:
    first = stream.get_final_message()
call = first.content[-1]
result = {"type": "tool_result", "tool_use_id": call.id, "content": "SECRET-00c0ffee"}
messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
second = client.messages.create(messages=messages, **ask)
counted = client.messages.count_tokens(model="claude-sonnet-4-5", messages=messages)
print(json.dumps([
    [block.type for block in first.content], call.name, call.input, second.content[-1].text,
    [message.usage.model_dump() for message in (first, second)], counted.input_tokens,
    [model.id for model in client.models.list()],
]))
"""

OPENAI_RESPONSES = """
import json, openai
client = openai.OpenAI()
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"type": "function", "name": "get_weather", "description": "Weather", "parameters": schema}]
with client.responses.stream(model="gpt-4o", input="weather in Beijing", tools=tools) as stream:
    first = stream.get_final_response()
(call,) = [item for item in first.output if item.type == "function_call"]
result = {"type": "function_call_output", "call_id": call.call_id, "output": "SECRET-00c0ffee"}
second = client.responses.create(model="gpt-4o", previous_response_id=first.id, input=[result], tools=tools)
there = client.responses.retrieve(first.id)
client.responses.delete(first.id)
try:
    client.responses.retrieve(first.id)
    gone = ""
except openai.NotFoundError as error:
    gone = error.code
print(json.dumps([
    call.name, json.loads(call.arguments), second.output_text, there.id == first.id, gone,
    [response.usage.model_dump() for response in (first, second)],
]))
"""

ERRORS = """
import json, os, {vendor}
client = {vendor}.{name}(max_retries=0)
messages = [{{"role": "user", "content": "hello"}}]
found = []
for more in ({{"model": "gpt-9"}}, {{"max_tokens": 0}}, {{"messages": []}}):
    try:
        {call}(**{{"model": "gpt-4o", "max_tokens": 9, "messages": messages, **more}})
    except {vendor}.APIStatusError as error:
        found.append([type(error).__name__, error.status_code])
client = {vendor}.{name}(api_key="sk-wrong", max_retries=0)
try:
    {call}(model="gpt-4o", max_tokens=9, messages=messages)
except {vendor}.APIStatusError as error:
    found.append([type(error).__name__, error.status_code])
client = {vendor}.{name}(max_retries=0)
{call}(model="gpt-4o", max_tokens=9, messages=messages)
print(json.dumps(found))
"""


@pytest.mark.parametrize(("program", "variables"), [("openai.py", OPENAI), ("anthropic.py", ANTHROPIC)])
def test_the_example_of_the_page_streams(clients: Deployment, program: str, variables: str) -> None:
    said = clients.python(clients.snippet(program), **clients.variables(variables))
    assert said == "Hello! I am the stand-in."
    assert clients.bodies[0]["stream"] is True


def test_openais_client_uses_tools_embeddings_and_the_list_of_models(clients: Deployment) -> None:
    name, arguments, text, rows, models, one = json.loads(clients.python(OPENAI_TOOLS, **clients.variables(OPENAI)))
    assert (name, arguments) == ("get_weather", {"city": "Beijing"})
    assert "SECRET-00c0ffee" in text
    assert rows == [[0.5, -0.25, 0], [0.5, -0.25, 1]]
    assert ({"gpt-4o", "claude-sonnet-4-5"} <= set(models), one) == (True, "gpt-4o")
    assert Usage.objects.count() == 3


def test_openais_client_speaks_responses_and_goes_on_from_one(clients: Deployment) -> None:
    name, arguments, text, there, gone, usages = json.loads(
        clients.python(OPENAI_RESPONSES, **clients.variables(OPENAI))
    )
    assert (name, arguments) == ("get_weather", {"city": "Beijing"})
    assert "SECRET-00c0ffee" in text
    assert (there, bool(gone)) == (True, True)
    used = [{"input": usage["input_tokens"], "output": usage["output_tokens"]} for usage in usages]
    assert used == clients.provider.reported
    assert "weather in Beijing" in str(clients.bodies[1])


def test_anthropics_client_thinks_uses_tools_and_sees_what_was_cached(clients: Deployment) -> None:
    kinds, name, given, text, usages, counted, models = json.loads(
        clients.python(ANTHROPIC_TOOLS, **clients.variables(ANTHROPIC))
    )
    assert (kinds, name, given) == (["thinking", "tool_use"], "get_weather", {"city": "Beijing"})
    assert "SECRET-00c0ffee" in text
    for usage, report in zip(usages, clients.provider.reported, strict=True):
        cached = (usage["cache_read_input_tokens"], usage["cache_creation"]["ephemeral_1h_input_tokens"])
        assert cached == (report["cache_read"], report["cache_write_long"])
        assert (usage["input_tokens"], usage["output_tokens"]) == (report["input"], report["output"])
    assert counted > 0
    assert "claude-sonnet-4-5" in models
    first, second = clients.bodies
    assert first["system"] == second["system"]
    assert first["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    thought: dict[str, Any] = second["messages"][1]["content"][0]
    assert (thought["thinking"], thought["signature"]) == ("Let me see.", "c2lnbmVk")


@pytest.mark.parametrize(
    ("vendor", "name", "call"),
    [("openai", "OpenAI", "client.chat.completions.create"), ("anthropic", "Anthropic", "client.messages.create")],
)
def test_errors_are_the_exceptions_its_users_know_and_cost_nothing(
    clients: Deployment, vendor: str, name: str, call: str
) -> None:
    variables = clients.variables(OPENAI if vendor == "openai" else ANTHROPIC)
    found = json.loads(clients.python(ERRORS.format(vendor=vendor, name=name, call=call), **variables))
    assert found == [
        ["NotFoundError", 404],
        ["BadRequestError", 400],
        ["BadRequestError", 400],
        ["AuthenticationError", 401],
    ]
    assert len(clients.bodies) == Usage.objects.count() == 1
