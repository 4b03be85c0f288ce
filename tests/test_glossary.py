"""docs/glossary.md chooses one word per thing; the catalogue keeps to it."""

import re
from collections.abc import Iterator

from django.conf import settings

from tests.test_translations import catalogue

LATIN = re.compile(r"[A-Za-z]")


def rows() -> Iterator[list[str]]:
    """Chinese, English, what it means, and the words not chosen."""
    for line in page().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] != "中文":
            yield cells


def page() -> str:
    return (settings.BASE_DIR / "docs" / "glossary.md").read_text()


def refused() -> list[str]:
    return [word.strip() for row in rows() for word in row[3].split(",") if word.strip()]


def texts() -> Iterator[tuple[str, str]]:
    """Every text of the catalogue: in English, and in Chinese."""
    for message in catalogue():
        if message.id:
            for english in message.id if isinstance(message.id, list | tuple) else [message.id]:
                yield english, ""
            for chinese in message.string if isinstance(message.string, list | tuple) else [message.string]:
                yield "", chinese


def without_names(text: str) -> str:
    for name in page().partition("## Names of others")[2].split(","):
        text = text.replace(name.strip(), "")
    return text


def test_no_text_says_a_thing_in_a_word_that_was_not_chosen() -> None:
    words = refused()
    assert len(words) > 40
    latin = re.compile(rf"\b({'|'.join(word for word in words if LATIN.search(word))})\b", re.IGNORECASE)
    chinese = re.compile("|".join(word for word in words if not LATIN.search(word)))
    found = []
    for english, translated in texts():
        found += [f"{word}: {english}" for word in latin.findall(english)]
        found += [f"{word}: {translated}" for word in chinese.findall(without_names(translated))]
    assert found == [], "\n".join(found)


def test_the_words_chosen_are_the_ones_in_use() -> None:
    said = "\n".join(chinese for _english, chinese in texts())
    unused = [row[0] for row in rows() if row[0] not in said]
    assert unused == []
