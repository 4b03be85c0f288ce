"""What entries came to by wallet, Beijing day, kind and model, so that a statement costs by its days, not by its
entries. See adding_up.py: whoever reads adds the entries above the mark (`CELLS`).
"""

from collections.abc import Iterable
from datetime import timedelta

from .adding_up import WITHIN, AddingUp
from .findings import Finding, Scope, rows

DAY = "(created AT TIME ZONE 'Asia/Shanghai')::date"
# Gifts by a redemption code have a kind of their own here: their references begin so.
KIND = "CASE WHEN kind = 'gift' AND ref LIKE 'code:%%' THEN 'code' ELSE kind END"
_MODEL = "CASE WHEN kind = 'spend' THEN reason ELSE '' END"
_GROUPED = f"""
    SELECT wallet_id, {DAY} AS day, {KIND} AS kind, {_MODEL} AS model,
           COUNT(*) AS entries, SUM(amount)::bigint AS amount
    FROM wallet_entry
"""  # noqa: S608  # nosec B608  # constants only

# What one wallet's entries came to: a subquery of (day, kind, model, entries, amount).
CELLS = f"""
    SELECT day, kind, model, SUM(entries)::bigint AS entries, SUM(amount)::bigint AS amount FROM (
        SELECT day, kind, model, entries, amount FROM wallet_daysum WHERE wallet_id = %(wallet)s
        UNION ALL
        SELECT {DAY}, {KIND}, {_MODEL}, 1, amount FROM wallet_entry
        WHERE wallet_id = %(wallet)s AND id > (SELECT COALESCE(MAX(up_to_entry), 0) FROM wallet_daysummark)
    ) each GROUP BY day, kind, model
"""  # noqa: S608  # nosec B608  # constants only

_ADD = f"""
    INSERT INTO wallet_daysum AS s (wallet_id, day, kind, model, entries, amount)
    {_GROUPED} WHERE id > %(after)s AND id <= %(up_to)s GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (wallet_id, day, kind, model)
    DO UPDATE SET entries = s.entries + EXCLUDED.entries, amount = s.amount + EXCLUDED.amount
"""  # nosec B608  # constants only
_WRONG = f"""
    SELECT COALESCE(s.wallet_id, e.wallet_id), COALESCE(s.day, e.day), COALESCE(s.kind, e.kind), s.amount, e.amount
    FROM wallet_daysum s
    FULL JOIN ({_GROUPED} WHERE id <= (SELECT MAX(up_to_entry) FROM wallet_daysummark) GROUP BY 1, 2, 3, 4) e
        USING (wallet_id, day, kind, model)
    WHERE (s.entries, s.amount) IS DISTINCT FROM (e.entries, e.amount) ORDER BY 1, 2, 3 LIMIT 100
"""  # noqa: S608  # nosec B608  # constants only


_ENTRIES = AddingUp("wallet_entry", "wallet_daysummark", "up_to_entry", _ADD)


def add_up(within: timedelta = WITHIN) -> int:
    """Add new entries; returns how many steps it took."""
    return _ENTRIES.run(within)


def day_sums_are_the_sums_of_entries(scope: Scope) -> Iterable[Finding]:
    """For the full audit."""
    for wallet, day, kind, said, total in rows(_WRONG) if scope.full else ():
        row = f"wallet {wallet}, {day}, {kind}"
        yield Finding("day sums = entries", row, f"says {said}, entries add up to {total}")
