"""Both languages are complete: every text in the sources is in the catalogue, and every one there has its Chinese."""

import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from django.conf import settings
from django.utils.translation.template import templatize

PACKAGES = ("voicehelper", "topup", "llm", "notifications", "storage_backends")
# Which arguments are texts: (singular, plural), or (context, text).
KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "npgettext": ((1, "c"), 2, 3),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
}


def catalogue() -> Catalog:
    with (settings.BASE_DIR / "locale/zh_Hans/LC_MESSAGES/django.po").open("rb") as stream:
        return read_po(stream, locale="zh_Hans")


def sources() -> Iterator[tuple[Path, str]]:
    """Each file as Python that calls gettext; templates through Django's own translation into it."""
    root = settings.BASE_DIR
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, path.read_text()
    for path in sorted([*(root / "templates").rglob("*.html"), *(root / "voicehelper").rglob("*.html")]):
        # What is not Python is x, in lines and columns as they were; the calls stand between.
        calls = re.findall(r"\s(n?p?gettext\(.*?\)|_\(.*?\))\s", templatize(path.read_text()), re.DOTALL)
        yield path, "\n".join(calls)


def test_every_text_in_the_sources_is_in_the_catalogue() -> None:
    known = catalogue()
    missing = set()
    for path, text in sources():
        for _line, message, _comments, context in extract("python", io.BytesIO(text.encode()), KEYWORDS):
            found = message[0] if isinstance(message, tuple) else message
            if found and known.get(found, context) is None:
                missing.add(f"{path.relative_to(settings.BASE_DIR)}: {found}")
    assert sorted(missing) == []


def test_no_text_is_translated_twice() -> None:
    text = (settings.BASE_DIR / "locale/zh_Hans/LC_MESSAGES/django.po").read_text()
    found = re.findall(r'^(msgctxt ".*"\n)?(msgid (?:".*"\n)+)', text, re.MULTILINE)
    assert [each for each, count in Counter(found).items() if count > 1] == []


def test_every_text_in_the_catalogue_has_a_chinese_translation() -> None:
    catalog = catalogue()
    assert len(catalog) > 100
    missing = [message.id for message in catalog if message.id and (not message.string or message.fuzzy)]
    assert missing == []
