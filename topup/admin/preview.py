"""What a price setting means in money, for the settings page: computed by the one pricing function."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from ..models import RechargeSettings
from ..pricing import OutOfRange, quote
from .rows import Preview, Row
from .words import money


def for_options(row: RechargeSettings) -> Callable[[Row], Preview]:
    """The price of an amount for the default group with its bonus, "¥693.50, +10", and the one without discount; empty
    for what cannot be priced."""
    terms = replace(row.terms(), in_tokens=False)

    def shown(cells: Row) -> Preview:
        try:
            price = quote(terms, int(cells[0]), "default")
        except (ValueError, OutOfRange):
            return "", ""
        cheaper = price.original_fen > price.amount_fen
        bonus = f", +{price.bonus_quota // price.quota_per_unit:,}" if price.bonus_quota else ""
        return money(price.amount_fen) + bonus, money(price.original_fen) if cheaper else ""

    return shown


def for_ratios(row: RechargeSettings) -> Callable[[Row], Preview]:
    """The unit price of a group: "¥6.205"."""

    def shown(cells: Row) -> Preview:
        try:
            ratio = Decimal(cells[1]) or Decimal(1)
        except ArithmeticError:
            return "", ""
        return f"¥{format((row.price * ratio).normalize(), 'f')}" if ratio.is_finite() else "", ""

    return shown
