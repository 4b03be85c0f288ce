"""Chat chunks as the events of Anthropic's message. Its blocks come one after another; a provider's calls of tools may
come all at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicehelper.api.errors import ErrorAnswer

from ..providers import json_text
from ..providers.base import Chunk
from ..providers.oddities import is_whole
from ..relay.billing import Amount
from ..relay.catalogue import ModelSpec
from ..relay.settling import Completed
from .base import event
from .errors import anthropic
from .messages_answer import call_id, from_chat, is_thought, message_id, shows_thoughts, stop_of, usage_of, words_of

_THINKING, _TEXT = "thinking", "text"
_EMPTY: Mapping[str, Mapping[str, Any]] = {
    _THINKING: {"type": "thinking", "thinking": "", "signature": ""},
    _TEXT: {"type": "text", "text": ""},
}


def broken(answer: ErrorAnswer, request_id: str) -> bytes:
    """The last event of a stream that broke off."""
    return event("error", anthropic(answer, request_id))


@dataclass
class _Waiting:
    """A block whose turn has not come: thoughts, text, or the call of a tool, whose name may come late; or `whole`."""

    whole: Mapping[str, Any] | None = None
    called: str = ""
    name: str = ""
    deltas: list[Mapping[str, Any]] = field(default_factory=list)


class MessagesTranslator:
    """Turns chat chunks into Anthropic's events.

    One block is open, and what belongs to it goes out at once. Text and thoughts are done when anything else comes, a
    call when its arguments are whole; until then what belongs to others waits, in the order in which it began.
    """

    def __init__(self, given: Mapping[str, Any], request_id: str) -> None:
        self._given = given
        self._request_id = request_id
        self._shows_thoughts = shows_thoughts(given)
        self._events: list[bytes] = []
        self._begun = False
        # The open block ("thinking", "text", or the index of the call it is), and those that wait.
        self._open: str | int | None = None
        self._waiting: dict[str | int, _Waiting] = {}
        self._index = -1
        # The arguments of the open call so far.
        self._arguments: list[str] = []
        self._calls: set[str] = set()
        # Calls whose blocks are closed: whatever else comes for them has come too late.
        self._closed: set[str | int] = set()
        self._refused = False
        self._finish: Mapping[str, Any] = {}
        self._told: Any = None

    def whole(self, completed: Completed[Any]) -> bytes:
        return json_text.write(from_chat(self._given, completed))

    def feed(self, chunk: Chunk, model: ModelSpec, _credential_id: int) -> bytes:
        """The events that follow from a chunk; may be none."""
        if not self._begun:
            self._begin(model.name, Amount(chunk.usage.kinds) if chunk.usage else Amount({}))
        said, _data = json_text.read(chunk.data)
        self._told = said.get("usage") or self._told
        for choice in said.get("choices") or ():
            self._read(choice.get("delta") or {})
            if choice.get("finish_reason"):
                self._finish = choice
        return self._taken()

    def end(self, completed: Completed[Any]) -> bytes:
        """The last events, with what was used."""
        if not self._begun:
            self._begin(completed.model, completed.used)
        self._close()
        for key in list(self._waiting):
            self._start(key)
        self._close()
        called = bool(self._calls)
        reason, sequence = stop_of(self._finish, self._given, called=called, refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        self._add("message_delta", delta=delta, usage=usage_of(completed.used, self._told))
        self._add("message_stop")
        return self._taken()

    def fail(self, answer: ErrorAnswer, _completed: Completed[Any] | None) -> bytes:
        return broken(answer, self._request_id)

    # --- What comes ------------------------------------------------------------------------------------------------
    def _read(self, delta: Mapping[str, Any]) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought and type(thought) is str and self._shows_thoughts:
            self._put(_THINKING, {"type": "thinking_delta", "thinking": thought})
        for block in delta.get("thinking_blocks") or ():
            if is_thought(block) and (block.get("signature") or block.get("data")):
                self._sign(block)
        for key in ("content", "refusal"):
            if words := words_of(delta.get(key)):
                self._refused = self._refused or key == "refusal"
                self._put(_TEXT, {"type": "text_delta", "text": words})
        for call in delta.get("tool_calls") or ():
            self._call(call)

    def _call(self, call: Mapping[str, Any]) -> None:
        function, index = call.get("function") or {}, call.get("index", 0)
        if index in self._closed:
            return
        if index != self._open:
            waiting = self._waiting.setdefault(index, _Waiting())
            waiting.called = waiting.called or call.get("id") or ""
            waiting.name = waiting.name or function.get("name") or ""
        if function.get("arguments"):
            self._put(index, {"type": "input_json_delta", "partial_json": function["arguments"]})
        self._advance()

    def _put(self, key: str | int, delta: Mapping[str, Any]) -> None:
        """Pass a delta on, or keep it until it is its block's turn."""
        if key == self._open:
            self._delta(delta)
        else:
            self._waiting.setdefault(key, _Waiting()).deltas.append(delta)
            self._advance()

    def _sign(self, block: Mapping[str, Any]) -> None:
        """Thoughts come signed when they have been thought."""
        if block.get("type") == "thinking" and self._open == _THINKING:
            self._delta({"type": "signature_delta", "signature": block["signature"]})
            self._close()
            return
        self._waiting[f"thought {len(self._waiting)}"] = _Waiting(block)
        self._advance()

    # --- Blocks ----------------------------------------------------------------------------------------------------
    def _advance(self) -> None:
        """Open what waits, as far as what is open is done."""
        for key, waiting in list(self._waiting.items()):
            if type(key) is int and not waiting.name:
                continue
            if type(self._open) is int and not is_whole(self._arguments):
                return
            self._start(key)

    def _start(self, key: str | int) -> None:
        self._close()
        waiting = self._waiting.pop(key)
        self._open = key
        self._index += 1
        if type(key) is int:
            called = call_id(waiting.called, self._calls)
            block: Mapping[str, Any] = {"type": "tool_use", "id": called, "name": waiting.name, "input": {}}
        else:
            block = waiting.whole or _EMPTY[str(key)]
        self._add("content_block_start", index=self._index, content_block=block)
        for delta in waiting.deltas:
            self._delta(delta)

    def _close(self) -> None:
        if self._open is None:
            return
        if type(self._open) is int:
            self._closed.add(self._open)
        self._add("content_block_stop", index=self._index)
        self._open, self._arguments = None, []

    def _delta(self, delta: Mapping[str, Any]) -> None:
        if "partial_json" in delta:
            self._arguments.append(delta["partial_json"])
        self._add("content_block_delta", index=self._index, delta=delta)

    # --- Events ----------------------------------------------------------------------------------------------------
    def _begin(self, model: str, used: Amount) -> None:
        self._begun = True
        message: dict[str, Any] = {
            "id": message_id(self._request_id),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage_of(used), "output_tokens": 0},
        }
        self._add("message_start", message=message)

    def _add(self, name: str, **data: Any) -> None:
        self._events.append(event(name, {"type": name, **data}))

    def _taken(self) -> bytes:
        events, self._events = b"".join(self._events), []
        return events
