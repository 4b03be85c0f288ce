"""Anthropic's Messages API: what must be known of a request, and answers of providers that do not speak it.

Source: platform.claude.com/docs/en/api/messages.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from voicehelper.api.errors import ErrorAnswer

from ..providers import json_text
from ..providers.base import MESSAGES, Chunk
from ..relay.catalogue import ModelSpec
from ..relay.errors import CallRefused
from ..relay.estimates import weigh, weigh_data
from ..relay.settling import Completed
from .base import Dialect, event, header_names
from .errors import anthropic
from .messages_in_chat import to_chat

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
# What a block costs besides its text, and a picture or a document, whose size says nothing.
_PER_TURN = 5
_PER_ATTACHMENT = 1000
_ATTACHED = ("image", "document", "container_upload", "search_result")


# --- What must be known ----------------------------------------------------------------------------------------------
def check(body: Mapping[str, Any]) -> None:
    """What every request must be like; the rest is the provider's business."""
    if type(body.get("max_tokens")) is not int:
        raise CallRefused("max_tokens must be a whole number.", param="max_tokens")
    if type(body.get("stream", False)) is not bool:
        raise CallRefused("stream must be true or false.", param="stream")
    turns = body.get("messages")
    if type(turns) is not list or not turns or not all(type(turn) is dict for turn in turns):
        raise CallRefused("messages must be a list of messages.", param="messages")
    if body.get("thread"):
        # Its state would be kept at one of our accounts; clients send the whole conversation when they read this code.
        text = "There are no threads here: send the whole conversation without `thread`."
        raise CallRefused(text, param="thread", code="thread_unsupported_request")
    for name, free in _DEARER.items():
        if body.get(name) not in (None, free):
            raise CallRefused(f"{name} is not to be had here.", param=name, code="unsupported")
    for tool in body.get("tools") or ():
        kind = tool.get("type") if type(tool) is dict else None
        if type(kind) is str and kind.startswith(_DEARER_TOOLS):
            raise CallRefused(f"Tools of type {kind!r} are not to be had here.", param="tools", code="unsupported")


# What a provider charges more for than the prices here know of.
_DEARER: Mapping[str, str] = {"speed": "standard", "inference_geo": "global"}
_DEARER_TOOLS = ("code_execution",)


def weigh_request(body: Mapping[str, Any]) -> float:
    """About how many tokens a request has."""
    total = _weigh(body.get("system"))
    for turn in body["messages"]:
        total += _PER_TURN + _weigh(turn.get("content"))
    return total + sum(weigh_data(body[name]) for name in ("tools", "output_config") if body.get(name))


def _weigh(content: Any) -> float:
    if type(content) is str:
        return weigh(content)
    if type(content) is not list:
        return 0.0
    return sum(_weigh_block(block) for block in content if type(block) is dict)


def _weigh_block(block: Mapping[str, Any]) -> float:
    kind = block.get("type")
    if kind in _ATTACHED:
        source = block.get("source")
        text = source.get("data") if type(source) is dict and source.get("type") == "text" else None
        return weigh(text) if type(text) is str else _PER_ATTACHMENT
    if kind == "tool_result":
        return _PER_TURN + _weigh(block.get("content"))
    words = block.get("text") or block.get("thinking") or block.get("data") or ""
    return (weigh(words) if type(words) is str else 0.0) + weigh_data(block.get("input") or "")


def needs(body: Mapping[str, Any]) -> list[str]:
    """What else a model must be able to do when it is we who choose it."""
    found = ["function_call"] if body.get("tools") else []
    blocks = [block for turn in body["messages"] if type(turn.get("content")) is list for block in turn["content"]]
    if any(type(block) is dict and block.get("type") in _ATTACHED for block in blocks):
        found.append("multimodal")
    return found


# --- Out, whole ------------------------------------------------------------------------------------------------------
def from_chat(completed: Completed[Any]) -> dict[str, Any]:
    """A chat answer as Anthropic's message."""
    choice = (completed.result.body.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    content: list[dict[str, Any]] = []
    thought = message.get("reasoning_content") or message.get("reasoning")
    if type(thought) is str and thought:
        content.append({"type": "thinking", "thinking": thought, "signature": ""})
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
class MessagesTranslator:
    """Turns chat chunks into Anthropic's events. Blocks come one after another: thoughts, text, each call of a tool."""

    def __init__(self, _given: Mapping[str, Any], request_id: str) -> None:
        self._id = _message_id(request_id)
        self._request_id = request_id
        self._events: list[bytes] = []
        self._begun = False
        # The open block: None, "text", "thinking", or the index of the tool call it carries.
        self._open: str | int | None = None
        # Calls whose names have not come: their ids and arguments so far.
        self._nameless: dict[int, dict[str, str]] = {}
        self._index = -1
        self._stop_reason = "end_turn"

    def whole(self, completed: Completed[Any]) -> bytes:
        return json_text.write(from_chat(completed))

    def feed(self, chunk: Chunk, model: ModelSpec, _credential_id: int) -> bytes:
        """The events that follow from a chunk; may be none."""
        if not self._begun:
            self._begin(model.name, chunk.usage.input if chunk.usage else 0)
        said, _data = json_text.read(chunk.data)
        for choice in said.get("choices") or ():
            delta = choice.get("delta") or {}
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if thought and type(thought) is str:
                self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                self._delta({"type": "thinking_delta", "thinking": thought})
            if delta.get("content"):
                self._block("text", {"type": "text", "text": ""})
                self._delta({"type": "text_delta", "text": delta["content"]})
            for call in delta.get("tool_calls") or ():
                self._call(call)
            if choice.get("finish_reason"):
                self._stop_reason = _STOP_REASONS.get(choice["finish_reason"], "end_turn")
        return self._taken()

    def end(self, completed: Completed[Any]) -> bytes:
        """The last events, with what was used."""
        if not self._begun:
            self._begin(completed.model, completed.used.input)
        self._close()
        usage = {"input_tokens": completed.used.input, "output_tokens": completed.used.output}
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        self._add("message_delta", delta=delta, usage=usage)
        self._add("message_stop")
        return self._taken()

    def fail(self, answer: ErrorAnswer, _completed: Completed[Any] | None) -> bytes:
        return broken(answer, self._request_id)

    def _call(self, call: Mapping[str, Any]) -> None:
        function = call.get("function") or {}
        index, arguments = call.get("index", 0), function.get("arguments") or ""
        if self._open != index:
            known = self._nameless.pop(index, {"id": "", "arguments": ""})
            called, arguments = call.get("id") or known["id"], known["arguments"] + arguments
            if not function.get("name"):
                self._nameless[index] = {"id": called, "arguments": arguments}
                return
            self._block(index, {"type": "tool_use", "id": called, "name": function["name"], "input": {}})
        if arguments:
            self._delta({"type": "input_json_delta", "partial_json": arguments})

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


def broken(answer: ErrorAnswer, request_id: str) -> bytes:
    """The last event of a stream that broke off."""
    return event("error", anthropic(answer, request_id))


DIALECT = Dialect(
    name=MESSAGES,
    check=check,
    weigh=weigh_request,
    needs=needs,
    headers=header_names("anthropic-"),
    broken=broken,
    to_chat=to_chat,
    translator=MessagesTranslator,
)
