"""What recharging came to in some days (order_days.py): the cells that feed every chart and table of the statistics
page. Days are Beijing's; groups are those the users are in now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from voicehelper.sums import Sums, percentile

from .. import order_days
from ..models import Order

# Day, gateway, user group.
Key = tuple[date, str, str]


@dataclass
class OrderSums(Sums):
    """What some orders and refunds came to. Orders count on the day they were placed; payments, with what they brought
    and how long they took, on the day they were credited; refunds on the day they were confirmed."""

    placed: int = 0
    still_open: int = 0
    converted: int = 0
    payments: int = 0
    income_fen: int = 0
    newcomers: int = 0
    waited_s: int = 0
    refunds: int = 0
    refunded_fen: int = 0
    # Payments by their time to credit: to the second in the first minute, coarser after it.
    waits: Counter[int] = field(default_factory=Counter)

    @property
    def ended(self) -> int:
        return self.placed - self.still_open

    @property
    def net_fen(self) -> int:
        return self.income_fen - self.refunded_fen

    @property
    def average_fen(self) -> int | None:
        return (2 * self.income_fen + self.payments) // (2 * self.payments) if self.payments else None

    @property
    def mean_wait_s(self) -> int | None:
        return self.waited_s // self.payments if self.payments else None

    def wait_s(self, per_cent: int) -> int | None:
        """The time to credit that so many per cent of the payments did not exceed; None without any."""
        return percentile(self.waits, per_cent)


@dataclass(frozen=True)
class Figures:
    """Some days, the sums by day, gateway and group, and how many orders placed in them are in which state."""

    days: list[date]
    cells: Mapping[Key, OrderSums]
    states: Mapping[str, tuple[int, int]]

    def by(self, part: int) -> dict[Any, OrderSums]:
        """Sums by one part of the key: 0 day, 1 gateway, 2 group."""
        found: dict[Any, OrderSums] = {}
        for key, cell in self.cells.items():
            found.setdefault(key[part], OrderSums()).add(cell)
        return found

    @property
    def total(self) -> OrderSums:
        return OrderSums.together(self.cells.values())


def real_orders() -> QuerySet[Order]:
    """Orders of real money; in a demo, where there is none, all of them."""
    return Order.objects.all() if settings.SANDBOX else Order.objects.filter(live=True)


def only_real() -> dict[str, str]:
    """The filter that makes a list of orders or refunds agree with `real_orders`."""
    return {} if settings.SANDBOX else {"mark": "live"}


def figures(last: date, days: int, *, groups: bool = True, parts: Sequence[str] = order_days.PARTS) -> Figures:
    """So many days, and the last of them. Without `groups` the keys name none: users are not read. Of `parts` alone
    (order_days.py), where not all are wanted."""
    every = [last - timedelta(days=back) for back in reversed(range(days))]
    cells: dict[Key, OrderSums] = {}
    states: dict[str, tuple[int, int]] = {}
    for day, part, gateway, group, detail, count, fen, waited_s in order_days.cells(every, groups=groups, parts=parts):
        cell = cells.setdefault((day, gateway, group), OrderSums())
        if part == "placed":
            cell.placed += count
            cell.still_open += count if detail in Order.OPEN else 0
            cell.converted += count if detail in Order.CREDITED else 0
            orders, money = states.get(detail, (0, 0))
            states[detail] = orders + count, money + fen
        elif part == "credited":
            cell.payments += count
            cell.income_fen += fen
            cell.waited_s += waited_s
            cell.waits[int(detail)] += count
        elif part == "newcomers":
            cell.newcomers += count
        else:
            cell.refunds += count
            cell.refunded_fen += fen
    return Figures(every, cells, states)


def first_payments(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Those among credited orders before which their user had paid none."""
    earlier = real_orders().filter(user=OuterRef("user"), credited_at__lt=OuterRef("credited_at"))
    return orders.filter(credited_at__isnull=False).exclude(Exists(earlier))
