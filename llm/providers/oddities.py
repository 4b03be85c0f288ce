"""What some providers write differently in OpenAI's shape, put right in place: clients would make nonsense of it.

Tool calls without an index, or with index 0 for each (Gemini, Ollama); content as a list of parts (Mistral); characters
cut in two between chunks.
"""

from collections.abc import Mapping
from typing import Any

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


class _Calls:
    """The tool calls of one choice: a new id is a new call, whatever its index."""

    def __init__(self) -> None:
        self._count = 0
        # What the provider calls it → how we number it; and the id and name of each call, as far as they are known.
        self._numbers: dict[Any, int] = {}
        self._known: dict[int, tuple[str, str]] = {}

    def number(self, calls: list[dict[str, Any]]) -> bool:
        """Give each its index; whether any was wrong."""
        changed = False
        for call in calls:
            given = call.get("index")
            number = self._number(given, call.get("id") or "", (call.get("function") or {}).get("name") or "")
            if given != number or type(given) is not int:
                call["index"] = number
                changed = True
        return changed

    def _number(self, given: Any, called: str, name: str) -> int:
        # What says neither who it is nor what it calls goes on with the latest call.
        latest = self._count - 1 if given is None or not (called or name) else -1
        number = self._numbers.get(given, latest)
        if number < 0 or self._is_new(number, called, name, indexed=given is not None):
            earlier = [known for known, (each, _) in self._known.items() if called and each == called]
            number = earlier[0] if earlier else self._count
            self._count = max(self._count, number + 1)
        if given is not None:
            self._numbers[given] = number
        seen_id, seen_name = self._known.get(number, ("", ""))
        self._known[number] = seen_id or called, seen_name or name
        return number

    def _is_new(self, number: int, called: str, name: str, *, indexed: bool) -> bool:
        seen_id, seen_name = self._known.get(number, ("", ""))
        if called:
            return bool(seen_id) and called != seen_id
        return not indexed and bool(name) and bool(seen_name)


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
