"""What a price setting means in money, for the settings page: computed by the one pricing function."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from django.utils.translation import gettext

from voicehelper.admin.effects import ShownPrice
from voicehelper.admin.rows import Preview, Row
from voicehelper.numbers import grouped

from ..models import RechargeSettings
from ..pricing import OutOfRange, Quote, quote
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


def prices_of(row: RechargeSettings, other: RechargeSettings) -> dict[str, ShownPrice]:
    """What recharging costs under a row, by amount and group: the amounts that it or the other offers or treats apart,
    for the default group and those whose ratio differs."""
    terms = replace(row.terms(), in_tokens=False)
    with_credit = (row.quota_per_unit, row.amount_bonuses) != (other.quota_per_unit, other.amount_bonuses)
    found: dict[str, ShownPrice] = {}
    for group in _groups(row, other):
        for amount in _amounts(row, other):
            try:
                price = quote(terms, amount, group)
            except OutOfRange:
                continue
            found[_label(amount, group)] = _price(price, with_credit=with_credit)
    return found


def _price(price: Quote, *, with_credit: bool) -> ShownPrice:
    credit = gettext("%(quota)s quota") % {"quota": grouped(price.quota)}
    shown = f"{money(price.amount_fen)} → {credit}" if with_credit else money(price.amount_fen)
    return ShownPrice(shown, Fraction(price.amount_fen, price.quota))


def _label(amount: int, group: str) -> str:
    facts = {"amount": grouped(amount), "group": group}
    whole, special = gettext("%(amount)s units"), gettext("%(amount)s units, group %(group)s")
    return (whole if group == "default" else special) % facts


def _amounts(*rows: RechargeSettings) -> list[int]:
    tables = [table for row in rows for table in (row.amount_options, row.amount_discounts, row.amount_bonuses)]
    return sorted({int(amount) for table in tables for amount in table}) or [1]


def _groups(row: RechargeSettings, other: RechargeSettings) -> list[str]:
    ours, theirs = row.terms().ratios, other.terms().ratios
    differ = [name for name in {**ours, **theirs} if (ours.get(name) or 1) != (theirs.get(name) or 1)]
    return list(dict.fromkeys(["default", *sorted(differ)]))
