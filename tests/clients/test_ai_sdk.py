"""The AI SDK with both of its providers, in Node."""

import json

import pytest

from .conftest import Deployment

# The weather, asked for with a tool; what was said, and the tools that were called on the way.
LOOP = """
import { jsonSchema, stepCountIs, streamText, tool } from "ai";
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const get_weather = tool({
  description: "Weather", inputSchema: jsonSchema(schema), execute: async ({ city }) => `SECRET-00c0ffee in ${city}`,
});
const answer = streamText({
  model, prompt: "weather in Beijing", tools: { get_weather }, stopWhen: stepCountIs(5), maxRetries: 0,
});
const text = await answer.text;
const steps = (await answer.steps).map((step) => step.toolCalls.map((call) => [call.toolName, call.input]));
console.log(JSON.stringify([text, steps, await answer.totalUsage]));
"""
MODELS = {"ai-openai.mjs": ("openai", "gpt-4o"), "ai-anthropic.mjs": ("anthropic", "claude-sonnet-4-5")}


def prepared(clients: Deployment, example: str, code: str) -> str:
    """A program that sets its provider up as the page's example does."""
    lines = clients.snippet(example).splitlines()
    imports, made = lines[0], next(line for line in lines if line.startswith("const ") and "create" in line)
    provider, model = MODELS[example]
    return f'{imports}\n{made}\nconst model = {provider}("{model}");\n{code}'


@pytest.mark.parametrize("example", MODELS)
def test_the_example_of_the_page_answers(clients: Deployment, example: str) -> None:
    assert clients.node(clients.snippet(example)).strip() == "Hello! I am the stand-in."


@pytest.mark.parametrize("example", MODELS)
def test_it_streams_and_uses_tools(clients: Deployment, example: str) -> None:
    text, steps, usage = json.loads(clients.node(prepared(clients, example, LOOP)))
    assert "SECRET-00c0ffee" in text
    assert steps == [[["get_weather", {"city": "Beijing"}]], []]
    used = [sum(report[kind] for report in clients.provider.reported) for kind in ("input", "output")]
    assert [usage["inputTokens"], usage["outputTokens"]] == used
    assert len(clients.bodies) == 2


CHAT = """
import { generateText } from "ai";
const messages = [{ role: "user", content: "hello" }];
const first = await generateText({ model, messages, maxRetries: 0 });
messages.push(...first.response.messages, { role: "user", content: "and again" });
const second = await generateText({ model, messages, maxRetries: 0 });
console.log(JSON.stringify([first.text, second.text]));
"""


@pytest.mark.parametrize("example", MODELS)
def test_a_chat_goes_on(clients: Deployment, example: str) -> None:
    """With OpenAI's provider the second turn only names the first answer, which the server has kept."""
    texts = json.loads(clients.node(prepared(clients, example, CHAT)))
    assert texts == ["Hello! I am the stand-in."] * 2
    assert len(clients.bodies) == 2
    assert "Hello! I am the stand-in." in str(clients.bodies[1])


def test_openais_provider_speaks_chat_completions_as_well(clients: Deployment) -> None:
    program = prepared(clients, "ai-openai.mjs", LOOP).replace("openai(", "openai.chat(")
    assert "SECRET-00c0ffee" in json.loads(clients.node(program))[0]
    assert {asked.path for asked in clients.provider.asked} == {"/v1/chat/completions"}
