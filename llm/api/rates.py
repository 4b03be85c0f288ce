"""Prices of models as JSON says them, the same in /api and /v1."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from ..relay.billing import Rate


def rate_json(rate: Rate) -> dict[str, Any]:
    """One price: quota, as text, for so many of a kind; above how long a context, and for which size and quality."""
    found: dict[str, Any] = {"kind": rate.kind, "per": rate.per, "quota": decimal(rate.quota)}
    if rate.from_tokens:
        found["aboveTokens"] = rate.from_tokens
    return found | ({"variant": rate.variant} if rate.variant else {})


def decimal(price: Fraction) -> str:
    return f"{(Decimal(price.numerator) / Decimal(price.denominator)).normalize():f}"
