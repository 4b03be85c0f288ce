"""Anthropic's messages as OpenAI's chat request, for providers that do not speak them.

What has no counterpart is refused by name. What changes no answer is left out: cache marks, permission to shorten the
context, how a call's arguments are streamed, that a tool may be looked up later, thoughts that only the model that had
them can read.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ..relay.errors import CallRefused
from ..relay.questions import Addressee
from .messages_parts import cannot, dicts, part_of, result_of, text_of

_TRANSLATED = frozenset({
    "model", "max_tokens", "messages", "system", "stream", "stop_sequences", "tools", "tool_choice", "metadata",
    "temperature", "top_p", "thinking", "output_config", "output_format", "service_tier",
})  # fmt: skip
_LEFT_OUT = frozenset({"cache_control", "context_management", "diagnostics"})
# What is so where nobody says otherwise.
_NEUTRAL: Mapping[str, Any] = {"speed": "standard", "inference_geo": "global"}
_SAME = ("model", "max_tokens", "stream", "temperature", "top_p")
_EFFORTS = ((4096, "low"), (16_384, "medium"))
_SYSTEM = ("system", "developer")
# Claude Code begins with a line for Anthropic's books, which is another one each time: no cache would be hit again.
_BILLING = re.compile(r"\Ax-anthropic-billing-header:[^\n]*\n?")
_CHOICES: Mapping[Any, str] = {"auto": "auto", "any": "required", "none": "none"}
_TOOL_FIELDS = frozenset({"type", "name", "description", "input_schema", "strict", "input_examples"})
_TOOL_LEFT_OUT = frozenset({"cache_control", "eager_input_streaming", "defer_loading"})
_TOOL_NEUTRAL: Mapping[str, Any] = {"allowed_callers": ["direct"]}


def to_chat(given: Mapping[str, Any], _to: Addressee) -> dict[str, Any]:
    """The chat request that asks the same. Raises Unsupported for what cannot be said there."""
    body: dict[str, Any] = {name: given[name] for name in _SAME if given.get(name) is not None}
    _only(given, _TRANSLATED | _LEFT_OUT, _NEUTRAL)
    if not body.get("stream"):
        body.pop("stream", None)
    body["messages"] = [*_system(given.get("system")), *(part for turn in given["messages"] for part in _turn(turn))]
    if given.get("stop_sequences"):
        body["stop"] = given["stop_sequences"]
    if given.get("tools"):
        body["tools"] = [_tool(tool) for tool in dicts(given["tools"], "tools")]
        body |= _tool_choice(given.get("tool_choice"))
    if given.get("service_tier") == "standard_only":
        body["service_tier"] = "default"
    return body | _user_of(given.get("metadata")) | _thinking(given.get("thinking")) | _output(given)


def _only(given: Mapping[str, Any], known: frozenset[str], neutral: Mapping[str, Any], of: str = "") -> None:
    """Raises Unsupported for the first field with a meaning that is not known."""
    for name, value in given.items():
        if name not in known and value not in (None, [], {}) and value != neutral.get(name):
            raise cannot(f"{of}{name}")


def _user_of(metadata: Any) -> dict[str, Any]:
    if type(metadata) is not dict:
        return {}
    _only(metadata, frozenset({"user_id"}), {}, "metadata.")
    return {"user": metadata["user_id"]} if type(metadata.get("user_id")) is str else {}


def _thinking(given: Any) -> dict[str, Any]:
    """How much thought goes into the answer."""
    if type(given) is not dict:
        return {}
    if given.get("type") == "disabled":
        return {"reasoning_effort": "none"}
    budget = given.get("budget_tokens")
    if type(budget) is not int:
        return {"reasoning_effort": "medium"}
    return {"reasoning_effort": next((effort for most, effort in _EFFORTS if budget <= most), "high")}


def _output(given: Mapping[str, Any]) -> dict[str, Any]:
    config = given["output_config"] if type(given.get("output_config")) is dict else {}
    _only(config, frozenset({"effort", "format"}), {}, "output_config.")
    out: dict[str, Any] = {}
    thinking = given.get("thinking")
    if config.get("effort") and not (type(thinking) is dict and thinking.get("type") == "disabled"):
        out["reasoning_effort"] = config["effort"]
    # Its name while it was new.
    wanted = config.get("format") or given.get("output_format")
    if type(wanted) is dict and wanted.get("type") == "json_schema":
        schema = {"name": "answer", "schema": wanted.get("schema"), "strict": True}
        out["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted:
        raise cannot("output_config.format")
    return out


def _system(given: Any) -> list[dict[str, Any]]:
    text = given if type(given) is str else text_of(dicts(given, "system"), "system") if given else ""
    text = _BILLING.sub("", text)
    return [{"role": "system", "content": text}] if text else []


def _turn(turn: Any) -> list[dict[str, Any]]:
    """One turn is one message, but for results of tools, which are messages of their own."""
    role, content = turn.get("role"), turn.get("content")
    if role in _SYSTEM:
        return _system(content)
    if role not in ("user", "assistant"):
        raise CallRefused("Each message needs a role: user, assistant or system.", param="messages")
    if type(content) is str:
        return [{"role": role, "content": content}]
    blocks = dicts(content, "messages.content")
    return _assistant(blocks) if role == "assistant" else _user(blocks)


def _assistant(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    thoughts: list[str] = []
    texts: list[str] = []
    latest = None
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_use":
            arguments = orjson.dumps(block.get("input") or {}).decode()
            function = {"name": str(block.get("name", "")), "arguments": arguments}
            calls.append({"id": str(block.get("id", "")), "type": "function", "function": function})
        elif kind == "thinking":
            thoughts.append(str(block.get("thinking", "")))
        elif kind == "text" and latest == "text":
            # Blocks side by side are one text, cut where something was quoted.
            texts[-1] += str(block.get("text", ""))
        elif kind == "text":
            texts.append(str(block.get("text", "")))
        elif kind != "redacted_thinking":
            # What was thought in secret only the model that thought it could read.
            raise cannot(f"{kind} content")
        latest = kind
    message: dict[str, Any] = {"role": "assistant", "content": "\n".join(texts) or (None if calls else "")}
    if thoughts := [thought for thought in thoughts if thought]:
        message["reasoning_content"] = "\n".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return [message] if texts or thoughts or calls else []


def _user(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            text, others = result_of(block)
            messages.append({"role": "tool", "tool_call_id": str(block.get("tool_use_id", "")), "content": text})
            # A tool's message has room for words only; pictures and files follow as the user's.
            parts += others
        else:
            parts += part_of(block)
    if parts:
        plain = all(part["type"] == "text" for part in parts)
        content = "\n".join(part["text"] for part in parts) if plain else parts
        messages.append({"role": "user", "content": content})
    return messages


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type") or "custom"
    if kind != "custom":
        raise cannot(f"tools of type {kind}")
    if type(tool.get("name")) is not str or type(tool.get("input_schema")) is not dict:
        raise CallRefused("Each tool needs a name and an input_schema.", param="tools")
    _only(tool, _TOOL_FIELDS | _TOOL_LEFT_OUT, _TOOL_NEUTRAL, "tools.")
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    description = str(tool.get("description") or "")
    if tool.get("input_examples"):
        description += f"\n\nExamples of its input: {orjson.dumps(tool['input_examples']).decode()}"
    if description:
        function["description"] = description.strip()
    if type(tool.get("strict")) is bool:
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> dict[str, Any]:
    if type(choice) is not dict:
        return {}
    kind = choice.get("type")
    if kind == "tool":
        found: dict[str, Any] = {"tool_choice": {"type": "function", "function": {"name": choice.get("name")}}}
    elif kind in _CHOICES:
        found = {"tool_choice": _CHOICES[kind]}
    else:
        raise CallRefused("tool_choice.type must be one of auto, any, tool, none.", param="tool_choice")
    return found | ({"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") is True else {})
