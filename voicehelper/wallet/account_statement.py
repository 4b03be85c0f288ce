"""A user's statement: every change of the balance, and what it was after each.

Spending is one line per Beijing day and model; everything else is a line of its own. Within a day the lines stand in
the order in which they happened, the day's spending last, so that no balance in between is below zero. All of it comes
out of one statement (SQL), so it is of one moment: opening balance + changes = closing balance, exactly. It costs by
the days asked for, however many entries there are (day_sums.py).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from voicehelper import clock

from .day_sums import CELLS, KIND
from .models import Wallet

# Lines of a file that are read at once.
_SLICE = 2000


class LineKind(models.TextChoices):
    """What changed the balance, as users are told."""

    TOPUP = "topup", _("Recharge")
    SPEND = "spend", _("Spending")
    CODE = "code", _("Redemption code")
    GIFT = "gift", _("Gift")
    REFUND = "refund", _("Refund")
    ADJUST = "adjust", _("Adjustment")


@dataclass(frozen=True)
class StatementPeriod:
    """Beijing days, both included; None: from the beginning, or up to now."""

    since: date | None = None
    until: date | None = None

    @property
    def asked(self) -> dict[str, Any]:
        return {"since": self.since, "until": self.until}


@dataclass(frozen=True)
class StatementLine:
    """A change of the balance, in quota, and the balance after it. Of spending: by which model and in how many calls,
    and no time; of all else when it was, and the entry's reference."""

    day: date
    kind: LineKind
    amount: int
    balance: int
    model: str = ""
    calls: int = 0
    at: datetime | None = None
    ref: str = ""


@dataclass(frozen=True)
class AccountStatement:
    """A page of lines, newest first, of `total`; and what the whole period came to, whatever kinds the lines are of."""

    opening: int
    changes: Mapping[LineKind, int]
    closing: int
    total: int = 0
    lines: Sequence[StatementLine] = field(default_factory=list)


@dataclass(frozen=True)
class PeriodSums:
    """A day, week or month, from its first to its last day: what the balance was, what changed it, what it is then."""

    first: date
    last: date
    opening: int
    changes: Mapping[LineKind, int]

    @property
    def closing(self) -> int:
        return self.opening + sum(self.changes.values())


# The days of a page: those whose lines are between the first and the last that were asked for. Every balance is the sum
# of all that was before, not of what is shown.
_PAGE = f"""
    WITH cell AS MATERIALIZED ({CELLS}), day AS (
        SELECT day, SUM(amount) AS change, SUM(SUM(amount)) OVER (ORDER BY day) AS closing,
               COALESCE(SUM(CASE WHEN kind = 'spend' THEN 1 ELSE entries END)
                        FILTER (WHERE %(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s::text[])), 0) AS lines
        FROM cell GROUP BY day
    ), asked AS (
        SELECT *, SUM(lines) OVER (ORDER BY day DESC) - lines AS newer FROM day
        WHERE (%(since)s::date IS NULL OR day >= %(since)s::date)
          AND (%(until)s::date IS NULL OR day <= %(until)s::date)
    ), page AS (
        SELECT * FROM asked WHERE lines > 0 AND newer < %(skip)s + %(limit)s AND newer + lines > %(skip)s
    )
    SELECT json_build_object(
        'opening', COALESCE((SELECT SUM(amount) FROM cell WHERE day < %(since)s::date), 0),
        'closing', COALESCE((SELECT SUM(amount) FROM cell
                             WHERE %(until)s::date IS NULL OR day <= %(until)s::date), 0),
        'changes', (SELECT json_object_agg(kind, amount) FROM (
            SELECT kind, SUM(amount) AS amount FROM cell JOIN asked USING (day) GROUP BY kind
        ) k),
        'total', COALESCE((SELECT SUM(lines) FROM asked), 0),
        'days', (SELECT json_agg(json_build_object(
            'day', day, 'opening', closing - change, 'newer', newer,
            'spending', (SELECT json_agg(json_build_array(model, entries, amount) ORDER BY model)
                         FROM cell c WHERE c.day = page.day AND c.kind = 'spend'),
            'entries', (
                SELECT json_agg(json_build_array({KIND}, amount, ref, created) ORDER BY created, id)
                FROM wallet_entry e
                WHERE wallet_id = %(wallet)s AND kind <> 'spend'
                  AND created >= page.day::timestamp AT TIME ZONE 'Asia/Shanghai'
                  AND created < (page.day + 1)::timestamp AT TIME ZONE 'Asia/Shanghai'
            )
        ) ORDER BY day DESC) FROM page)
    )
"""  # noqa: S608  # nosec B608  # constants only

