"""What recharging came to in some days: four statements feed every chart and table of the statistics page. Days are
Beijing's; groups are those the users are in now."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import BigIntegerField, Case, Count, Exists, F, OuterRef, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Cast, Extract, TruncDate

from voicehelper import clock
from voicehelper.clock import BEIJING
from voicehelper.sums import Sums, percentile

from ..models import Order, Refund

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


def figures(last: date, days: int, *, groups: bool = True) -> Figures:
    """So many days, and the last of them. Without `groups` the keys name none: users are not read."""
    first = last - timedelta(days=days - 1)
    span = _Between(clock.midnight(first), clock.midnight(last + timedelta(days=1)))
    cells: dict[Key, OrderSums] = {}
    states: dict[str, tuple[int, int]] = {}
    for *key, state, count, fen in _placed(span, groups):
        cell = cells.setdefault(_key(key), OrderSums())
        cell.placed += count
        cell.still_open += count if state in Order.OPEN else 0
        cell.converted += count if state in Order.CREDITED else 0
        orders, money = states.get(state, (0, 0))
        states[state] = orders + count, money + fen
    for *key, wait, count, fen, waited in _credited(span, groups):
        cell = cells.setdefault(_key(key), OrderSums())
        paid = OrderSums(payments=count, income_fen=fen, waited_s=int(waited), waits=Counter({int(wait): count}))
        cell.add(paid)
    for *key, count in _newcomers(span, groups):
        cells.setdefault(_key(key), OrderSums()).newcomers += count
    for *key, count, fen in _refunded(span, groups):
        cells.setdefault(_key(key), OrderSums()).add(OrderSums(refunds=count, refunded_fen=fen))
    return Figures([first + timedelta(days=number) for number in range(days)], cells, states)


class _Between(NamedTuple):
    """From a moment to just before another."""

    begin: datetime
    end: datetime

    def of(self, field: str) -> dict[str, datetime]:
        return {f"{field}__gte": self.begin, f"{field}__lt": self.end}


def _key(parts: list[Any]) -> Key:
    day, gateway, group = parts
    return day, gateway, group


def _placed(span: _Between, groups: bool) -> Iterable[tuple[Any, ...]]:
    return (
        real_orders()
        .filter(**span.of("created"))
        .annotate(day=TruncDate("created", tzinfo=BEIJING), group=_group(groups))
        .values_list("day", "gateway", "group", "state")
        .annotate(count=Count("pk"), fen=Sum("amount_fen"))
        .order_by()
    )


def _credited(span: _Between, groups: bool) -> Iterable[tuple[Any, ...]]:
    wait = Cast(Extract(F("credited_at") - F("created"), "epoch"), BigIntegerField())
    return (
        real_orders()
        .filter(**span.of("credited_at"))
        .annotate(day=TruncDate("credited_at", tzinfo=BEIJING), group=_group(groups), wait=wait, step=_step("wait"))
        .values_list("day", "gateway", "group", "step")
        .annotate(count=Count("pk"), fen=Sum("amount_fen"), waited=Sum("wait"))
        .order_by()
    )


def _step(name: str) -> Case:
    """Seconds, coarser the longer: steps of 10 s after a minute, of a minute after ten, of an hour after an hour."""
    steps = [(60, 1), (600, 10), (3600, 60)]
    whens = [When(**{f"{name}__lt": below}, then=F(name) / size * size) for below, size in steps]
    return Case(*whens, default=F(name) / 3600 * 3600, output_field=BigIntegerField())


def _group(wanted: bool, path: str = "user__group") -> F | Value:
    return F(path) if wanted else Value("")


def first_payments(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Those among credited orders before which their user had paid none."""
    earlier = real_orders().filter(user=OuterRef("user"), credited_at__lt=OuterRef("credited_at"))
    return orders.filter(credited_at__isnull=False).exclude(Exists(earlier))


# Each user's first payment since then, and those who had paid before it left out one by one: this costs by how many pay
# in the time asked for, and not by all that was ever paid. (LIMIT, or PostgreSQL reads all of it for the comparison.)
_NEWCOMERS = """
SELECT (o.credited_at AT TIME ZONE 'Asia/Shanghai')::date, o.gateway, CASE WHEN %(groups)s THEN u."group" ELSE '' END,
       COUNT(*)
FROM (
    SELECT DISTINCT ON (user_id) user_id, credited_at, gateway FROM topup_order
    WHERE credited_at >= %(since)s AND credited_at < %(until)s AND (live OR %(sandbox)s) ORDER BY user_id, credited_at
) o
JOIN accounts_user u ON u.id = o.user_id
LEFT JOIN LATERAL (
    SELECT e.id FROM topup_order e
    WHERE e.user_id = o.user_id AND e.credited_at < %(since)s AND (e.live OR %(sandbox)s) LIMIT 1
) before ON TRUE
WHERE before.id IS NULL
GROUP BY 1, 2, 3
"""


def _newcomers(span: _Between, groups: bool) -> Iterable[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            _NEWCOMERS, {"since": span.begin, "until": span.end, "groups": groups, "sandbox": settings.SANDBOX}
        )
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def real_refunds() -> QuerySet[Refund]:
    """Of real orders, confirmed."""
    real = Q() if settings.SANDBOX else Q(order__live=True)
    return Refund.objects.filter(real, state=Refund.State.SUCCEEDED, surplus=None)


def _refunded(span: _Between, groups: bool) -> Iterable[tuple[Any, ...]]:
    return (
        real_refunds()
        .filter(**span.of("finished_at"))
        .annotate(day=TruncDate("finished_at", tzinfo=BEIJING), group=_group(groups, "order__user__group"))
        .values_list("day", "order__gateway", "group")
        .annotate(count=Count("pk"), fen=Sum("amount_fen"))
        .order_by()
    )
