"""Texts of a bill as they really come: lines in UTF-8 or GBK, and amounts, times and numbers written in every way that
means the same.

Nothing is guessed: what could be read in two ways is refused.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import IO

from voicehelper.clock import BEIJING

MAX_LINE_BYTES = 64 * 1024
_BOM = b"\xef\xbb\xbf"
# A line's end, and the file's as old programs write it.
_END = "\r\n\x00\x1a"

# Full-width forms as ASCII. Not NFKC, which also makes 5² a 52.
_HALF_WIDTH: dict[int, int | str | None] = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | dict.fromkeys(
    [0x3000, 0xA0], " "
)
_HALF_WIDTH |= {0xFFE5: "¥", 0x2212: "-", 0x2013: "-", 0xFF0D: "-"} | dict.fromkeys([0xFEFF, 0x200B, 0x200E], None)
# What stands around a value in files that went through a spreadsheet.
_AROUND = " \t\r\n`'\"="

_PLAIN = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,8})?")
_WRITTEN = re.compile(
    r"([+-]?) ?(?:¥|CNY|RMB)? ?([+-]?)([0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(\.[0-9]{1,8})? ?(?:元|CNY|RMB)?"
)
_TIME = re.compile(
    r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?"
    r"(?:[ T\t]+([0-9]{1,2})[:时]([0-9]{1,2})(?:[:分]([0-9]{1,2})(?:\.[0-9]{1,9})?秒?|分)?)?"
)
_MAX_VALUE = 64
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{2})([0-9]{2}))?")


class Unreadable(ValueError):
    """A value, or a whole row, that does not say what it should; the text says what it says instead."""


def lines(file: IO[bytes]) -> Iterator[tuple[int, str]]:
    """Each line by its number, without its end and without a BOM; of one that is too long, the beginning.

    Whether it is UTF-8 or GB18030 shows in the first line beyond ASCII. A single line in the other one is read too, and
    bytes that are neither become U+FFFD: what stands beside them may still be read.
    """
    number, encodings = 0, ("", "")
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        ended = line
        while len(ended) == MAX_LINE_BYTES and not ended.endswith(b"\n"):
            ended = file.readline(MAX_LINE_BYTES)
        if line.isascii():
            yield number, line.decode("ascii").rstrip(_END)
            continue
        while line.startswith(_BOM):
            line = line.removeprefix(_BOM)
        if not encodings[0] and not line.isascii():
            encodings = ("utf-8", "gb18030") if _is_in(line, "utf-8") else ("gb18030", "utf-8")
        codec = next((each for each in encodings if each and _is_in(line, each)), "")
        yield number, line.decode(codec or encodings[0] or "ascii", "replace").lstrip("\ufeff").rstrip(_END)


def _is_in(line: bytes, codec: str) -> bool:
    try:
        line.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def tidy(text: str) -> str:
    """A value without what is around it, in half-width characters."""
    if text.isascii() and text.isalnum():
        return text
    return text.translate(_HALF_WIDTH).strip(_AROUND)


@lru_cache(4096)
def number(text: str, column: str) -> Decimal:
    """A decimal: "73", "¥1,234.50", "+0.10", "－５.00元". Raises Unreadable for anything else: exponents, other digits,
    separators that do not stand before three digits."""
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    found = _WRITTEN.fullmatch(tidy(text)) if len(text) <= _MAX_VALUE else None
    if not found or (found[1] and found[2]):
        raise Unreadable(f"{column} says {text[:32]!r}, which is not a number")
    return Decimal(f"{found[1] or found[2]}{found[3].replace(',', '')}{found[4] or ''}")


def is_number(text: str) -> bool:
    """Whether `number` reads it."""
    try:
        return number(text, "") is not None
    except Unreadable:
        return False


def fen(text: str, column: str) -> int:
    """Yuan in text as fen, exactly. Raises Unreadable for fractions of a fen."""
    amount = number(text, column) * 100
    if amount != int(amount):
        raise Unreadable(f"{column} says {text[:32]!r}, which is not a whole number of fen")
    return int(amount)


def beijing(text: str, column: str) -> datetime:
    """A time of the bill, aware; without seconds, or a time of day, it is the first. Raises Unreadable."""
    try:
        if len(text) == 19 and text[4] == text[7] == "-":
            return datetime.fromisoformat(text).replace(tzinfo=BEIJING)
    except ValueError:
        pass
    plain = tidy(text)
    found = _TIME.fullmatch(plain) or _COMPACT.fullmatch(plain)
    try:
        if found:
            return datetime(*(int(each or 0) for each in found.groups()), tzinfo=BEIJING)  # type: ignore[misc, arg-type]  # six
        moment = datetime.fromisoformat(plain)
        if moment.tzinfo is not None:
            return moment.astimezone(BEIJING)
    except ValueError:
        pass
    raise Unreadable(f"{column} says {text[:32]!r}, which is not a time")
