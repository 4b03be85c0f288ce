"""Tools of Responses as functions of a chat, and which kind of tool a function was.

A chat has functions only: a custom tool becomes one with a single text, a namespace's tool one with a longer name. The
answer must call each in the kind it was declared in (Codex does not find it otherwise).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from .checks import items_of, kind_of, refused
from .errors import CannotSay

# What may be left out, as whoever sends them always does; unless the answer has to use them.
LEFT_OUT = ("web_search", "tool_search")
_LONGEST = 64
_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input, as plain text."}},
    "required": ["input"],
    "additionalProperties": False,
}


class DeclaredTool(NamedTuple):
    """How a function is called in Responses."""

    name: str
    namespace: str = ""
    custom: bool = False


class Toolbox(NamedTuple):
    """The functions of a request as chat has them, by their names there the tools they are, and what was left out."""

    functions: list[dict[str, Any]]
    tools: dict[str, DeclaredTool]
    left_out: list[str]

    def tool(self, function: str) -> DeclaredTool:
        """The tool that is meant by the name of a function. Some models leave the namespace out."""
        found = self.tools.get(function)
        if found is None:
            meant = [tool for tool in self.tools.values() if tool.namespace and tool.name == function]
            found = meant[0] if len(meant) == 1 else DeclaredTool(function)
        return found


def function_name(name: str, namespace: str = "") -> str:
    """What a tool is called in a chat, where names have 64 characters at the most."""
    whole = f"{namespace}__{name}" if namespace else name
    if len(whole) <= _LONGEST:
        return whole
    tail = hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()
    return f"{whole[: _LONGEST - 9]}_{tail}"


def toolbox(given: Mapping[str, Any]) -> Toolbox:
    """Raises CannotSay for tools that a chat model has no counterpart of."""
    box = Toolbox([], {}, [])
    for where, tool, namespace in _declared(given):
        kind = tool["type"]
        if kind in ("function", "custom"):
            called = function_name(tool["name"], namespace)
            if called not in box.tools:
                box.functions.append(_custom(tool, called) if kind == "custom" else _function(tool, called))
            box.tools[called] = DeclaredTool(tool["name"], namespace, kind == "custom")
        elif kind.startswith(LEFT_OUT):
            box.left_out.append(f"tools.{kind}")
        else:
            raise CannotSay(f"This model has no tools of type {kind}.", f"{where}.type", "unsupported_tool")
    return box


def _declared(given: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Where a tool stands, the tool, and its namespace."""
    yield from _flat(given.get("tools") or (), "tools")
    for number, item in enumerate(items_of(given)):
        if kind_of(item) == "additional_tools":
            yield from _flat(item.get("tools") or (), f"input[{number}].tools")


def _flat(tools: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    for number, tool in enumerate(tools):
        here = f"{where}[{number}]"
        if tool.get("type") != "namespace":
            yield here, tool, ""
            continue
        for inner_number, inner in enumerate(tool.get("tools") or ()):
            yield f"{here}.tools[{inner_number}]", inner, tool["name"]


def _function(tool: Mapping[str, Any], name: str) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name}
    for field in ("description", "parameters", "strict"):
        # Responses are strict unless told otherwise, a chat is not; whoever guesses breaks schemas.
        if tool.get(field) is not None:
            function[field] = tool[field]
    return {"type": "function", "function": function}


def _custom(tool: Mapping[str, Any], name: str) -> dict[str, Any]:
    words, wanted = tool.get("description") or "", tool.get("format") or {}
    if wanted.get("type") == "grammar":
        words += f"\n\nThe input must follow this {wanted['syntax']} grammar:\n{wanted['definition']}"
    described = {"description": words} if words else {}
    return {"type": "function", "function": {"name": name, **described, "parameters": _INPUT}}


# --- Which of them ---------------------------------------------------------------------------------------------------
def chosen(given: Mapping[str, Any], box: Toolbox) -> dict[str, Any]:
    """The chat's `tools`, `tool_choice` and `parallel_tool_calls`: all of them, or none, as a chat refuses the others
    alone."""
    choice, functions, left_out = given.get("tool_choice"), box.functions, box.left_out
    if type(choice) is dict and choice.get("type") == "allowed_tools":
        left_out = [each["type"] for each in choice.get("tools") or () if _searches(each)]
        names = [_chosen_name(each, box) for each in choice.get("tools") or () if not _searches(each)]
        functions = [each for each in functions if each["function"]["name"] in names]
        choice = choice.get("mode") or "auto"
    if choice == "required" and left_out:
        # The answer has to use one of them, and may have to use the one that is not there.
        kind = left_out[0].removeprefix("tools.")
        raise CannotSay(f"This model has no tools of type {kind}.", "tool_choice", "unsupported_tool")
    if type(choice) is dict:
        choice = {"type": "function", "function": {"name": _chosen_name(choice, box)}}
    if choice not in (None, "auto", "none", "required") and type(choice) is not dict:
        raise refused("tool_choice must be auto, none, required, or name a tool.", "tool_choice")
    if not functions:
        if choice == "required":
            raise CannotSay("This model has none of these tools.", "tool_choice", "unsupported_tool")
        return {}
    out: dict[str, Any] = {"tools": functions}
    if choice is not None:
        out["tool_choice"] = choice
    if given.get("parallel_tool_calls") is not None:
        out["parallel_tool_calls"] = given["parallel_tool_calls"]
    return out


def _searches(choice: Any) -> bool:
    return type(choice) is dict and str(choice.get("type")).startswith(LEFT_OUT)


def _chosen_name(choice: Any, box: Toolbox) -> str:
    kind = choice.get("type") if type(choice) is dict else None
    if kind not in ("function", "custom"):
        raise CannotSay(f"This model has no tools of type {kind}.", "tool_choice", "unsupported_tool")
    called = function_name(str(choice.get("name")), str(choice.get("namespace") or ""))
    if called not in box.tools:
        raise refused(f"tool_choice names {called[:80]!r}, which is none of the tools.", "tool_choice")
    return called


# --- What custom tools are given -------------------------------------------------------------------------------------
def wrapped(text: str) -> str:
    """A custom tool's input as a function's arguments."""
    return json.dumps({"input": text}, ensure_ascii=False)


def unwrapped(arguments: str) -> str:
    """The text out of a function's arguments, under whatever name a model put it; what is no such JSON is it itself."""
    try:
        found = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    if type(found) is str:
        return found
    if type(found) is dict:
        if type(found.get("input")) is str:
            return str(found["input"])
        if len(found) == 1 and type(text := next(iter(found.values()))) is str:
            return str(text)
    return arguments
