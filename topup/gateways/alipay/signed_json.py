"""JSON whose exact text is signed, as Alipay's answers are.

The signature covers one member's value as it was sent, `\\/` and spaces included, so parsing and writing it again would
break it. The top level is walked member by member, and each value kept together with its text. What two parsers could
read differently, such as a name that comes twice, is refused.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..strict_json import no_constant, unique

MAX_BYTES = 64 * 1024


class JSONError(ValueError):
    """Not the JSON of a signed answer."""


@dataclass(frozen=True)
class SignedMember:
    """The exact text that is signed, the plain values in it (numbers stay text, and what is neither is left out), and
    beside it the signature and the number of the certificate it was made with (each "" if there is none)."""

    text: str
    values: dict[str, str]
    signature: str
    serial: str


def signed_member(body: bytes, names: Collection[str], codec: str = "utf-8") -> SignedMember:
    """The one member among `names`. Raises JSONError."""
    if len(body) > MAX_BYTES:
        raise JSONError(f"more than {MAX_BYTES} bytes.")
    try:
        members = _members(body.decode(codec).removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise JSONError(f"not {codec.upper()}.") from error
    except (ValueError, RecursionError) as error:
        raise JSONError(f"{error}.") from error
    found = [members[name] for name in names if name in members]
    if len(found) != 1 or not isinstance(found[0][1], dict):
        raise JSONError(f"there is not exactly one object among {', '.join(names)}.")
    text, value = found[0]
    plain = {name: said for name, said in value.items() if isinstance(said, str)}
    beside = (members.get(name, ("", ""))[1] for name in ("sign", "alipay_cert_sn"))
    return SignedMember(text, plain, *(said if isinstance(said, str) else "" for said in beside))


def _members(text: str) -> dict[str, tuple[str, Any]]:
    """The members of the object that `text` is: each value's text and what it says. Raises ValueError."""
    found: dict[str, tuple[str, Any]] = {}
    position, separator = 0, "{"
    while separator != "}":
        position = _skip(text, _after(separator, text, position))
        name, position = _DECODER.raw_decode(text, position)
        start = _skip(text, _after(":", text, position))
        value, position = _DECODER.raw_decode(text, start)
        if not isinstance(name, str) or name in found:
            raise ValueError("a name is no text, or comes twice")
        found[name] = (text[start:position], value)
        position = _skip(text, position)
        separator = "}" if text[position : position + 1] == "}" else ","
    if text[position + 1 :].strip():
        raise ValueError("something follows the object")
    return found


def _skip(text: str, position: int) -> int:
    """Past the white space."""
    while text[position : position + 1] in {" ", "\t", "\r", "\n"}:
        position += 1
    return position


def _after(expected: str, text: str, position: int) -> int:
    """Past white space and the character that must follow it."""
    position = _skip(text, position)
    if not text.startswith(expected, position):
        raise ValueError(f"{expected!r} is missing at character {position}")
    return position + 1


_DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_float=str, parse_int=str, parse_constant=no_constant)
