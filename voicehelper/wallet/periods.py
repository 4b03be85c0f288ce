"""Closed periods: what nobody can change any more without being found, even with the balance that goes with it.

When a Beijing day is over by MARGIN, its entries are closed: counted, added up by kind, and hashed together with what
the period before was hashed to. Where a period ends is a number of an entry, not a moment: settling.py says from when
on nothing can fall into it any more. Hashes are SHA-256, in hex:

* digest: of the entries as `COPY (…) TO STDOUT` writes them (_ENTRIES), so that anybody with psql can do it again;
* chain: of the period's own facts as one line of JSON, the digest and the chain before it included.
"""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from voicehelper import clock

from .findings import Finding, rows
from .models import ClosedPeriod, Entry

log = logging.getLogger(__name__)

MARGIN = timedelta(hours=1)
# Entries in one period; a busy day has several. A spot check reads as many again, as far as it gets in its time, but a
# period at least: that is what an audit of what is new costs, however little is new.
LARGEST = SPOT_CHECKED = 25_000
SPOT_WITHIN = timedelta(milliseconds=300)
# How far back each run goes along the chain; a full one goes to its beginning.
LATEST = 1_000
RULE = "closed periods"
_LOCK = 0x566F696365_01

_ENTRIES = """
    COPY (
        SELECT id, wallet_id, kind, amount, balance_after, ref, actor, reason,
               (extract(epoch FROM created) * 1000000)::bigint
        FROM wallet_entry WHERE id > %s AND id <= %s ORDER BY id
    ) TO STDOUT
"""
_TOTALS = """
    SELECT kind, COUNT(*), SUM(amount)::bigint FROM wallet_entry WHERE id > %s AND id <= %s GROUP BY kind ORDER BY kind
"""
_CHAIN_BROKEN = """
    SELECT fresh.id, fresh.wallet_id, fresh.balance_after, amount + COALESCE(before, earlier.balance_after, 0)
    FROM (
        SELECT id, wallet_id, amount, balance_after,
               LAG(balance_after) OVER (PARTITION BY wallet_id ORDER BY id) AS before
        FROM wallet_entry WHERE id > %s AND id <= %s
    ) fresh
    LEFT JOIN LATERAL (
        SELECT balance_after FROM wallet_entry e
        WHERE before IS NULL AND e.wallet_id = fresh.wallet_id AND e.id <= %s ORDER BY e.id DESC LIMIT 1
    ) earlier ON TRUE
    WHERE fresh.balance_after <> amount + COALESCE(before, earlier.balance_after, 0) ORDER BY fresh.id
"""
_CHECKPOINTS = """
    INSERT INTO wallet_checkpoint (wallet_id, balance, used)
    SELECT wallet_id, SUM(amount), -COALESCE(SUM(amount) FILTER (WHERE kind = 'spend'), 0)
    FROM wallet_entry WHERE id > %s AND id <= %s GROUP BY wallet_id ORDER BY wallet_id
    ON CONFLICT (wallet_id) DO UPDATE SET balance = wallet_checkpoint.balance + EXCLUDED.balance,
                                          used = wallet_checkpoint.used + EXCLUDED.used
"""


# --- Closing ---------------------------------------------------------------------------------------------------------
def close(settled: int, *, within: timedelta) -> list[Finding]:
    """Close what is over, up to the entry `settled` (settling.py), for as long as `within`; the rest is for the next
    time. One process at a time does. What does not add up stays open and is returned."""
    until = _end_of(within)
    while time.monotonic_ns() < until:
        with transaction.atomic():
            ((mine,),) = rows("SELECT pg_try_advisory_xact_lock(%s)", _LOCK)
            span = _next(settled) if mine else None
            if span is None:
                return []
            if findings := list(broken_chain(span.after_entry, span.up_to_entry)):
                return findings
            _seal(span)
        log.info("Closed period %d of %s, chain %s", span.number, span.day, span.chain)
    return []


def _next(settled: int) -> ClosedPeriod | None:
    """The next period to be closed, with nothing but its ends; None when there is none yet."""
    last = newest()
    after = last.up_to_entry if last else 0
    first = Entry.objects.filter(pk__gt=after).order_by("pk").values_list("created", flat=True).first()
    if first is None:
        return None
    day = first.astimezone(clock.BEIJING).date()
    end = clock.midnight(day + timedelta(days=1))
    if clock.now() < end + MARGIN:
        return None
    up_to = _last_entry(after, end)
    if up_to > settled:
        return None
    number, chain = (last.number, last.chain) if last else (0, "")
    return ClosedPeriod(number=number + 1, day=day, after_entry=after, up_to_entry=up_to, previous=chain)


def _last_entry(after: int, end: datetime) -> int:
    later = Entry.objects.filter(pk__gt=after)
    of_day = later.filter(created__lt=end).order_by("-created", "-pk").values_list("pk", flat=True).first()
    largest = later.order_by("pk").values_list("pk", flat=True)[LARGEST - 1 : LARGEST].first()
    return min(pk for pk in (of_day, largest) if pk is not None)