_BY_PERIOD = f"""
    WITH cell AS MATERIALIZED ({CELLS})
    SELECT json_build_object(
        'opening', COALESCE((SELECT SUM(amount) FROM cell WHERE day < %(since)s::date), 0),
        'periods', (SELECT json_agg(json_build_array(first, kind, amount) ORDER BY first) FROM (
            SELECT date_trunc(%(by)s, day::timestamp)::date AS first, kind, SUM(amount) AS amount FROM cell
            WHERE (%(since)s::date IS NULL OR day >= %(since)s::date)
              AND (%(until)s::date IS NULL OR day <= %(until)s::date)
            GROUP BY 1, 2
        ) p)
    )
"""  # noqa: S608  # nosec B608  # constants only


def statement_of(
    wallet: Wallet,
    period: StatementPeriod = StatementPeriod(),
    *,
    kinds: Sequence[LineKind] = (),
    skip: int = 0,
    limit: int = 20,
) -> AccountStatement:
    """`limit` lines of a period, newest first, after the first `skip`; of some kinds only (none: of all)."""
    found = _page(wallet, period, kinds, skip, limit)
    lines = [(day["newer"], line) for day in found["days"] or () for line in _lines_of(day, kinds)]
    before = skip - (lines[0][0] if lines else 0)
    return AccountStatement(
        opening=found["opening"],
        changes=_changes(found["changes"] or {}),
        closing=found["closing"],
        total=found["total"],
        lines=[line for _newer, line in lines[before : before + limit]],
    )


def every_line(wallet: Wallet, period: StatementPeriod, kinds: Sequence[LineKind] = ()) -> Iterator[StatementLine]:
    """All lines of a period, newest first, whole days at a time: what is written meanwhile moves none of them."""
    while True:
        days = _page(wallet, period, kinds, 0, _SLICE)["days"] or ()
        for day in days:
            yield from _lines_of(day, kinds)
        if not days:
            return
        period = StatementPeriod(period.since, date.fromisoformat(days[-1]["day"]) - timedelta(days=1))


def by_period(wallet: Wallet, period: StatementPeriod, by: str) -> list[PeriodSums]:
    """The days, weeks (from Monday) or months in which something changed, newest first; each as far as it is within the
    period. `by` is "day", "week" or "month"."""
    found = _ask(_BY_PERIOD, {"wallet": wallet.pk, "by": by, **period.asked})
    cells: dict[date, dict[str, int]] = {}
    for first, kind, amount in found["periods"] or ():
        cells.setdefault(date.fromisoformat(first), {})[kind] = amount
    sums, balance = [], found["opening"]
    for first, changes in cells.items():
        last = _last_day(first, by)
        within = max(first, period.since or first), min(last, period.until or last)
        sums.append(PeriodSums(*within, balance, _changes(changes)))
        balance = sums[-1].closing
    return sums[::-1]


def _last_day(first: date, by: str) -> date:
    if by == "month":
        return clock.month_later(first, 1) - timedelta(days=1)
    return first + timedelta(days=6 if by == "week" else 0)


def _changes(found: Mapping[str, int]) -> dict[LineKind, int]:
    """In the order of the kinds."""
    return {kind: found[kind] for kind in LineKind if kind in found}


def _page(wallet: Wallet, period: StatementPeriod, kinds: Sequence[LineKind], skip: int, limit: int) -> dict[str, Any]:
    asked = {"wallet": wallet.pk, "kinds": [*map(str, kinds)] or None, "skip": skip, "limit": limit}
    return _ask(_PAGE, asked | period.asked)


def _ask(sql: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, asked)
        (found,) = cursor.fetchone()
    return found if isinstance(found, dict) else json.loads(found)


def _lines_of(day: Mapping[str, Any], kinds: Sequence[LineKind]) -> list[StatementLine]:
    """Of one day, newest first."""
    on, balance, lines = date.fromisoformat(day["day"]), day["opening"], []
    for kind, amount, ref, at in day["entries"] or ():
        balance += amount
        lines.append(StatementLine(on, LineKind(kind), amount, balance, at=datetime.fromisoformat(at), ref=ref))
    for model, calls, amount in day["spending"] or ():
        balance += amount
        lines.append(StatementLine(on, LineKind.SPEND, amount, balance, model=model, calls=calls))
    return [line for line in reversed(lines) if not kinds or line.kind in kinds]
