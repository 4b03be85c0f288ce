"""What has no price and costs more upstream: refused by name, before anybody is asked."""

import re
from collections.abc import Mapping
from typing import Any

from ..kinds import SEARCH
from .catalogue import ModelSpec
from .errors import CallRefused
from .searching import searching_field

# What a picture's price is for when its row names neither; other qualities, and more pixels, cost more.
# How sizes are written: 1792x1024, 1792*1024 (Qwen), 1792X1024; or in words, 1K being the plain one.
_TIMES = str.maketrans("X*×", "xxx")
_LARGE_WORDS = re.compile(r"(?i)[2-9]k|[1-9][0-9]k|u?hd")
_PLAIN_QUALITIES = frozenset({"", "auto", "standard", "low", "medium"})
_PLAIN_PIXELS = 1024 * 1024


def variant_of(body: Mapping[str, Any], model: ModelSpec) -> str | None:
    """The model's price row for a picture of this size and quality, as exactly as it has one; None: it would be sold
    too cheaply."""
    size, quality = str(body.get("size") or ""), str(body.get("quality") or "")
    large, fine = model.provider != "ark" and _pixels(size) > _PLAIN_PIXELS, quality not in _PLAIN_QUALITIES
    for variant, tells in (
        (f"{size}/{quality}", True),
        (size, not fine),
        (quality, not large),
        ("", not (large or fine)),
    ):
        if tells and (variant in model.prices.variants or not variant):
            return variant
    return None


def _pixels(size: str) -> int:
    """0 for a size in words, unless it is a large one. Ark's pictures cost the same whatever their size."""
    size = size.strip().translate(_TIMES)
    if _LARGE_WORDS.fullmatch(size):
        return _PLAIN_PIXELS + 1
    width, _, height = size.partition("x")
    short = width.isascii() and height.isascii() and len(size) < 12
    return int(width) * int(height) if short and width.isdigit() and height.isdigit() else 0


def refusal_of(operation: str, body: Mapping[str, Any], model: ModelSpec, *, searches: bool) -> CallRefused | None:
    """Why this model is not sold like that; None when it is."""
    tier, prices = body.get("service_tier"), model.prices
    if tier and not (type(tier) is str and prices.knows(tier)):
        return _unpriced(f"{model.name} has no price for service_tier {str(tier)[:32]!r}.", "service_tier")
    if searches and SEARCH not in prices.kinds:
        param = searching_field(body) or "tools"
        return _unpriced(f"{model.name} has no price for searching the web.", param)
    if operation == "images" and "image" in prices.kinds and variant_of(body, model) is None:
        size, quality = str(body.get("size") or "")[:32], str(body.get("quality") or "")[:32]
        param = "quality" if quality not in _PLAIN_QUALITIES else "size"
        return _unpriced(f"{model.name} has no price for pictures of size {size!r}, quality {quality!r}.", param)
    return None


def _unpriced(text: str, param: str) -> CallRefused:
    return CallRefused(text, code="no_price", param=param)
