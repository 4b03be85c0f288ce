"""What a recharge costs and what it credits. Decimal inside, integers out, rounded once.

pay = amount × price × group ratio × discount(amount), half up to the fen; credit = (amount + bonus(amount)) × quota per
unit.
When amounts are tokens, they are divided by quota per unit first, exactly, and the credit is the tokens themselves and
the bonus.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from .money import yuan

# The largest amount of money every provider takes in one order is ¥100,000,000.00.
MAX_FEN = 10_000_000_000
# The largest quota one order credits: far above any sale, far below BIGINT.
MAX_QUOTA = 2**60


class OutOfRange(ValueError):
    """The amount is so small that it rounds to nothing, or larger than a provider takes."""


@dataclass(frozen=True)
class Terms:
    """What prices are made of, in the operator's settings. `price` is yuan per unit; bonuses are units by threshold."""

    price: Decimal
    quota_per_unit: int
    in_tokens: bool
    discounts: Mapping[str, Decimal]
    ratios: Mapping[str, Decimal]
    bonuses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Quote:
    """The price of an order: what is shown, charged and stored. `quota` is all that is credited, the bonus included."""

    amount: int
    amount_fen: int
    original_fen: int
    quota: int
    bonus_quota: int
    unit_price: Decimal
    ratio: Decimal
    discount: Decimal
    quota_per_unit: int
    in_tokens: bool

    @property
    def money(self) -> str:
        """Yuan with two decimals: "73.00"."""
        return yuan(self.amount_fen)


def quote(terms: Terms, amount: int, group: str) -> Quote:
    """Price `amount` (units, or tokens) for a user of `group`. Raises OutOfRange."""
    units = Fraction(amount, terms.quota_per_unit) if terms.in_tokens else Fraction(amount)
    bonus_quota = _bonus(terms.bonuses, units) * terms.quota_per_unit
    quota = (amount if terms.in_tokens else amount * terms.quota_per_unit) + bonus_quota
    # Ratio 0 or an unknown group means 1.
    ratio = terms.ratios.get(group) or Decimal(1)
    discount = _discount(terms.discounts, units)
    gross = units * Fraction(terms.price) * Fraction(ratio) * 100
    fen = _half_up(gross * Fraction(discount))
    if not 0 < fen <= MAX_FEN or not 0 < quota <= MAX_QUOTA:
        raise OutOfRange(f"{amount} would cost {fen} fen for {quota} quota.")
    return Quote(
        amount=amount,
        amount_fen=fen,
        original_fen=_half_up(gross),
        quota=quota,
        bonus_quota=bonus_quota,
        unit_price=terms.price,
        ratio=ratio,
        discount=discount,
        quota_per_unit=terms.quota_per_unit,
        in_tokens=terms.in_tokens,
    )


def _discount(discounts: Mapping[str, Decimal], units: Fraction) -> Decimal:
    """The discount whose key the units equal exactly, else 1. A discount outside ]0, 1] counts as 1."""
    found = discounts.get(str(units)) if units.denominator == 1 else None
    return found if found is not None and 0 < found <= 1 else Decimal(1)


def _bonus(bonuses: Mapping[str, int], units: Fraction) -> int:
    """The bonus of the highest threshold that the units reach, else 0. One below 0 counts as 0."""
    reached = max((int(threshold) for threshold in bonuses if int(threshold) <= units), default=None)
    return 0 if reached is None else max(0, bonuses[str(reached)])


def _half_up(value: Fraction) -> int:
    """The nearest integer, halves up. Exact: no division is carried out before the rounding."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)
