"""Tokens when nobody has counted them: before a call, and after one whose provider reported none.

A heuristic on characters (about 3.8 to a token, 0.7 tokens for a CJK character), corrected per model by what providers
reported for texts we had weighed: an exponential mean of reported/weighed, kept in memory.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

_CHARACTERS_PER_TOKEN = 3.8
_TOKENS_PER_CJK = 0.7
# What a message costs besides its text, and an image or a recording whose size says nothing.
_PER_MESSAGE = 5
_PER_ATTACHMENT = 1000
_WEIGHT_OF_NEWEST = 0.05
_LEAST_RATIO, _MOST_RATIO = 0.25, 4.0


def weigh(text: str) -> float:
    """About how many tokens a text has."""
    if text.isascii():
        return len(text) / _CHARACTERS_PER_TOKEN
    # In UTF-8 a CJK character is two bytes longer than a Latin one.
    length = len(text)
    wide = min(length, (len(text.encode("utf-8", "replace")) - length) / 2)
    return (length - wide) / _CHARACTERS_PER_TOKEN + wide * _TOKENS_PER_CJK


def weigh_prompt(body: Mapping[str, Any]) -> float:
    """About how many tokens a chat request has: its messages, tools and older functions."""
    total = 0.0
    for message in body.get("messages", ()):
        total += _PER_MESSAGE + _weigh_message(message)
    for name in ("tools", "functions", "response_format"):
        if name in body:
            total += weigh_data(body[name])
    return total


def _weigh_message(message: Mapping[str, Any]) -> float:
    content = message.get("content")
    total = 0.0
    if type(content) is str:
        total = weigh(content)
    elif content:
        for part in content:
            text = part.get("text") if isinstance(part, dict) else None
            total += weigh(text) if isinstance(text, str) else _PER_ATTACHMENT
    for name in ("tool_calls", "function_call"):
        if message.get(name):
            total += weigh_data(message[name])
    return total


def weigh_input(given: Any) -> float:
    """About how many tokens a text has, or several, or one or several as token numbers."""
    if isinstance(given, str):
        return weigh(given)
    if not isinstance(given, list):
        return 0.0
    return sum(weigh(item) if isinstance(item, str) else len(item) if isinstance(item, list) else 1 for item in given)


def weigh_data(data: Any) -> float:
    """A JSON value as it is written: keys, texts, and the marks between."""
    if isinstance(data, str):
        return weigh(data) + 1
    if isinstance(data, dict):
        return sum(weigh(key) + 1 + weigh_data(value) for key, value in data.items())
    if isinstance(data, list):
        return sum(map(weigh_data, data)) + 1
    return 1


class Calibration:
    """How the heuristic errs, per model."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def tokens(self, model: str, weight: float) -> int:
        """The estimate for a text that weighs so much."""
        return ceil(weight * self._ratios.get(model, 1.0))

    def learn(self, model: str, weight: float, tokens: int) -> None:
        """A provider counted so many tokens in a text that weighs so much."""
        if weight < 20 or tokens <= 0:
            return
        ratio = min(_MOST_RATIO, max(_LEAST_RATIO, tokens / weight))
        known = self._ratios.get(model, 1.0)
        self._ratios[model] = known + _WEIGHT_OF_NEWEST * (ratio - known)
