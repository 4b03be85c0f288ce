"""A whole answer out of a stream: the chunks of one chat answer, put together as the completion they are pieces of."""

from collections.abc import Mapping
from typing import Any

from . import json_text
from .base import Chunk, Completion, Recovery, StreamBroke

# The largest answer that is put together.
MOST_BYTES = 64 * 1024 * 1024
_JSON = dict[str, Any]


class _Message:
    """What came of one message. Texts are kept in the pieces they came in, and joined once."""

    def __init__(self) -> None:
        self.fields: _JSON = {}
        self._pieces: dict[str, list[str]] = {}
        self._calls: dict[Any, _Message] = {}

    def add(self, delta: Mapping[str, Any], once: tuple[str, ...] = ("role",)) -> None:
        """A delta. Of what comes `once` the first that says anything counts; texts and lists grow."""
        for key, value in delta.items():
            if value is None:
                continue
            if key == "tool_calls":
                for call in value:
                    self._calls.setdefault(call.get("index", 0), _Message()).add(call, ("id", "type", "index"))
            elif type(value) is dict:
                inner = self.fields.setdefault(key, _Message())
                inner.add(value, ("name", "id"))
            elif key in once:
                self.fields[key] = self.fields.get(key) or value
            elif type(value) is str:
                self._pieces.setdefault(key, []).append(value)
            elif key == "content" and type(value) is list:
                # Between the words stand parts of kinds that no other dialect has (Mistral's references).
                texts = (part.get("text") for part in value if type(part) is dict)
                self._pieces.setdefault(key, []).extend(text for text in texts if type(text) is str)
            elif type(value) is list:
                self.fields[key] = [*self.fields.get(key, ()), *value]
            else:
                self.fields[key] = value

    def whole(self) -> _JSON:
        """All of it. A call of a function always has arguments, also none."""
        found = {key: value.whole() if type(value) is _Message else value for key, value in self.fields.items()}
        found |= {key: "".join(pieces) for key, pieces in self._pieces.items()}
        if self._calls:
            found["tool_calls"] = [_call(self._calls[index].whole()) for index in sorted(self._calls)]
        return found


def _call(said: _JSON) -> _JSON:
    function = {"arguments": "", **(said.get("function") or {})}
    call = {"id": said.get("id"), "type": said.get("type") or "function", **said, "function": function}
    return {key: value for key, value in call.items() if key != "index"}


class GatheredAnswer:
    """The chunks of one stream so far."""

    def __init__(self) -> None:
        self._head: _JSON = {}
        self._choices: dict[Any, _JSON] = {}
        self._messages: dict[Any, _Message] = {}
        self._size = 0

    def add(self, chunk: Chunk) -> None:
        """Raises StreamBroke when it grows too large to be one answer."""
        self._size += len(chunk.text or chunk.data)
        if self._size > MOST_BYTES:
            raise StreamBroke(f"The answer is larger than {MOST_BYTES} bytes.", recovery=Recovery.FAILOVER, status=200)
        said, _data = json_text.read(chunk.data)
        self._head |= {key: value for key, value in said.items() if key != "choices" and value is not None}
        for choice in said.get("choices") or ():
            index = choice.get("index") or 0
            self._messages.setdefault(index, _Message()).add(choice.get("delta") or {})
            self._tell(self._choices.setdefault(index, {}), choice)

    def completion(self) -> Completion:
        """All of it, in OpenAI's shape; the usage is the meter's to tell."""
        choices = [
            {"index": index, "message": _told(self._messages[index].whole()), "finish_reason": None, **told}
            for index, told in sorted(self._choices.items())
        ]
        return Completion({**self._head, "object": "chat.completion", "choices": choices}, None)

    def _tell(self, told: _JSON, choice: Mapping[str, Any]) -> None:
        """What a chunk says of a choice besides its words: why it ends, how likely its tokens were."""
        for key, value in choice.items():
            if key in ("index", "delta") or value is None:
                continue
            if key == "logprobs" and type(value) is dict:
                known = told.setdefault(key, {})
                known |= {name: [*(known.get(name) or ()), *(tokens or ())] for name, tokens in value.items()}
            else:
                told[key] = value


def _told(message: _JSON) -> _JSON:
    """Who says nothing says nothing in words when that is all there is, and else has no content."""
    more = any(message.get(key) for key in ("tool_calls", "function_call", "refusal"))
    return {**message, "role": "assistant", "content": message.get("content") or (None if more else "")}
