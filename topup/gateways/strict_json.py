"""JSON that two parsers cannot read differently: no name comes twice, nothing is said that JSON has no way to say."""

import json
from typing import Any, NoReturn


def object_in(body: bytes, most_bytes: int) -> dict[str, Any]:
    """The object that `body` is. Fractions are left as text: nothing of ours is one. Raises ValueError."""
    if len(body) > most_bytes:
        raise ValueError(f"more than {most_bytes} bytes")
    try:
        found = _DECODER.decode(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004  # one kind of error for one reader
    return found


def dumps(content: object) -> str:
    """As short as JSON can be, characters as they are."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For json's object_pairs_hook."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name comes twice")
    return members


def no_constant(name: str) -> NoReturn:
    """For json's parse_constant: NaN and Infinity, which Python reads."""
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_float=str, parse_constant=no_constant)
