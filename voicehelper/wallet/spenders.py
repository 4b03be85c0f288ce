"""Who spent how much in some days, out of the sums that are kept (day_sums.py): it costs by users and days, not by
calls."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection

from voicehelper import clock

_SPENT = """
    SELECT w.user_id, SUM(s.entries)::bigint, -SUM(s.amount)::bigint, COUNT(*) OVER (),
           (SUM(SUM(s.entries)) OVER ())::bigint, -(SUM(SUM(s.amount)) OVER ())::bigint
    FROM (
        SELECT wallet_id, entries, amount FROM wallet_daysum
        WHERE kind = 'spend' AND day >= %(first)s AND day <= %(last)s
        UNION ALL
        SELECT wallet_id, 1, amount FROM (
            SELECT * FROM wallet_entry WHERE id > (SELECT COALESCE(MAX(up_to_entry), 0) FROM wallet_daysummark)
            ORDER BY id OFFSET 0
        ) fresh
        WHERE kind = 'spend' AND created >= %(begin)s AND created < %(end)s
    ) s JOIN wallet_wallet w ON w.id = s.wallet_id
    GROUP BY w.user_id ORDER BY 3 DESC, 1 LIMIT %(limit)s OFFSET %(skip)s
"""


@dataclass(frozen=True)
class Spender:
    """A user's number, calls that were charged, and quota spent."""

    user_id: int
    calls: int
    quota: int


@dataclass(frozen=True)
class Spenders:
    """Some of them, most first; and how many there are, with calls and quota of all."""

    some: list[Spender]
    count: int = 0
    calls: int = 0
    quota: int = 0


def spenders(first: date, last: date, *, skip: int = 0, limit: int = 50) -> Spenders:
    """From the first Beijing day to the last."""
    begin, end = clock.midnight(first), clock.midnight(last + timedelta(days=1))
    asked: dict[str, Any] = {"first": first, "last": last, "begin": begin, "end": end, "skip": skip, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_SPENT, asked)
        rows = cursor.fetchall()
    if not rows:
        return Spenders([])
    return Spenders([Spender(*row[:3]) for row in rows], *rows[0][3:])
