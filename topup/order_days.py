"""What the orders and refunds of some days came to, out of the sums of days that are over and the rows of the others.

The clock adds up each day once it is over by MARGIN. Orders go on moving: one that does when it is older than an hour
leaves an OrderDayChange behind (a trigger's), and as long as there is one of a day, that day is read row by row. It is
added up again in one snapshot, with which exactly the changes that it has seen go; so a sum that is read is exact.

A sum is of a day, a part, a gateway and real or sandbox money:
* placed: orders by the day they were placed; `detail` is their state;
* credited: payments by the day they were credited; `detail` is the time to credit in seconds, coarser the longer;
* refunded: refunds by the day they were confirmed;
* newcomers, newcomers_any: payers by the day of their first payment, of real money or of any.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from voicehelper import clock
from voicehelper.wallet.adding_up import WITHIN
from voicehelper.wallet.findings import Check, Finding, Scope, rows

from .models import OrderDay

PARTS = ("placed", "credited", "refunded", "newcomers")
# Longer than a transaction may take, and the hour in which an order's moves are not noted.
MARGIN = timedelta(hours=3)

# Steps of 10 s after a minute, of a minute after ten, of an hour after an hour.
_STEP = """
    CASE WHEN wait < 60 THEN wait WHEN wait < 600 THEN wait / 10 * 10 WHEN wait < 3600 THEN wait / 60 * 60
         ELSE wait / 3600 * 3600 END
"""
_DAY = "({} AT TIME ZONE 'Asia/Shanghai')::date"
_GROUP = """CASE WHEN %(groups)s THEN (SELECT "group" FROM accounts_user u WHERE u.id = o.user_id) ELSE '' END"""
# Each user's first payment since then, and those who had paid before it left out one by one: this costs by how many pay
# in the time asked for, and not by all that was ever paid. (LIMIT, or PostgreSQL reads all of it for the comparison.)
_NEWCOMERS = f"""
    SELECT {_DAY.format("o.credited_at")}, '{{part}}', o.gateway, TRUE, {_GROUP}, '', COUNT(*), 0, 0
    FROM (
        SELECT DISTINCT ON (user_id) user_id, credited_at, gateway FROM topup_order
        WHERE credited_at >= %(begin)s AND credited_at < %(end)s AND (live OR {{any}}){{whose}}
        ORDER BY user_id, credited_at
    ) o
    LEFT JOIN LATERAL (
        SELECT e.id FROM topup_order e
        WHERE e.user_id = o.user_id AND e.credited_at < %(begin)s AND (e.live OR {{any}}) LIMIT 1
    ) before ON TRUE
    WHERE before.id IS NULL AND '{{part}}' = ANY(%(parts)s)
    GROUP BY 1, 3, 5
"""  # noqa: S608  # nosec B608  # constants only


def _rows_of(whose: str = "") -> str:
    """(day, part, gateway, live, group, detail, count, fen, waited_s) of the rows from `begin` to `end`, for `parts`;
    `whose` is a constant condition that names the column user_id."""
    newcomers, everybody = (
        _NEWCOMERS.format(part=part, any=any_money, whose=whose)
        for part, any_money in (("newcomers", "FALSE"), ("newcomers_any", "TRUE"))
    )
    return f"""
    SELECT {_DAY.format("o.created")} AS day, 'placed' AS part, o.gateway, o.live, {_GROUP} AS "group",
           o.state AS detail, COUNT(*) AS count, SUM(o.amount_fen)::bigint AS fen, 0::bigint AS waited_s
    FROM topup_order o
    WHERE o.created >= %(begin)s AND o.created < %(end)s AND 'placed' = ANY(%(parts)s){whose}
    GROUP BY 1, 3, 4, 5, 6
    UNION ALL
    SELECT {_DAY.format("o.credited_at")}, 'credited', o.gateway, o.live, {_GROUP}, ({_STEP})::text, COUNT(*),
           SUM(o.amount_fen)::bigint, SUM(wait)::bigint
    FROM topup_order o, LATERAL (SELECT extract(epoch FROM o.credited_at - o.created)::bigint AS wait) waited
    WHERE o.credited_at >= %(begin)s AND o.credited_at < %(end)s AND 'credited' = ANY(%(parts)s){whose}
    GROUP BY 1, 3, 4, 5, 6
    UNION ALL
    SELECT {_DAY.format("r.finished_at")}, 'refunded', o.gateway, o.live, {_GROUP}, '', COUNT(*),
           SUM(r.amount_fen)::bigint, 0
    FROM topup_refund r JOIN topup_order o ON o.id = r.order_id
    WHERE r.state = 'succeeded' AND r.surplus_id IS NULL AND r.finished_at >= %(begin)s AND r.finished_at < %(end)s
      AND 'refunded' = ANY(%(parts)s){whose} GROUP BY 1, 3, 4, 5
    UNION ALL {newcomers}
    UNION ALL {everybody}
