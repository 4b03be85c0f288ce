"""Do the books agree? Every invariant, checked in one consistent snapshot.

Each app registers its checks (`register`), each a function of a findings.Scope. A full run reads everything, in
constant memory. An incremental one costs by what is new: the entries since the run before that found nothing, the
wallets they touched, and closed periods chosen by lot; then it closes what is over (periods.py).
"""

from collections.abc import Callable, Iterable
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Max
from django.db.models.functions import Now

from . import periods
from .findings import Check, Finding, Scope
from .models import AuditRun, ClosedPeriod, Entry
from .settling import settled_entry

_registered: list[Check] = []
# What is still open and breaks no rule, said beside the findings: one line each.
_open_ends: list[Callable[[], Iterable[str]]] = []

# Longer than any statement may take, and so than anybody who was writing when an incremental run began.
_PATIENCE = timedelta(seconds=3)
# Rows say when their transaction began. One that took longer than this is found by the full run.
_SLOW = timedelta(hours=1)
# A day takes a second. After an upgrade years may wait: some in each run.
_CLOSE_WITHIN = timedelta(seconds=30)


def run(*, full: bool, chain: str = "") -> AuditRun:
    """Check every invariant, close what is over, and keep the outcome. `chain` is one that was written down elsewhere:
    it must be in the books."""
    audit = AuditRun.objects.create(full=full)
    settled = settled_entry(_PATIENCE)
    clean = AuditRun.objects.filter(finished__isnull=False, findings=[], settled_entry__gt=0)
    previous = clean.order_by("-pk").first()
    known = previous.settled_entry if previous else 0
    found, up_to = _check(_scope(full, previous))
    found += _missing(chain, *AuditRun.objects.exclude(chain="").order_by("-pk").values_list("chain", flat=True)[:1])
    if settled is not None and not found:
        found = periods.close(settled, within=_CLOSE_WITHIN)
    last = periods.newest()
    AuditRun.objects.filter(pk=audit.pk).update(
        finished=Now(),
        up_to_entry=up_to,
        settled_entry=known if settled is None else settled,
        chain=last.chain if last else "",
        findings=[str(finding) for finding in found],
    )
    audit.refresh_from_db()
    return audit


def _scope(full: bool, previous: AuditRun | None) -> Scope:
    if full or previous is None:
        # Nothing is known to be good yet: all of it is new.
        return Scope()
    return Scope(full=False, after=previous.settled_entry, since=previous.started - _SLOW)


def _check(scope: Scope) -> tuple[list[Finding], int]:
    """What breaks a rule, and the last entry that was looked at."""
    outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if outermost:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SET LOCAL statement_timeout = '10min'")
        up_to = Entry.objects.aggregate(last=Max("id"))["last"] or 0
        return [finding for check in _registered for finding in check(scope)], up_to


def _missing(*chains: str) -> list[Finding]:
    """Of chains that somebody wrote down, those that the books do not have (any more)."""
    lost = [chain for chain in chains if chain and not ClosedPeriod.objects.filter(chain=chain).exists()]
    return [Finding(periods.RULE, f"chain {chain}", "was written down, and no closed period has it") for chain in lost]


def register(checks: Iterable[Check]) -> None:
    """Let every audit from now on run these as well; apps do it when they are ready."""
    _registered.extend(checks)


def register_open_ends(tell: Callable[[], Iterable[str]]) -> None:
    """Let `manage.py audit` say these as well; they are no findings."""
    _open_ends.append(tell)


def open_ends() -> list[str]:
    """What is still open, now."""
    return [line for tell in _open_ends for line in tell()]
