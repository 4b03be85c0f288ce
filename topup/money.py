"""Yuan in text, fen in integers. Nothing between them: no float, no Decimal, no rounding."""

import re

_YUAN = re.compile(r"(0|[1-9][0-9]{0,8})\.([0-9]{2})")
_LONGEST = 32
_LOOSELY = re.compile(r"(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,2})0*)?")


def yuan(amount_fen: int) -> str:
    """Fen as yuan with two decimals: 1990 → "19.90". Raises ValueError for a negative amount."""
    if amount_fen < 0:
        raise ValueError(f"{amount_fen} fen is negative; write the sign yourself.")
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def fen(text: str) -> int:
    """Yuan as a provider writes them, "19.90", in fen: 1990. At most 999999999.99.

    Raises ValueError for everything else: other digits than ASCII's, signs, exponents, spaces, separators, leading
    zeros, more or fewer than two decimals.
    """
    found = _YUAN.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:32]!r} is not an amount in yuan with two decimals, like 19.90.")
    return int(found[1]) * 100 + int(found[2])


def fen_loosely(text: str) -> int:
    """The same for "19.9", "19" and "19.9000" as well, as some answers of a provider's are. Raises ValueError."""
    found = _LOOSELY.fullmatch(text) if len(text) <= _LONGEST else None
    if not found:
        raise ValueError(f"{text[:32]!r} is not an amount in yuan.")
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
