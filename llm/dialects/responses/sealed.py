"""Reasoning that travels through a client and comes back: what only its author can read, and who that is.

`encrypted_content` is bound to the account that made it: at another one it ends the session for good. So ours is
"vh1.kind.tag.payload": the kind says whose it is (o: OpenAI's own, a: Ark's own, c: Claude's signed blocks, t: plain
thoughts), the tag which account. What comes back to another account is left out, which costs quality and no error.
It is user input: whatever does not read is left out as well.
"""

import base64
import binascii
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.utils.crypto import salted_hmac

MOST_BYTES = 1024 * 1024
OPENAI, ARK, CLAUDE, THOUGHTS = "o", "a", "c", "t"
_VERSION = "vh1"


class Sealed(NamedTuple):
    """What a client brought back. `payload` is not read yet."""

    kind: str
    tag: str
    payload: str


@lru_cache(1000)
def tag_of(credential_id: int) -> str:
    """What marks an account, and tells nobody which it is."""
    return salted_hmac("voicehelper.reasoning", str(credential_id), algorithm="sha256").hexdigest()[:12]


def seal(kind: str, credential_id: int, payload: str) -> str | None:
    """None: it is too large to go through a client."""
    if len(payload) > MOST_BYTES:
        return None
    return f"{_VERSION}.{kind}.{tag_of(credential_id)}.{payload}"


def seal_thoughts(credential_id: int, thoughts: str) -> str | None:
    return seal(THOUGHTS, credential_id, _packed(thoughts))


def seal_blocks(credential_id: int, blocks: Sequence[Any]) -> str | None:
    return seal(CLAUDE, credential_id, _packed(list(blocks)))


def opened(text: Any) -> Sealed | None:
    """What is one of ours, by its looks."""
    if type(text) is not str or len(text) > MOST_BYTES + 64:
        return None
    parts = text.split(".", 3)
    if len(parts) != 4 or parts[0] != _VERSION or parts[1] not in (OPENAI, ARK, CLAUDE, THOUGHTS):
        return None
    return Sealed(*parts[1:])


def thoughts_in(sealed: Sealed) -> str:
    """Plain thoughts; empty when there are none."""
    found = _unpacked(sealed.payload) if sealed.kind == THOUGHTS else None
    return found if type(found) is str else ""


def blocks_in(sealed: Sealed) -> list[dict[str, Any]]:
    """Claude's own blocks, as Claude takes them back."""
    found = _unpacked(sealed.payload) if sealed.kind == CLAUDE else None
    blocks = []
    for block in found if type(found) is list else ():
        fields = _FIELDS.get(block.get("type")) if type(block) is dict else None
        if fields is None or not all(type(block.get(name)) is str for name in fields):
            return []
        blocks.append({"type": block["type"], **{name: block[name] for name in fields}})
    return blocks


_FIELDS: dict[Any, tuple[str, ...]] = {"thinking": ("thinking", "signature"), "redacted_thinking": ("data",)}


def _packed(value: Any) -> str:
    try:
        return base64.urlsafe_b64encode(orjson.dumps(value)).decode()
    except TypeError:
        # Half a character, say.
        return ""


def _unpacked(payload: str) -> Any:
    try:
        return orjson.loads(base64.urlsafe_b64decode(payload.encode("ascii", "replace")))
    except (binascii.Error, ValueError):
        return None
