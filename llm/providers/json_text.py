"""JSON as providers write it, which is not always JSON: NaN, halves of characters, bytes that are no UTF-8, a mark of
their order.

Strict reading comes first and is nearly always the end of it; only what it refuses is read with patience.
"""

import json
from typing import Any

import orjson

_BOM = b"\xef\xbb\xbf"


def read(text: bytes) -> tuple[Any, bytes]:
    """The value, and the text as a strict reader takes it: NaN and Infinity are null there. Raises ValueError."""
    try:
        return orjson.loads(text), text
    except orjson.JSONDecodeError:
        return patiently(text)


def patiently(text: bytes) -> tuple[Any, bytes]:
    """The same for what a strict reader has refused."""
    text = text.removeprefix(_BOM)
    numbers_lost = False

    def null(_number: str) -> None:
        nonlocal numbers_lost
        numbers_lost = True

    decoded = text.decode("utf-8", "replace")
    try:
        value = json.loads(decoded, parse_constant=null)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None
    broken = numbers_lost or decoded.encode("utf-8", "replace") != text
    return value, write(value) if broken else text


def write(value: Any) -> bytes:
    """The value as JSON. Half a character of two stays half: its other half comes with the next chunk."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
