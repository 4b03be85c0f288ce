"""Anthropic's messages as OpenAI's chat request, for providers that do not speak them.

What has no counterpart is refused by name. Cache marks are left out: they change no answer, and providers of OpenAI's
shape cache by themselves. So is context_management: it allows to forget what is old, and here nothing is forgotten.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ..providers.base import Unsupported
from ..relay.errors import CallRefused
from ..relay.questions import Addressee

_TRANSLATED = frozenset({
    "model", "max_tokens", "messages", "system", "stream", "stop_sequences", "tools", "tool_choice", "metadata",
    "temperature", "top_p", "thinking", "output_config", "service_tier", "cache_control", "speed",
    "context_management",
})  # fmt: skip
_SAME = ("model", "max_tokens", "stream", "temperature", "top_p")
_EFFORTS = ((4096, "low"), (16_384, "medium"))


def _cannot(what: str) -> Unsupported:
    return Unsupported("This model", what)


def to_chat(given: Mapping[str, Any], _to: Addressee) -> dict[str, Any]:
    """The chat request that asks the same. Raises Unsupported for what cannot be said there."""
    body: dict[str, Any] = {name: given[name] for name in _SAME if given.get(name) is not None}
    for name, value in given.items():
        if name not in _TRANSLATED and value not in (None, [], {}):
            raise _cannot(name)
    if not body.get("stream"):
        body.pop("stream", None)
    body["messages"] = [*_system(given.get("system")), *(part for turn in given["messages"] for part in _turn(turn))]
    if given.get("stop_sequences"):
        body["stop"] = given["stop_sequences"]
    if given.get("tools"):
        body["tools"] = [_tool(tool) for tool in _dicts(given["tools"], "tools")]
    if type(given.get("tool_choice")) is dict:
        body |= _tool_choice(given["tool_choice"])
    if type(given.get("metadata")) is dict and type(given["metadata"].get("user_id")) is str:
        body["user"] = given["metadata"]["user_id"]
    return body | _thinking(given.get("thinking")) | _output(given.get("output_config"))


def _thinking(given: Any) -> dict[str, Any]:
    """How much thought goes into the answer. Not to think is what a model does that is not asked to."""
    if type(given) is not dict or given.get("type") == "disabled":
        return {}
    budget = given.get("budget_tokens")
    if type(budget) is not int:
        return {"reasoning_effort": "medium"}
    return {"reasoning_effort": next((effort for most, effort in _EFFORTS if budget <= most), "high")}


def _output(given: Any) -> dict[str, Any]:
    config = given if type(given) is dict else {}
    out: dict[str, Any] = {}
    if config.get("effort"):
        out["reasoning_effort"] = {"xhigh": "high", "max": "high"}.get(config["effort"], config["effort"])
    wanted = config.get("format")
    if type(wanted) is dict and wanted.get("type") == "json_schema":
        schema = {"name": "answer", "schema": wanted.get("schema"), "strict": True}
        out["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted:
        raise _cannot("output_config.format")
    return out


def _system(given: Any) -> list[dict[str, Any]]:
    text = given if type(given) is str else _text(given, "system") if given else ""
    return [{"role": "system", "content": text}] if text else []


def _turn(turn: Any) -> list[dict[str, Any]]:
    """One turn is one message, but for results of tools, which are messages of their own. The system may speak between
    turns; it is heard where it does."""
    if turn.get("role") not in ("user", "assistant", "system"):
        raise CallRefused("Each message needs a role: user, assistant or system.", param="messages")
    content = turn.get("content")
    if type(content) is str:
        return [{"role": turn["role"], "content": content}]
    if turn["role"] == "system":
        return _system(content)
    blocks = _dicts(content, "messages.content")
    return _assistant(blocks) if turn["role"] == "assistant" else _user(blocks)


def _assistant(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    calls, thoughts, texts = [], [], []
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_use":
            arguments = orjson.dumps(block.get("input") or {}).decode()
            function = {"name": str(block.get("name", "")), "arguments": arguments}
            calls.append({"id": str(block.get("id", "")), "type": "function", "function": function})
        elif kind == "thinking":
            thoughts.append(str(block.get("thinking", "")))
        elif kind == "text":
            texts.append(str(block.get("text", "")))
        elif kind != "redacted_thinking":
            # What was thought in secret only the model that thought it could read.
            raise _cannot(f"{kind} content")
    message: dict[str, Any] = {"role": "assistant", "content": "\n".join(texts) or None}
    if thoughts:
        message["reasoning_content"] = "\n".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return [message]


def _user(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            text, pictures = _result(block.get("content"))
            if block.get("is_error"):
                text = f"Error: {text}"
            messages.append({"role": "tool", "tool_call_id": str(block.get("tool_use_id", "")), "content": text})
            # A tool's message has room for words only; the picture follows as the user's.
            parts += pictures
        else:
            parts.append(_part(block))
    if parts:
        plain = all(part["type"] == "text" for part in parts)
        content = "\n".join(part["text"] for part in parts) if plain else parts
        messages.append({"role": "user", "content": content})
    return messages


def _result(content: Any) -> tuple[str, list[dict[str, Any]]]:
    """What a tool said: its words, and its pictures."""
    if type(content) is str or not content:
        return content or "", []
    parts = [_part(block) for block in _dicts(content, "tool_result.content")]
    words = [part["text"] for part in parts if part["type"] == "text"]
    return "\n".join(words), [part for part in parts if part["type"] != "text"]


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    kind, source = block.get("type"), block.get("source")
    if kind == "text":
        return {"type": "text", "text": str(block.get("text", ""))}
    if kind == "tool_reference":
        # A tool that was looked up: from now on it is among the tools of the request.
        return {"type": "text", "text": f"The tool {block.get('tool_name', '')} can be called now."}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": _image(source)}}
    if kind == "document" and type(source) is dict:
        if source.get("type") == "text":
            return {"type": "text", "text": str(source.get("data", ""))}
        if source.get("type") == "base64" and source.get("data"):
            name = str(block.get("title") or "document.pdf")
            return {"type": "file", "file": {"filename": name, "file_data": _data_url(source)}}
    raise _cannot(f"{kind} content")


def _image(source: Any) -> str:
    if type(source) is dict and source.get("type") == "url":
        return str(source.get("url", ""))
    if type(source) is dict and source.get("type") == "base64":
        return _data_url(source)
    raise CallRefused("An image needs a source: base64 or url.", param="messages")


def _data_url(source: Mapping[str, Any]) -> str:
    return f"data:{source.get('media_type', '')};base64,{source.get('data', '')}"


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type") or "custom"
    if kind != "custom":
        raise _cannot(f"tools of type {kind}")
    if type(tool.get("name")) is not str or type(tool.get("input_schema")) is not dict:
        raise CallRefused("Each tool needs a name and an input_schema.", param="tools")
    function = {"name": tool["name"], "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _tool_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    kinds: dict[Any, Any] = {"auto": "auto", "any": "required", "none": "none"}
    named = {"type": "function", "function": {"name": choice.get("name")}}
    found = {"tool_choice": named if choice.get("type") == "tool" else kinds.get(choice.get("type"), "auto")}
    return found | ({"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") is True else {})


def _dicts(value: Any, name: str) -> list[Mapping[str, Any]]:
    if type(value) is not list or not all(type(item) is dict for item in value):
        raise CallRefused(f"{name} must be a list of objects.", param=name)
    return value


def _text(blocks: Any, name: str) -> str:
    """The text blocks of a content, put together."""
    return "\n".join(str(block.get("text", "")) for block in _dicts(blocks, name) if block.get("type") == "text")
