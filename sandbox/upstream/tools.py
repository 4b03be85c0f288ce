"""Deciding which tools to call, and with what: by words they share with the question, and by their schemas."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_WORD = re.compile(r"[a-z]{3,}")
_HAN = re.compile(r"[㐀-䶿一-鿿]+")
_QUOTED = re.compile(r"[\"“「'‘](.+?)[\"”」'’]")
_PLACE = re.compile(r"(?:\b(?:in|of|for|at|to)\s+)([A-Z][\w-]*(?:\s+[A-Z][\w-]*)*)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_COMMON = frozenset({"the", "and", "for", "with", "what", "how", "are", "you", "this", "that", "get", "from", "please"})
_DEEPEST = 8


@dataclass(frozen=True)
class Tool:
    """A function on offer; `schema` is JSON Schema for its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """What the caller wants: `kind` is auto, none, required, or named."""

    kind: str = "auto"
    name: str = ""
    parallel: bool = True


def chosen(tools: Sequence[Tool], question: str, choice: Choice) -> list[Tool]:
    """The tools to call, in the order they were offered."""
    if choice.kind == "none" or not tools:
        return []
    if choice.kind == "named":
        return [tool for tool in tools if tool.name == choice.name][:1]
    fitting = [tool for tool in tools if _words(f"{tool.name} {tool.description}") & _words(question)]
    if not fitting and choice.kind == "required":
        fitting = [tools[0]]
    return fitting if choice.parallel else fitting[:1]


def _words(text: str) -> set[str]:
    """English words, and neighbouring pairs of Chinese characters."""
    words = set(_WORD.findall(text.lower().replace("_", " "))) - _COMMON
    for run in _HAN.findall(text):
        words |= {run[at : at + 2] for at in range(len(run) - 1)}
    return words


def filled(schema: Any, question: str, name: str = "", depth: int = 0) -> Any:
    """A value that a JSON schema allows, out of the question where it offers one."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if schema.get("enum"):
        return next((value for value in schema["enum"] if str(value).lower() in question.lower()), schema["enum"][0])
    if "const" in schema:
        return schema["const"]
    for several in ("anyOf", "oneOf"):
        if schema.get(several):
            return filled(schema[several][0], question, name, depth + 1)
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if kind == "object":
        fields = schema.get("properties") or {}
        return {field: filled(inner, question, field, depth + 1) for field, inner in fields.items()}
    if kind == "array":
        return [filled(schema.get("items") or {}, question, name, depth + 1)]
    if kind in ("integer", "number"):
        return _number(schema, question, whole=kind == "integer")
    return {"boolean": True, "null": None}.get(kind, _string(question) or name or "…")


def _number(schema: Mapping[str, Any], question: str, *, whole: bool) -> float | int:
    found = _NUMBER.search(question)
    value = float(found[0]) if found else float(schema.get("default") or schema.get("minimum") or 1)
    low, high = schema.get("minimum", value), schema.get("maximum", value)
    value = max(low, min(high, value))
    return int(value) if whole else value


def _string(question: str) -> str:
    """What a question is about: something in quotation marks, or a proper name; else the question."""
    found = _QUOTED.search(question) or _PLACE.search(question)
    if found:
        return found[1]
    run = _HAN.search(question)
    # A Chinese question begins with what it is about more often than not.
    return run[0][:2] if run else question[:80]
