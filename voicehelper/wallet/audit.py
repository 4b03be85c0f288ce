"""The invariants of the ledger, each one query that returns the rows that break it.

A check is a function `(after_entry) -> Iterable[Finding]`; each app registers its own (`register`). A full audit
passes 0; the incremental one passes the last entry the previous run had read, and checks the wallets touched
since.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max
from django.db.models.functions import Now

from .models import AuditRun, Entry


@dataclass(frozen=True)
class Finding:
    """One row that breaks an invariant: which rule, which row, and what is wrong with it."""

    rule: str
    row: str
    problem: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.row}: {self.problem}"


Check = Callable[[int], Iterable[Finding]]
_registered: list[Check] = []
# What is still open and breaks no rule, said beside the findings: one line each.
_open_ends: list[Callable[[], Iterable[str]]] = []

# The incremental audit reads again what the previous runs may have missed: a transaction that began before such a run
# and committed after it has lower ids than entries that run had already seen.
_OVERLAP_ENTRIES = 10_000
# PostgreSQL's settings that keep an acknowledged payment; the first may differ from session to session.
_DURABLE = ("synchronous_commit", "fsync", "full_page_writes")


def run(*, full: bool) -> AuditRun:
    """Check every invariant in one consistent snapshot, and keep the outcome."""
    audit = AuditRun.objects.create(full=full)
    previous = AuditRun.objects.filter(finished__isnull=False, findings=[]).order_by("-pk").first()
    after = 0 if full or previous is None else max(0, previous.up_to_entry - _OVERLAP_ENTRIES)
    outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if outermost:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SET LOCAL statement_timeout = '10min'")
        up_to = Entry.objects.aggregate(last=Max("id"))["last"] or 0
        findings = [finding for check in _registered for finding in check(after)]
    AuditRun.objects.filter(pk=audit.pk).update(
        finished=Now(), up_to_entry=up_to, findings=[str(finding) for finding in findings]
    )
    audit.refresh_from_db()
    return audit


def register(checks: Iterable[Check]) -> None:
    """Let every audit from now on run these as well; apps do it when they are ready."""
    _registered.extend(checks)


def register_open_ends(tell: Callable[[], Iterable[str]]) -> None:
    """Let `manage.py audit` say these as well; they are no findings."""
    _open_ends.append(tell)


def open_ends() -> list[str]:
    """What is still open, now."""
    return [line for tell in _open_ends for line in tell()]


def rows(sql: str, *params: int | str) -> list[tuple[object, ...]]:
    """Run one of the audit's constant queries."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def balance_is_the_sum_of_entries(after: int) -> Iterable[Finding]:
    found = rows(
        """
        SELECT w.id, w.balance, COALESCE(s.total, 0) FROM wallet_wallet w
        LEFT JOIN LATERAL (SELECT SUM(amount) AS total FROM wallet_entry e WHERE e.wallet_id = w.id) s ON TRUE
        WHERE w.balance <> COALESCE(s.total, 0)
          AND (%s = 0 OR w.id IN (SELECT wallet_id FROM wallet_entry WHERE id > %s))
        ORDER BY w.id
        """,
        after,
        after,
    )
    for wallet, balance, total in found:
        yield Finding("balance = sum of entries", f"wallet {wallet}", f"balance {balance}, entries add up to {total}")


def each_entry_continues_the_one_before(after: int) -> Iterable[Finding]:
    found = rows(
        """
        SELECT id, wallet_id, balance_after, expected FROM (
            SELECT id, wallet_id, balance_after,
                   amount + LAG(balance_after, 1, 0::bigint) OVER (PARTITION BY wallet_id ORDER BY id) AS expected
            FROM wallet_entry
            WHERE %s = 0 OR wallet_id IN (SELECT wallet_id FROM wallet_entry WHERE id > %s)
        ) chain WHERE balance_after <> expected ORDER BY id
        """,
        after,
        after,
    )
    for entry, wallet, balance_after, expected in found:
        yield Finding(
            "balance_after chain", f"entry {entry} of wallet {wallet}", f"says {balance_after}, should be {expected}"
        )


