"""What some providers write differently in OpenAI's shape, put right in place: clients would make nonsense of it.

Tool calls without an index, or with index 0 for each (Gemini, Ollama); content as a list of parts (Mistral); characters
cut in two between chunks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

_Delta = dict[str, Any]
_TEXTS = ("content", "reasoning_content", "reasoning")


class Repair:
    """What was seen so far of one stream."""

    def __init__(self) -> None:
        # By choice: its tool calls.
        self._calls: dict[Any, _Calls] = {}
        # By choice and key: the first half of a character whose second half has not come.
        self._halves: dict[tuple[Any, str], str] = {}

    def delta(self, choice: Mapping[str, Any], delta: _Delta) -> bool:
        """Put one delta right; whether anything was wrong."""
        changed = False
        index = choice.get("index")
        if delta.get("tool_calls"):
            calls = self._calls.get(index)
            if calls is None:
                calls = self._calls[index] = _Calls()
            changed = calls.number(delta["tool_calls"])
        content = delta.get("content")
        if content and type(content) is list:
            changed = joined(delta) or changed
        for key in _TEXTS:
            changed = self._mend(index, key, delta) or changed
        return changed

    def _mend(self, index: Any, key: str, delta: _Delta) -> bool:
        text = delta.get(key)
        if type(text) is not str or not text:
            return False
        given = text
        text = self._halves.pop((index, key), "") + text
        if "\ud800" <= text[-1] <= "\udbff":
            self._halves[index, key] = text[-1]
            text = text[:-1]
        delta[key] = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return bool(delta[key] != given)


@dataclass
class _KnownCall:
    """What is known of a call; its arguments in the pieces they came in."""

    called: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


def is_whole(arguments: list[str]) -> bool:
    """Whether the arguments of a call are an object that is complete: nothing can follow."""
    if not (arguments and arguments[-1].rstrip().endswith("}")):
        return False
    try:
        orjson.loads("".join(arguments))
    except orjson.JSONDecodeError:
        return False
    return True


class _Calls:
    """The tool calls of one choice: a new id is a new call, whatever its index; and so is what begins at an index of
    its own when the one of that id has another name, or is whole."""

    def __init__(self) -> None:
        self._count = 0
        # What the provider calls it → how we number it; and what is known of each call.
        self._numbers: dict[Any, int] = {}
        self._known: dict[int, _KnownCall] = {}

    def number(self, calls: list[dict[str, Any]]) -> bool:
        """Give each its index; whether any was wrong."""
        changed = False
        for call in calls:
            given, function = call.get("index"), call.get("function") or {}
            if type(function.get("arguments")) is dict:
                function["arguments"] = orjson.dumps(function["arguments"]).decode()
                changed = True
            said = _KnownCall(call.get("id") or "", function.get("name") or "", [function.get("arguments") or ""])
            number = self._number(given, said)
            if given != number or type(given) is not int:
                call["index"] = number
                changed = True
        return changed

    def _number(self, given: Any, said: _KnownCall) -> int:
        # What says neither who it is nor what it calls goes on with the latest call.
        latest = self._count - 1 if given is None or not (said.called or said.name) else -1
        number = self._numbers.get(given, latest)
        if number < 0 or self._is_new(number, said, indexed=given is not None):
            number = self._earlier(said, indexed=given is not None and given not in self._numbers)
            self._count = max(self._count, number + 1)
        if given is not None:
            self._numbers[given] = number
        seen = self._known.setdefault(number, _KnownCall())
        seen.called, seen.name = seen.called or said.called, seen.name or said.name
        seen.arguments += said.arguments
        return number

    def _earlier(self, said: _KnownCall, *, indexed: bool) -> int:
        """The call that goes on under another index, or a new one. Some give each call the same id."""
        for number, seen in self._known.items():
            other = indexed and said.name and seen.name and (said.name != seen.name or is_whole(seen.arguments))
            if said.called and seen.called == said.called and not other:
                return number
        return self._count

    def _is_new(self, number: int, said: _KnownCall, *, indexed: bool) -> bool:
        seen = self._known.get(number, _KnownCall())
        if said.called:
            return bool(seen.called) and said.called != seen.called
        if not (said.name and seen.name):
            return False
        # Without ids, and with the same index for each, a call is over when its arguments are whole.
        other = said.name != seen.name or any(said.arguments)
        return not indexed or (other and is_whole(seen.arguments))


def joined(message: dict[str, Any]) -> bool:
    """Content that is a list of parts, as the text it is; what it only thinks, beside it. Parts of other kinds stay."""
    parts = message.get("content")
    if type(parts) is not list or not all(_is_text(part) for part in parts):
        return False
    thought = "".join(_text(part.get("thinking")) for part in parts if type(part) is dict and part.get("thinking"))
    message["content"] = "".join(_text(part) for part in parts)
    if thought and not message.get("reasoning_content"):
        message["reasoning_content"] = thought
    return True


def _is_text(part: Any) -> bool:
    return type(part) is str or (type(part) is dict and part.get("type") in ("text", "thinking", "output_text"))


def _text(part: Any) -> str:
    if type(part) is list:
        return "".join(map(_text, part))
    text = part.get("text") if type(part) is dict else part
    return text if type(text) is str else ""