"""  # noqa: S608  # nosec B608  # constants only


_ROWS = _rows_of()

# --- Reading ---------------------------------------------------------------------------------------------------------
# (day, part, gateway, group, detail, count, fen, waited_s)
Cell = tuple[date, str, str, str, str, int, int, int]
_COUNTED = "SUM(count)::bigint AS count, SUM(fen)::bigint AS fen, SUM(waited_s)::bigint AS waited_s"
_KEPT = f"""
    SELECT day, part, gateway, '', detail, {_COUNTED} FROM topup_orderdaysum
    WHERE day >= %(first)s AND day <= %(last)s AND part = ANY(%(parts)s) AND (live OR %(sandbox)s) GROUP BY 1, 2, 3, 5
"""  # noqa: S608  # nosec B608  # constants only


def _there(rows_there: str) -> str:
    return f"""
    SELECT day, part, gateway, "group", detail, {_COUNTED} FROM ({rows_there}) each
    WHERE live OR %(sandbox)s GROUP BY 1, 2, 3, 4, 5
    """  # noqa: S608  # nosec B608  # constants only


_THERE = _there(_ROWS)
# Groups are those the users are in now, so no sum can know them. Nearly everybody is in the first one: what the sums
# say and the rows of all others do not is its.
_OF_OTHERS = """ AND user_id IN (SELECT id FROM accounts_user WHERE "group" <> 'default')"""
_KEPT_BY_GROUP = f"""
    WITH others AS MATERIALIZED (
        {_there(_rows_of(''' AND user_id IN (SELECT id FROM accounts_user WHERE "group" <> 'default')'''))}
    )
    SELECT * FROM others
    UNION ALL
    SELECT day, part, gateway, 'default', detail, k.count - COALESCE(o.count, 0), k.fen - COALESCE(o.fen, 0),
           k.waited_s - COALESCE(o.waited_s, 0)
    FROM ({_KEPT}) k LEFT JOIN (
        SELECT day, part, gateway, detail, {_COUNTED} FROM others GROUP BY 1, 2, 3, 4
    ) o USING (day, part, gateway, detail)
    WHERE k.count > COALESCE(o.count, 0)
"""  # noqa: S608  # nosec B608  # constants only


def cells(days: Sequence[date], *, groups: bool, parts: Sequence[str] = PARTS) -> Iterator[Cell]:
    """Of consecutive days, of real money; in a demo, where there is none, of all. By groups it costs by the orders of
    those who are in another one than `default`."""
    sandbox = settings.SANDBOX
    wanted = [f"{part}_any" if sandbox and part == "newcomers" else part for part in parts]
    asked: dict[str, Any] = {"parts": wanted, "sandbox": sandbox, "groups": groups}
    kept = _kept_days(days)
    stretches = [(run, _KEPT_BY_GROUP if groups else _KEPT) for run in _runs(day for day in days if day in kept)]
    stretches += [(run, _THERE) for run in _runs(day for day in days if day not in kept)]
    with connection.cursor() as cursor:
        for (first, last), statement in stretches:
            span = {"begin": clock.midnight(first), "end": clock.midnight(last + timedelta(days=1))}
            cursor.execute(statement, asked | span | {"first": first, "last": last})
            yield from map(_named, cursor.fetchall())


def _named(cell: Cell) -> Cell:
    return cell[0], cell[1].removesuffix("_any"), *cell[2:]


def _kept_days(days: Sequence[date]) -> set[date]:
    """Those whose sums are right."""
    found = rows(
        "SELECT day FROM topup_orderday d WHERE day = ANY(%s)"
        " AND NOT EXISTS (SELECT FROM topup_orderdaychange c WHERE c.day = d.day)",
        list(days),  # type: ignore[arg-type]
    )
    return {day for (day,) in found}  # type: ignore[misc]


def _runs(days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """Days that follow each other, as first and last."""
    first = last = None
    for day in days:
        if last is not None and first is not None and day != last + timedelta(days=1):
            yield first, last
            first = None
        first, last = first or day, day
    if first is not None and last is not None:
        yield first, last


# --- Adding up -------------------------------------------------------------------------------------------------------
_ADD = f"""
    INSERT INTO topup_orderdaysum (day, part, gateway, live, detail, count, fen, waited_s)
    SELECT day, part, gateway, live, detail, count, fen, waited_s FROM ({_ROWS}) each
