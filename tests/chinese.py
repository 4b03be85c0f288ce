"""English words in a Chinese text: what is said in Latin letters and is no name."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from sandbox.history import MARK

_WORD = re.compile(r"[A-Za-z][A-Za-z’']+(?![\w])")
# Addresses, files, variables, dates, identifiers: whatever has a digit or one of these signs within is no word.
_CODE = re.compile(r"\S*(?:[A-Za-z]\d|\d[A-Za-z]|://|\w[@_/=.]\w|\w:\d|[{}\\]|--?[a-z]|\w-\w|/\w|\w/|\*{3}|····)\S*")
# Attributes that are shown or said; those that begin with data-text are written by scripts.
_ATTRIBUTES = {"title", "placeholder", "aria-label", "aria-description", "alt", "data-done", "data-unknown"}
# Programs' text, and what another language says of itself.
_SKIPPED = {"script", "style", "code", "pre", "noscript", "textarea", "svg"}
# Identifiers, icons whose names a font draws, and what people say to models and those to them.
_NO_WORDS = {"mono", "material-symbols-outlined", "said"}
_EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


def names() -> set[str]:
    """What may be said in Latin letters: one a line, in lower case here."""
    lines = Path(__file__).with_name("names.txt").read_text().splitlines()
    return {word.lower() for line in lines if not line.startswith("#") for word in line.split()}


class _Texts(HTMLParser):
    """The texts that a page shows or says, without program text."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._skipped: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        foreign = facts.get("lang") == "en" and tag != "html"
        classes = set((facts.get("class") or "").split())
        other = foreign or bool(classes & _NO_WORDS) or facts.get("translate") == "no"
        # Django's names of permissions; tests/accounts/test_roles.py looks at them.
        other = other or (tag == "select" and facts.get("name") in ("permissions", "user_permissions"))
        if not self._inside and not other:
            self.texts += [
                value for name, value in attrs if value and (name in _ATTRIBUTES or name.startswith("data-text"))
            ]
            if tag == "input" and facts.get("type") in ("submit", "button"):
                self.texts.append(facts.get("value") or "")
        if tag not in _EMPTY:
            self._skipped.append(tag in _SKIPPED or other)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY and self._skipped:
            self._skipped.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside and data.strip():
            self.texts.append(" ".join(data.split()))

    @property
    def _inside(self) -> bool:
        return any(self._skipped)


def texts_of(page: str) -> list[str]:
    parser = _Texts()
    parser.feed(page)
    return parser.texts


def foreign_words(text: str, allowed: set[str]) -> Iterator[str]:
    """The words in Latin letters that are no names."""
    for word in _WORD.findall(_CODE.sub(" ", text.replace(MARK, " "))):
        if word.lower() not in allowed and len(word) > 1:
            yield word
