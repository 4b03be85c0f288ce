"""The signature of WeChat Pay API v2: the fields sorted, the merchant's key at their end, one digest."""

import hashlib
import hmac
from collections.abc import Mapping

HMAC_SHA256, MD5 = "HMAC-SHA256", "MD5"
SIGN_TYPES = (HMAC_SHA256, MD5)


def string_to_sign(fields: Mapping[str, str | None], key: str) -> str:
    """Every non-empty field but `sign`, sorted by name in ASCII order, and the key. "0" is not empty."""
    pairs = [f"{name}={value}" for name, value in sorted(fields.items()) if value and name != "sign"]
    return "&".join([*pairs, f"key={key}"])


def sign(fields: Mapping[str, str | None], key: str, sign_type: str) -> str:
    """The signature of `fields`, in upper-case hex. Raises ValueError for an empty key or an unknown algorithm.

    It is also the second signature (paySign) that a mini program wants, over its five fields.
    """
    if not key:
        raise ValueError("An empty key signs nothing.")
    text = string_to_sign(fields, key).encode()
    if sign_type == HMAC_SHA256:
        return hmac.new(key.encode(), text, hashlib.sha256).hexdigest().upper()
    if sign_type == MD5:
        # The protocol's choice, not ours; the flag lets a FIPS build compute it.
        return hashlib.md5(text, usedforsecurity=False).hexdigest().upper()
    raise ValueError(f"{sign_type!r} is not an algorithm of WeChat Pay v2.")


def is_signed(fields: Mapping[str, str], key: str, sign_type: str) -> bool:
    """By our key and this algorithm: the message may not choose it, and often does not say HMAC-SHA256."""
    if sign_type not in SIGN_TYPES:
        return False
    return hmac.compare_digest(sign(fields, key, sign_type).encode(), fields.get("sign", "").encode())
