"""LangChain and OpenAI Agents, which speak responses."""

import json

from .conftest import Deployment

LANGCHAIN_TOOLS = """
import json
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

@tool
def get_weather(city: str) -> str:
    '''Tells the weather of a city.'''
    return "SECRET-00c0ffee"

model = ChatOpenAI(model="gpt-4o", use_responses_api=True).bind_tools([get_weather])
messages = [HumanMessage("weather in Beijing")]
first = None
for chunk in model.stream(messages):
    first = chunk if first is None else first + chunk
(call,) = first.tool_calls
messages += [first, get_weather.invoke(call)]
second = model.invoke(messages)
print(json.dumps([call["name"], call["args"], second.text, [m.usage_metadata for m in (first, second)]]))
"""


def test_langchains_example_of_the_page_answers(clients: Deployment) -> None:
    said = clients.python(clients.snippet("langchain.py"), **clients.variables("openai.env"))
    assert said.strip() == "Hello! I am the stand-in."


def test_langchain_streams_and_uses_tools(clients: Deployment) -> None:
    name, arguments, text, usages = json.loads(clients.python(LANGCHAIN_TOOLS, **clients.variables("openai.env")))
    assert (name, arguments) == ("get_weather", {"city": "Beijing"})
    assert "SECRET-00c0ffee" in text
    used = [{"input": usage["input_tokens"], "output": usage["output_tokens"]} for usage in usages]
    assert used == clients.provider.reported


def test_an_agent_uses_its_tool(clients: Deployment) -> None:
    said = clients.python(clients.snippet("agents.py"), **clients.variables("openai.env", "agents.env"))
    assert "SECRET-00c0ffee" in said
    assert len(clients.bodies) == 2
