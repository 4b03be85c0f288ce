"""The texts of a request, in whatever dialect: what somebody says, not what a model said before."""

from collections.abc import Iterator, Mapping
from typing import Any

# Where requests have what is said, in all dialects.
_SAID = ("system", "instructions", "messages", "input", "prompt", "query")
_INSIDE = ("text", "content", "input", "output", "arguments")
_DEEPEST = 8


def said(body: Mapping[str, Any]) -> list[str]:
    """All texts of a request but those of a model's earlier answers."""
    return [text for name in _SAID if name in body for text in _texts(body[name], 0)]


def newest(body: Mapping[str, Any]) -> list[str]:
    """Those that no earlier call of the conversation can have had: what follows the last answer."""
    found: list[str] = []
    for name in _SAID:
        given = body.get(name)
        if isinstance(given, list):
            answers = [at for at, each in enumerate(given) if _is_answer(each)]
            given = given[answers[-1] + 1 if answers else 0 :]
        if given and name not in ("system", "instructions"):
            found += _texts(given, 0)
    return found


def _is_answer(part: Any) -> bool:
    return isinstance(part, dict) and part.get("role") == "assistant"


def _texts(given: Any, depth: int) -> Iterator[str]:
    if isinstance(given, str):
        # A picture is no text.
        if not given.startswith("data:"):
            yield given
    elif depth > _DEEPEST:
        return
    elif isinstance(given, list):
        for each in given:
            yield from _texts(each, depth + 1)
    elif isinstance(given, dict) and not _is_answer(given):
        for name in _INSIDE:
            if name in given:
                yield from _texts(given[name], depth + 1)