def _seal(span: ClosedPeriod) -> None:
    """Count, add up, hash and keep it, and bring the checkpoints of its wallets up to it."""
    span.totals = _totals(span)
    span.entries = sum(each["count"] for each in span.totals.values())
    span.digest = _digest(span)
    span.chain = _chain(span)
    span.save(force_insert=True)
    with connection.cursor() as cursor:
        cursor.execute(_CHECKPOINTS, [span.after_entry, span.up_to_entry])


def _end_of(span: timedelta) -> int:
    return time.monotonic_ns() + span // timedelta(microseconds=1) * 1000


def newest() -> ClosedPeriod | None:
    """The end of the chain."""
    return ClosedPeriod.objects.order_by("-number").first()


def _totals(span: ClosedPeriod) -> dict[str, dict[str, int]]:
    found: Any = rows(_TOTALS, span.after_entry, span.up_to_entry)
    return {kind: {"count": count, "sum": int(total)} for kind, count, total in found}


def _digest(span: ClosedPeriod) -> str:
    """In constant memory: the server sends row by row."""
    digest = hashlib.sha256()
    connection.ensure_connection()
    with (
        connection.connection.cursor() as cursor,
        cursor.copy(_ENTRIES, [span.after_entry, span.up_to_entry]) as parts,
    ):
        for part in parts:
            digest.update(part)
    return digest.hexdigest()


def _chain(span: ClosedPeriod) -> str:
    facts = {
        "number": span.number,
        "day": str(span.day),
        "after": span.after_entry,
        "up_to": span.up_to_entry,
        "entries": span.entries,
        "totals": span.totals,
        "digest": span.digest,
        "previous": span.previous,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# --- Verifying -------------------------------------------------------------------------------------------------------
def broken_chain(after: int, up_to: int) -> Iterator[Finding]:
    """Entries of a range that do not continue what their wallet had before."""
    for entry, wallet, balance_after, expected in rows(_CHAIN_BROKEN, after, up_to, after):
        yield Finding(
            "balance_after chain", f"entry {entry} of wallet {wallet}", f"says {balance_after}, should be {expected}"
        )


def links(newest_first: Iterable[ClosedPeriod]) -> Iterator[Finding]:
    """What is wrong with the chain itself, from its end back to where the periods given begin."""
    later: ClosedPeriod | None = None
    for period in newest_first:
        if period.chain != _chain(period):
            yield Finding(RULE, _name(period), "was changed: its facts do not hash to its chain")
        if later and (period.number + 1, period.up_to_entry, period.chain) != (
            later.number,
            later.after_entry,
            later.previous,
        ):
            yield Finding(RULE, _name(later), f"does not continue {_name(period)}")
        later = period
    if later and later.number == 1 and (later.after_entry, later.previous) != (0, ""):
        yield Finding(RULE, _name(later), "is the first, and says that something was before it")


def changed(period: ClosedPeriod) -> Iterator[Finding]:
    """What is not as it was when the period was closed: its entries are read again."""
    if (totals := _totals(period)) != period.totals:
        yield Finding(RULE, _name(period), f"had {_said(period.totals)}, has {_said(totals)}")
    elif _digest(period) != period.digest:
        yield Finding(RULE, _name(period), "its entries add up and are not those that were closed")


def spot_check() -> Iterator[Finding]:
    """The newest part of the chain, and some closed periods chosen by lot: one, and more while they are no more than
    SPOT_CHECKED entries and it took less than SPOT_WITHIN."""
    latest = list(ClosedPeriod.objects.order_by("-number")[:LATEST])
    yield from links(latest)
    if not latest:
        return
    read, seen, last = 0, set[int](), latest[0].number
    until = _end_of(SPOT_WITHIN)
    while len(seen) < min(last, LATEST):
        number = 1 + secrets.randbelow(last)
        if number in seen:
            continue
        seen.add(number)
        period = ClosedPeriod.objects.filter(pk=number).first()
        if period is None:
            yield Finding(RULE, f"period {number}", "is gone")
            continue
        read += period.entries
        if len(seen) > 1 and (read > SPOT_CHECKED or time.monotonic_ns() > until):
            return
        yield from changed(period)


def everything() -> Iterator[Finding]:
    """The whole chain from end to beginning, every period's entries, and those behind the last one, LARGEST at a
    time."""
    last = newest()
    yield from links(ClosedPeriod.objects.order_by("-number").iterator(LATEST))
    if last and ClosedPeriod.objects.count() != last.number:
        yield Finding(RULE, "the chain", f"says {last.number} periods and does not have them all")
    for period in ClosedPeriod.objects.order_by("number").iterator(LATEST):
        yield from changed(period)
        yield from broken_chain(period.after_entry, period.up_to_entry)
    after = last.up_to_entry if last else 0
    while (up_to := _end_of_step(after)) is not None:
        yield from broken_chain(after, up_to)
        after = up_to


def _end_of_step(after: int) -> int | None:
    ((up_to,),) = rows(
        "SELECT MAX(id) FROM (SELECT id FROM wallet_entry WHERE id > %s ORDER BY id LIMIT %s) step", after, LARGEST
    )
    return up_to if isinstance(up_to, int) else None


def _name(period: ClosedPeriod) -> str:
    return f"period {period.number} ({period.day:%Y-%m-%d})"


def _said(totals: dict[str, dict[str, int]]) -> str:
    return ", ".join(f"{each['count']} {kind} over {each['sum']}" for kind, each in sorted(totals.items())) or "nothing"
