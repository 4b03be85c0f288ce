"""This stand-in's tokens: what it counts, bills and streams by. No provider's real vocabulary; the rule is below."""

import re

# A CJK character, up to eight letters or three digits with the space before them, or any other single character.
_TOKEN = re.compile(r"[㐀-䶿一-鿿豈-﫿]| ?[A-Za-z]{1,8}| ?\d{1,3}|\n+|[ \t]+|.", re.DOTALL)
_PER_MESSAGE = 4


def split(text: str) -> list[str]:
    """The tokens of a text; put together they are the text."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    return len(split(text))


def count_turns(texts: list[str]) -> int:
    """The tokens of a conversation: its texts, and what surrounds them."""
    return sum(count(text) + _PER_MESSAGE for text in texts) + 3