"""  # noqa: S608  # nosec B608  # constants only
_ALL_PARTS = [*PARTS, "newcomers_any"]


def add_up(within: timedelta = WITHIN) -> int:
    """Add up days that are over, oldest first, and again those that changed; returns how many. The rest is for the
    next time."""
    ends, done = time.monotonic_ns() + within // timedelta(microseconds=1) * 1000, 0
    while time.monotonic_ns() < ends and (day := _next()) is not None:
        _add_day(day)
        done += 1
    return done


def _next() -> date | None:
    ((changed,),) = rows(
        "SELECT MIN(day) FROM topup_orderdaychange c WHERE EXISTS (SELECT FROM topup_orderday d WHERE d.day = c.day)"
    )
    if isinstance(changed, date):
        return changed
    last = OrderDay.objects.order_by("-day").values_list("day", flat=True).first()
    ((first,),) = rows("SELECT (MIN(created) AT TIME ZONE 'Asia/Shanghai')::date FROM topup_order")
    day = last + timedelta(days=1) if last else first
    over = isinstance(day, date) and clock.now() >= clock.midnight(day + timedelta(days=1)) + MARGIN
    return day if isinstance(day, date) and over else None


def _add_day(day: date) -> None:
    outermost = not connection.in_atomic_block
    span = {"begin": clock.midnight(day), "end": clock.midnight(day + timedelta(days=1))}
    with transaction.atomic(), connection.cursor() as cursor:
        if outermost:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SET LOCAL statement_timeout = '10min'")
        # One process at a time, and nobody who reads waits for it. It stands before the snapshot, which begins below.
        cursor.execute("LOCK TABLE topup_orderday IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("DELETE FROM topup_orderdaychange WHERE day = %s", [day])
        cursor.execute("DELETE FROM topup_orderdaysum WHERE day = %s", [day])
        cursor.execute(_ADD, span | {"parts": _ALL_PARTS, "groups": False})
        cursor.execute("INSERT INTO topup_orderday (day) VALUES (%s) ON CONFLICT DO NOTHING", [day])


# --- Verifying -------------------------------------------------------------------------------------------------------
_WRONG = f"""
    SELECT day, part, gateway, detail, s.count, r.count, s.fen, r.fen FROM topup_orderdaysum s
    FULL JOIN (
        SELECT * FROM ({_ROWS}) each WHERE day IN (SELECT day FROM topup_orderday)
    ) r USING (day, part, gateway, live, detail)
    WHERE (s.count, s.fen, s.waited_s) IS DISTINCT FROM (r.count, r.fen, r.waited_s)
      AND NOT EXISTS (SELECT FROM topup_orderdaychange c WHERE c.day = COALESCE(s.day, r.day))
    ORDER BY 1, 2, 3, 4 LIMIT 100
"""  # noqa: S608  # nosec B608  # constants only


def day_sums_are_the_sums_of_orders(scope: Scope) -> Iterable[Finding]:
    """For the full audit."""
    if not scope.full or (last := OrderDay.objects.order_by("-day").first()) is None:
        return
    span = {"begin": clock.midnight(date(2000, 1, 1)), "end": clock.midnight(last.day + timedelta(days=1))}
    with connection.cursor() as cursor:
        cursor.execute(_WRONG, span | {"parts": _ALL_PARTS, "groups": False})
        found = cursor.fetchall()
    for day, part, gateway, detail, *pairs in found:
        said, there = (f"{pairs[side]} over {pairs[side + 2]} fen" for side in (0, 1))
        row = " ".join(f"{day} {part} {gateway} {detail}".split())
        yield Finding("day sums = orders", row, f"say {said}, rows add up to {there}")


CHECKS: list[Check] = [day_sums_are_the_sums_of_orders]
