"""The invariants of the ledger, each one query that returns the rows that break it."""

from collections.abc import Iterable

from django.conf import settings

from . import periods
from .findings import Check, Finding, Scope, rows

# PostgreSQL's settings that keep an acknowledged payment; the first may differ from session to session.
_DURABLE = ("synchronous_commit", "fsync", "full_page_writes")

# What the closed periods' checkpoints and the entries since come to, of the wallets that have new entries.
_TOUCHED = """
    SELECT w.id, w.balance, COALESCE(c.balance, 0) + s.total, last.balance_after, w.used, COALESCE(c.used, 0) + s.used
    FROM (SELECT DISTINCT wallet_id FROM wallet_entry WHERE id > %s) touched
    JOIN wallet_wallet w ON w.id = touched.wallet_id
    LEFT JOIN wallet_checkpoint c ON c.wallet_id = w.id
    CROSS JOIN LATERAL (
        SELECT COALESCE(SUM(amount), 0) AS total, -COALESCE(SUM(amount) FILTER (WHERE kind = 'spend'), 0) AS used
        FROM wallet_entry e
        WHERE e.wallet_id = w.id AND e.id > (SELECT COALESCE(MAX(up_to_entry), 0) FROM wallet_closedperiod)
    ) s
    CROSS JOIN LATERAL (
        SELECT balance_after FROM wallet_entry e WHERE e.wallet_id = w.id ORDER BY e.id DESC LIMIT 1
    ) last
    WHERE w.balance <> COALESCE(c.balance, 0) + s.total OR w.balance <> last.balance_after
       OR w.used <> COALESCE(c.used, 0) + s.used
    ORDER BY w.id
"""
# The same of all, in one pass over all entries.
_ALL = """
    SELECT w.id, w.balance, COALESCE(s.total, 0), COALESCE(s.total, 0), w.used, COALESCE(s.used, 0)
    FROM wallet_wallet w
    LEFT JOIN (
        SELECT wallet_id, SUM(amount) AS total, -COALESCE(SUM(amount) FILTER (WHERE kind = 'spend'), 0) AS used
        FROM wallet_entry GROUP BY wallet_id
    ) s ON s.wallet_id = w.id
    WHERE w.balance <> COALESCE(s.total, 0) OR w.used <> COALESCE(s.used, 0)
    ORDER BY w.id
"""


def wallets_are_the_sums_of_their_entries(scope: Scope) -> Iterable[Finding]:
    for wallet, balance, total, last, used, spent in rows(_ALL) if scope.full else rows(_TOUCHED, scope.after):
        row = f"wallet {wallet}"
        if balance != total:
            yield Finding("balance = sum of entries", row, f"balance {balance}, entries add up to {total}")
        elif balance != last:
            yield Finding("balance = sum of entries", row, f"balance {balance}, its last entry says {last}")
        if used != spent:
            yield Finding("used = sum of spending", row, f"used {used}, spending adds up to {spent}")


def checkpoints_are_the_sums_of_closed_periods(scope: Scope) -> Iterable[Finding]:
    if not scope.full:
        return
    found = rows(
        """
        SELECT COALESCE(c.wallet_id, s.wallet_id), c.balance, c.used, s.total, s.used FROM wallet_checkpoint c
        FULL JOIN (
            SELECT wallet_id, SUM(amount) AS total, -COALESCE(SUM(amount) FILTER (WHERE kind = 'spend'), 0) AS used
            FROM wallet_entry WHERE id <= (SELECT MAX(up_to_entry) FROM wallet_closedperiod) GROUP BY wallet_id
        ) s ON s.wallet_id = c.wallet_id
        WHERE c.balance IS DISTINCT FROM s.total OR c.used IS DISTINCT FROM s.used ORDER BY 1
        """
    )
    for wallet, balance, used, total, spent in found:
        problem = f"says {balance}, {used} of it spent; closed entries add up to {total}, {spent} of it spent"
        yield Finding(periods.RULE, f"checkpoint of wallet {wallet}", problem)


def each_entry_continues_the_one_before(scope: Scope) -> Iterable[Finding]:
    """And closed periods are as they were: some of them, chosen by lot, or all."""
    if scope.full:
        yield from periods.everything()
        return
    ((last,),) = rows("SELECT COALESCE(MAX(id), 0) FROM wallet_entry")
    yield from periods.broken_chain(scope.after, int(str(last)))
    yield from periods.spot_check()


