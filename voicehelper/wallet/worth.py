"""What quota is worth: how many make a unit, what a unit costs at the list price, and how that is said in yuan.

Whoever sells quota names, in its AppConfig.ready(), the function that reads the operator's settings (`sold_by`).
Whoever prices calls or shows amounts asks `list_price()`, and says it by `in_yuan()`: rounded here and nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class ListPrice:
    """As the operator has set it now. `ratios` multiply the price, by user group; a group not named pays once."""

    quota_per_unit: int
    yuan_per_unit: Decimal
    ratios: Mapping[str, Fraction]

    @property
    def yuan_per_quota(self) -> Fraction:
        return Fraction(self.yuan_per_unit) / self.quota_per_unit


_sellers: list[Callable[[], ListPrice]] = []


def sold_by(read: Callable[[], ListPrice]) -> None:
    """Have the list price read by a function from now on."""
    _sellers[:] = [read]


def list_price() -> ListPrice:
    if not _sellers:
        raise ImproperlyConfigured("Nobody sells quota: an app has to name its list price in AppConfig.ready().")
    return _sellers[0]()


def in_yuan(quota: Fraction | int, yuan_per_quota: Fraction) -> str:
    """About what quota costs: "73.00", "0.365", "<0.0001". Half up to the cent from one yuan on, to a hundredth of a
    cent below, for a single answer costs so little. static/js/numbers.js says the same."""
    yuan = quota * yuan_per_quota
    if 0 < yuan < Fraction(1, 10_000):
        return "<0.0001"
    places = 4 if 0 < yuan < 1 else 2
    number = int(yuan * 10**places + Fraction(1, 2))
    decimals = f"{number % 10**places:0{places}d}"
    return f"{number // 10**places:,}.{decimals.rstrip('0'):0<2}"


def change_in_yuan(quota: int, yuan_per_quota: Fraction) -> str:
    """The same of a change, with its sign: "+¥73.00", "−¥0.36", "−¥<0.0001"."""
    return f"{'−' if quota < 0 else '+'}¥{in_yuan(abs(quota), yuan_per_quota)}"
