"""Sentences that rows keep in English, said in the reader's language by the patterns they were made from."""

import re
from collections.abc import Iterable
from functools import cache

from django.utils.translation import get_language, gettext

_HOLE = "{}"


def reworded(text: str, patterns: Iterable[str]) -> str:
    """`text` in the current language: by the pattern ({} stands for what a sentence names) that says most of it, and so
    with what it names; of several sentences joined by semicolons each on its own. As it is where none fits."""
    if not text or (get_language() or "en").startswith("en"):
        return text
    for pattern, expression in _compiled(tuple(patterns)):
        if found := expression.fullmatch(text):
            return gettext(pattern).format(*(reworded(each, patterns) for each in found.groups()))
    if "; " in text:
        return gettext("; ").join(reworded(each, patterns) for each in text.split("; "))
    return text


@cache
def _compiled(patterns: tuple[str, ...]) -> list[tuple[str, re.Pattern[str]]]:
    """Those with most words of their own first."""
    ordered = sorted(patterns, key=lambda pattern: len(pattern.replace(_HOLE, "")), reverse=True)
    return [(pattern, re.compile(_expression(pattern), re.DOTALL)) for pattern in ordered]


def _expression(pattern: str) -> str:
    return "(.*)".join(map(re.escape, pattern.split(_HOLE)))