_HELD = """
    SELECT w.id, w.held, COALESCE(s.total, 0) FROM wallet_wallet w
    LEFT JOIN (SELECT wallet_id, SUM(amount) AS total FROM wallet_hold WHERE state = 'open' GROUP BY wallet_id) s
      ON s.wallet_id = w.id
    WHERE w.held <> COALESCE(s.total, 0) ORDER BY w.id
"""
# The same of wallets that were touched: by an open hold, one made lately, or a new entry. A join, and no IN beside an
# OR, which PostgreSQL would work out for each wallet.
_HELD_LATELY = """
    SELECT w.id, w.held, COALESCE(s.total, 0) FROM (
        SELECT wallet_id FROM wallet_entry WHERE id > %s
        UNION SELECT wallet_id FROM wallet_hold WHERE created > %s
        UNION SELECT wallet_id FROM wallet_hold WHERE state = 'open'
    ) touched
    JOIN wallet_wallet w ON w.id = touched.wallet_id
    LEFT JOIN (SELECT wallet_id, SUM(amount) AS total FROM wallet_hold WHERE state = 'open' GROUP BY wallet_id) s
      ON s.wallet_id = w.id
    WHERE w.held <> COALESCE(s.total, 0) ORDER BY w.id
"""
_BUDGETS_HELD = """
    SELECT b.id, b.held, COALESCE(s.total, 0) FROM wallet_budget b
    LEFT JOIN (
        SELECT budget_id, counted_since, SUM(amount) AS total FROM wallet_hold
        WHERE state = 'open' AND budget_id IS NOT NULL GROUP BY budget_id, counted_since
    ) s ON s.budget_id = b.id AND s.counted_since = b.counted_since
    WHERE b.held <> COALESCE(s.total, 0) ORDER BY b.id
"""
_BUDGETS_HELD_LATELY = """
    SELECT b.id, b.held, COALESCE(s.total, 0) FROM (
        SELECT budget_id FROM wallet_hold WHERE created > %s
        UNION SELECT budget_id FROM wallet_hold WHERE state = 'open'
    ) touched
    JOIN wallet_budget b ON b.id = touched.budget_id
    LEFT JOIN (
        SELECT budget_id, counted_since, SUM(amount) AS total FROM wallet_hold
        WHERE state = 'open' AND budget_id IS NOT NULL GROUP BY budget_id, counted_since
    ) s ON s.budget_id = b.id AND s.counted_since = b.counted_since
    WHERE b.held <> COALESCE(s.total, 0) ORDER BY b.id
"""


def held_is_the_sum_of_open_holds(scope: Scope) -> Iterable[Finding]:
    wallets = rows(_HELD) if scope.full else rows(_HELD_LATELY, scope.after, scope.since)
    for wallet, held, total in wallets:
        yield Finding("held = sum of holds", f"wallet {wallet}", f"held {held}, open holds add up to {total}")
    budgets = rows(_BUDGETS_HELD) if scope.full else rows(_BUDGETS_HELD_LATELY, scope.since)
    for budget, held, total in budgets:
        yield Finding("held = sum of holds", f"budget {budget}", f"held {held}, open holds add up to {total}")


def each_adjustment_has_one_entry(scope: Scope) -> Iterable[Finding]:
    """What an operator gave or took was asked for, and agreed to where that was needed; and what was, is there."""
    found = rows(
        """
        SELECT COALESCE('entry ' || e.id, 'adjustment ' || a.id), a.state, a.amount, e.amount
        FROM (SELECT *, 'adjust:' || wallet_id || ':' || number AS ref FROM wallet_adjustment) a
        FULL JOIN (SELECT * FROM wallet_entry WHERE kind = 'adjust') e ON e.ref = a.ref AND e.wallet_id = a.wallet_id
        WHERE (a.state = 'done') IS DISTINCT FROM (e.id IS NOT NULL) OR a.amount <> e.amount
        ORDER BY 1
        """
    )
    for row, state, asked, moved in found:
        problem = f"asked for {asked} ({state}), moved {moved}" if state else f"moved {moved}, nobody asked for it"
        yield Finding("an adjustment has one entry", str(row), problem)


def no_hold_outlives_its_time(scope: Scope) -> Iterable[Finding]:
    found = rows(
        "SELECT ref, expires_at FROM wallet_hold WHERE state = 'open' AND expires_at < now() - interval '15 minutes'"
        " ORDER BY id"
    )
    for ref, expires_at in found:
        yield Finding("nothing stuck", f"hold {ref}", f"still open, expired at {expires_at:%Y-%m-%d %H:%M:%S %Z}")


def commits_are_durable(scope: Scope) -> Iterable[Finding]:
    """An acknowledged callback must survive a power cut of the database; a test's need not."""
    for name in _DURABLE[:1] if settings.MODE == "test" else _DURABLE:
        ((value,),) = rows("SELECT current_setting(%s)", name)
        if value == "off" or (name == "synchronous_commit" and value == "local" and not _single_server()):
            yield Finding("durable commits", f"setting {name}", f"is {value}: an acknowledged payment could be lost")


def entries_cannot_be_changed(scope: Scope) -> Iterable[Finding]:
    """The triggers that refuse UPDATE, DELETE and TRUNCATE must exist and be on."""
    found = rows(
        """
        SELECT name FROM (
            VALUES ('wallet_entry', 'entry_append_only'), ('wallet_closedperiod', 'closedperiod_append_only'),
                   ('wallet_entry', 'entry_no_truncate'), ('wallet_closedperiod', 'closedperiod_no_truncate')
        ) must (book, name)
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = book::regclass AND tgname = name AND tgenabled IN ('O', 'A')
        )
        """
    )
    for (name,) in found:
        yield Finding("append-only entries", f"trigger {name}", "is missing or switched off")


def _single_server() -> bool:
    ((names,),) = rows("SELECT current_setting('synchronous_standby_names')")
    return not names


CHECKS: list[Check] = [
    wallets_are_the_sums_of_their_entries,
    checkpoints_are_the_sums_of_closed_periods,
    each_entry_continues_the_one_before,
    held_is_the_sum_of_open_holds,
    each_adjustment_has_one_entry,
    no_hold_outlives_its_time,
    entries_cannot_be_changed,
    commits_are_durable,
]
