"""Anthropic's Messages API on the way in and out: translated to OpenAI's chat shape, which everything behind speaks.

Source: platform.claude.com/docs/en/api/messages. What has no counterpart (thinking blocks, cache marks, top_k) is left
out; the provider for Claude translates back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ..providers.base import Chunk
from ..relay.call import Completed
from ..relay.catalogue import ModelSpec
from ..relay.errors import CallRefused

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
# Called the same in both, or ours.
_SAME = ("model", "temperature", "top_p", "models", "fallbacks", "priority", "provider")


# --- In --------------------------------------------------------------------------------------------------------------
def to_chat(given: Mapping[str, Any]) -> dict[str, Any]:
    """The chat request that asks the same. Raises CallRefused."""
    if type(given.get("max_tokens")) is not int:
        raise CallRefused("max_tokens must be a whole number.", param="max_tokens")
    if type(given.get("stream", False)) is not bool:
        raise CallRefused("stream must be true or false.", param="stream")
    turns = given.get("messages")
    if type(turns) is not list:
        raise CallRefused("messages must be a list.", param="messages")
    body: dict[str, Any] = {name: given[name] for name in _SAME if name in given}
    body["max_tokens"] = given["max_tokens"]
    body["messages"] = [*_system(given.get("system")), *(part for turn in turns for part in _turn(turn))]
    if given.get("stream") is True:
        body["stream"] = True
    if "stop_sequences" in given:
        body["stop"] = given["stop_sequences"]
    if given.get("tools"):
        body["tools"] = [_tool(tool) for tool in _dicts(given["tools"], "tools")]
    if type(given.get("tool_choice")) is dict:
        body |= _tool_choice(given["tool_choice"])
    if type(given.get("metadata")) is dict and type(given["metadata"].get("user_id")) is str:
        body["user"] = given["metadata"]["user_id"]
    return body


def _system(given: Any) -> list[dict[str, Any]]:
    text = given if type(given) is str else _text(given, "system") if given else ""
    return [{"role": "system", "content": text}] if text else []


def _turn(turn: Any) -> list[dict[str, Any]]:
    """One turn is one message, but for results of tools, which are messages of their own."""
    if type(turn) is not dict or turn.get("role") not in ("user", "assistant"):
        raise CallRefused("Each message needs a role: user or assistant.", param="messages")
    content = turn.get("content")
    if type(content) is str:
        return [{"role": turn["role"], "content": content}]
    blocks = _dicts(content, "messages.content")
    return _assistant(blocks) if turn["role"] == "assistant" else _user(blocks)


def _assistant(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    message: dict[str, Any] = {"role": "assistant", "content": _text(blocks, "messages.content") or None}
    calls = [
        {
            "id": str(block.get("id", "")),
            "type": "function",
            "function": {
                "name": str(block.get("name", "")),
                "arguments": orjson.dumps(block.get("input") or {}).decode(),
            },
        }
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    if calls:
        message["tool_calls"] = calls
    return [message]


def _user(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in blocks:
        match block.get("type"):
            case "tool_result":
                result = block.get("content") or ""
                text = result if type(result) is str else _text(result, "tool_result.content")
                messages.append({"role": "tool", "tool_call_id": str(block.get("tool_use_id", "")), "content": text})
            case "text":
                parts.append({"type": "text", "text": str(block.get("text", ""))})
            case "image":
                parts.append({"type": "image_url", "image_url": {"url": _image(block.get("source"))}})
            case kind:
                raise CallRefused(f"Content of type {kind!r} is not supported.", param="messages", code="unsupported")
    if parts:
        plain = all(part["type"] == "text" for part in parts)
        content = "\n".join(part["text"] for part in parts) if plain else parts
        messages.append({"role": "user", "content": content})
    return messages


def _image(source: Any) -> str:
    if type(source) is dict and source.get("type") == "url":
        return str(source.get("url", ""))
    if type(source) is dict and source.get("type") == "base64":
        return f"data:{source.get('media_type', '')};base64,{source.get('data', '')}"
    raise CallRefused("An image needs a source: base64 or url.", param="messages")


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    kind = tool.get("type") or "custom"
    if kind != "custom":
        raise CallRefused(f"Tools of type {kind!r} are not supported.", param="tools", code="unsupported")
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


# --- Out, whole ------------------------------------------------------------------------------------------------------
def from_chat(completed: Completed[Any]) -> dict[str, Any]:
    """A chat answer as Anthropic's message."""
    choice = (completed.result.body.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    content: list[dict[str, Any]] = []
    if message.get("content"):
        content.append({"type": "text", "text": message["content"]})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        content.append(
            {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": _input(function)}
        )
    return {
        "id": _message_id(completed.request_id),
        "type": "message",
        "role": "assistant",
        "model": completed.model,
        "content": content,
        "stop_reason": _STOP_REASONS.get(choice.get("finish_reason"), "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": completed.used.input, "output_tokens": completed.used.output},
    }


def _input(function: Mapping[str, Any]) -> Any:
    try:
        return orjson.loads(function.get("arguments") or "{}")
    except orjson.JSONDecodeError:
        return {}


def _message_id(request_id: str) -> str:
    return f"msg_{request_id.removeprefix('req_')}"


# --- Out, streamed ---------------------------------------------------------------------------------------------------
def event(name: str, data: Mapping[str, Any]) -> bytes:
    """One event of a stream, in bytes."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


class MessagesTranslator:
    """Turns chat chunks into Anthropic's events. Blocks come one after another: text, then each call of a tool."""

    def __init__(self, request_id: str) -> None:
        self._id = _message_id(request_id)
        self._events: list[bytes] = []
        self._begun = False
        # The open block: None, "text", or the index of the tool call it carries.
        self._open: str | int | None = None
        self._index = -1
        self._stop_reason = "end_turn"

    def feed(self, chunk: Chunk, model: ModelSpec) -> bytes:
        """The events that follow from a chunk; may be none."""
        if not self._begun:
            self._begin(model.name, chunk.usage.input if chunk.usage else 0)
        for choice in orjson.loads(chunk.data).get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("content"):
                self._block("text", {"type": "text", "text": ""})
                self._delta({"type": "text_delta", "text": delta["content"]})
            for call in delta.get("tool_calls") or ():
                self._call(call)
            if choice.get("finish_reason"):
                self._stop_reason = _STOP_REASONS.get(choice["finish_reason"], "end_turn")
        return self._taken()

    def end(self, completed: Completed[None]) -> bytes:
        """The last events, with what was used."""
        if not self._begun:
            self._begin(completed.model, completed.used.input)
        self._close()
        usage = {"input_tokens": completed.used.input, "output_tokens": completed.used.output}
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        self._add("message_delta", delta=delta, usage=usage)
        self._add("message_stop")
        return self._taken()

    def _call(self, call: Mapping[str, Any]) -> None:
        function = call.get("function") or {}
        index = call.get("index", 0)
        if self._open != index:
            block: dict[str, Any] = {
                "type": "tool_use",
                "id": call.get("id"),
                "name": function.get("name"),
                "input": {},
            }
            self._block(index, block)
        if function.get("arguments"):
            self._delta({"type": "input_json_delta", "partial_json": function["arguments"]})

    def _begin(self, model: str, input_tokens: int) -> None:
        self._begun = True
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": input_tokens, "output_tokens": 0},
        }
        self._add("message_start", message=message)

    def _block(self, kind: str | int, block: Mapping[str, Any]) -> None:
        if self._open == kind:
            return
        self._close()
        self._open = kind
        self._index += 1
        self._add("content_block_start", index=self._index, content_block=block)

    def _delta(self, delta: Mapping[str, Any]) -> None:
        self._add("content_block_delta", index=self._index, delta=delta)

    def _close(self) -> None:
        if self._open is not None:
            self._add("content_block_stop", index=self._index)
            self._open = None

    def _add(self, name: str, **data: Any) -> None:
        self._events.append(event(name, {"type": name, **data}))

    def _taken(self) -> bytes:
        events, self._events = b"".join(self._events), []
        return events