def used_is_the_sum_of_spending(after: int) -> Iterable[Finding]:
    found = rows(
        """
        SELECT w.id, w.used, COALESCE(s.total, 0) FROM wallet_wallet w
        LEFT JOIN LATERAL (
            SELECT -SUM(amount) AS total FROM wallet_entry e WHERE e.wallet_id = w.id AND e.kind = 'spend'
        ) s ON TRUE
        WHERE w.used <> COALESCE(s.total, 0)
          AND (%s = 0 OR w.id IN (SELECT wallet_id FROM wallet_entry WHERE id > %s))
        ORDER BY w.id
        """,
        after,
        after,
    )
    for wallet, used, total in found:
        yield Finding("used = sum of spending", f"wallet {wallet}", f"used {used}, spending adds up to {total}")


def held_is_the_sum_of_open_holds(after: int) -> Iterable[Finding]:
    found = rows(
        """
        SELECT w.id, w.held, COALESCE(s.total, 0) FROM wallet_wallet w
        LEFT JOIN (SELECT wallet_id, SUM(amount) AS total FROM wallet_hold WHERE state = 'open' GROUP BY wallet_id) s
          ON s.wallet_id = w.id
        WHERE w.held <> COALESCE(s.total, 0) ORDER BY w.id
        """
    )
    for wallet, held, total in found:
        yield Finding("held = sum of holds", f"wallet {wallet}", f"held {held}, open holds add up to {total}")


def what_budgets_hold_is_the_sum_of_their_open_holds(after: int) -> Iterable[Finding]:
    found = rows(
        """
        SELECT b.id, b.held, COALESCE(s.total, 0) FROM wallet_budget b
        LEFT JOIN (
            SELECT budget_id, counted_since, SUM(amount) AS total FROM wallet_hold
            WHERE state = 'open' AND budget_id IS NOT NULL GROUP BY budget_id, counted_since
        ) s ON s.budget_id = b.id AND s.counted_since = b.counted_since
        WHERE b.held <> COALESCE(s.total, 0) ORDER BY b.id
        """
    )
    for budget, held, total in found:
        yield Finding("held = sum of holds", f"budget {budget}", f"held {held}, open holds add up to {total}")


def each_adjustment_has_one_entry(after: int) -> Iterable[Finding]:
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


def no_hold_outlives_its_time(after: int) -> Iterable[Finding]:
    found = rows(
        "SELECT ref, expires_at FROM wallet_hold WHERE state = 'open' AND expires_at < now() - interval '15 minutes'"
        " ORDER BY id"
    )
    for ref, expires_at in found:
        yield Finding("nothing stuck", f"hold {ref}", f"still open, expired at {expires_at:%Y-%m-%d %H:%M:%S %Z}")


def commits_are_durable(after: int) -> Iterable[Finding]:
    """An acknowledged callback must survive a power cut of the database; a test's need not."""
    for name in _DURABLE[:1] if settings.MODE == "test" else _DURABLE:
        ((value,),) = rows("SELECT current_setting(%s)", name)
        if value == "off" or (name == "synchronous_commit" and value == "local" and not _single_server()):
            yield Finding("durable commits", f"setting {name}", f"is {value}: an acknowledged payment could be lost")


def entries_cannot_be_changed(after: int) -> Iterable[Finding]:
    """The triggers that refuse UPDATE, DELETE and TRUNCATE must exist and be on."""
    found = rows("SELECT tgname FROM pg_trigger WHERE tgrelid = 'wallet_entry'::regclass AND tgenabled IN ('O', 'A')")
    for name in sorted({"entry_append_only", "entry_no_truncate"} - {name for (name,) in found}):
        yield Finding("append-only entries", f"trigger {name}", "is missing or switched off")


def _single_server() -> bool:
    ((names,),) = rows("SELECT current_setting('synchronous_standby_names')")
    return not names


CHECKS: list[Check] = [
    balance_is_the_sum_of_entries,
    each_entry_continues_the_one_before,
    used_is_the_sum_of_spending,
    held_is_the_sum_of_open_holds,
    what_budgets_hold_is_the_sum_of_their_open_holds,
    each_adjustment_has_one_entry,
    no_hold_outlives_its_time,
    entries_cannot_be_changed,
    commits_are_durable,
]
