"""Days that are over are closed: who changes them afterwards is found, however well the rest is made to fit."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from tests.conftest import full as count_of
from tests.crashpoints import forge
from tests.ledger import spend
from tests.processes import environment
from voicehelper.accounts.models import User
from voicehelper.wallet import audit, periods, services, settling
from voicehelper.wallet.models import AuditRun, Checkpoint, ClosedPeriod, Entry, Wallet

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all periods, however slow the machine; and yesterday is over, also in the first hour of a day."""
    monkeypatch.setattr(periods, "SPOT_WITHIN", timedelta(minutes=1))
    monkeypatch.setattr(periods, "MARGIN", timedelta(0))


def gift(user: User, amount: int) -> Entry:
    number = Entry.objects.count()
    return services.credit(user, amount, kind=Entry.Kind.GIFT, ref=f"gift-{number}", actor="test")


def behind_its_back(sql: str, *values: object) -> None:
    """As somebody with all rights on the database would."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)
        cursor.execute("SET LOCAL session_replication_role = origin")


def a_day_goes_by() -> None:
    behind_its_back("UPDATE wallet_entry SET created = created - interval '1 day'")


def findings(*, full: bool = False, chain: str = "") -> list[str]:
    found: list[str] = audit.run(full=full, chain=chain).findings
    return found


@pytest.fixture
def two_days(buyer: User, other_user: User) -> Entry:
    """The first entry of two closed days, and an entry of today."""
    first = gift(buyer, 100)
    gift(other_user, 7)
    a_day_goes_by()
    spend(buyer, 30, ref="spent")
    a_day_goes_by()
    gift(buyer, 5)
    assert findings() == []
    return first


def test_days_that_are_over_are_closed_counted_and_chained(two_days: Entry, buyer: User) -> None:
    first, second = ClosedPeriod.objects.order_by("number")
    assert first.totals == {"gift": {"count": 2, "sum": 107}}
    assert second.totals == {"spend": {"count": 1, "sum": -30}}
    assert (first.previous, second.previous, second.after_entry) == ("", first.chain, first.up_to_entry)
    assert second.day - first.day == DAY
    mark = Checkpoint.objects.get(wallet=services.wallet_of(buyer))
    assert (mark.balance, mark.used) == (70, 30)
    assert AuditRun.objects.get().chain == second.chain
    assert findings() == findings(full=True) == []
    assert ClosedPeriod.objects.count() == 2


def test_a_busy_day_is_several_periods(buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periods, "LARGEST", 2)
    for amount in range(1, 6):
        gift(buyer, amount)
    a_day_goes_by()
    gift(buyer, 6)
    assert findings() == []
    assert list(ClosedPeriod.objects.order_by("number").values_list("entries", flat=True)) == [2, 2, 1]
    assert findings(full=True) == []


def test_a_day_is_closed_an_hour_after_its_end(buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    gift(buyer, 1)
    a_day_goes_by()
    monkeypatch.setattr(periods, "MARGIN", DAY + timedelta(hours=1))
    assert findings() == []
    assert not ClosedPeriod.objects.exists()


CHANGES = {
    "the amount, with all balances after it": (
        "UPDATE wallet_entry SET amount = amount - (id = %s)::int * 10, balance_after = balance_after - 10"
        " WHERE wallet_id = (SELECT wallet_id FROM wallet_entry WHERE id = %s)",
        "had 2 gift over 107, has 2 gift over 97",
    ),
    "who it was": ("UPDATE wallet_entry SET actor = 'somebody' WHERE id IN (%s, %s)", "are not those that were closed"),
    "when it was": (
        "UPDATE wallet_entry SET created = created - interval '1 second' WHERE id IN (%s, %s)",
        "are not those that were closed",
    ),
}


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_the_past_is_found_though_everything_else_fits(two_days: Entry, change: str, full: bool) -> None:
    sql, said = CHANGES[change]
    behind_its_back(sql, two_days.pk, two_days.pk)
    if "amount" in change:
        Wallet.objects.filter(pk=two_days.wallet_id).update(balance=65)
        Checkpoint.objects.filter(pk=two_days.wallet_id).update(balance=60)
    found = findings(full=full)
    assert all(each.startswith("closed periods: period ") for each in found)
    assert said in "\n".join(found)


def test_an_entry_that_is_gone_from_a_closed_period_is_found(two_days: Entry) -> None:
    behind_its_back("DELETE FROM wallet_entry WHERE id = %s", two_days.pk + 1)
    assert "has 1 gift over 100" in "\n".join(findings())


def test_a_checkpoint_that_was_changed_is_found_by_the_full_audit(two_days: Entry) -> None:
    Checkpoint.objects.filter(pk=two_days.wallet_id).update(balance=71)
    assert "closed entries add up to 70, 30 of it spent" in "\n".join(findings(full=True))


@pytest.mark.parametrize("statement", ["UPDATE wallet_closedperiod SET entries = 9", "DELETE FROM wallet_closedperiod"])
def test_the_database_refuses_to_rewrite_a_closed_period(two_days: Entry, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE wallet_closedperiod SET digest = repeat('0', 64) WHERE number = 1", "do not hash to its chain"),
        ("UPDATE wallet_closedperiod SET previous = repeat('0', 64) WHERE number = 2", "does not continue period 1"),
        ("DELETE FROM wallet_closedperiod WHERE number = 1", "period 1 is gone"),
        ("DELETE FROM wallet_closedperiod WHERE number = 2", "was written down, and no closed period has it"),
    ],
)
@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_what_is_done_to_the_chain_is_found(two_days: Entry, statement: str, said: str, full: bool) -> None:
    behind_its_back(statement)
    found = "\n".join(findings(full=full)).replace("the chain: says 2 periods and does not have", "period 1 is gone")
    assert said in found.replace("period 1: is gone", "period 1 is gone")


def test_a_chain_that_was_written_down_elsewhere_is_looked_for(two_days: Entry) -> None:
    chain = AuditRun.objects.get().chain
    assert findings(chain=chain) == []
    call_command("audit", chain=chain)
    assert f"chain {'f' * 64}: was written down" in "\n".join(findings(chain="f" * 64))


def test_a_day_that_does_not_add_up_is_not_closed(buyer: User) -> None:
    entry = gift(buyer, 100)
    assert findings() == []
    a_day_goes_by()
    behind_its_back("UPDATE wallet_entry SET balance_after = 90 WHERE id = %s", entry.pk)
    (found,) = findings()
    assert "says 90, should be 100" in found
    assert not ClosedPeriod.objects.exists()


def test_the_incremental_audit_looks_at_the_wallets_that_were_touched_since(two_days: Entry, buyer: User) -> None:
    assert AuditRun.objects.get().settled_entry == Entry.objects.latest("pk").pk
    spend(buyer, 1, ref="later")
    Wallet.objects.update(used=40)
    (found,) = findings()
    assert found == f"used = sum of spending: wallet {two_days.wallet_id}: used 40, spending adds up to 31"
    Wallet.objects.update(used=31, balance=1_000)
    assert "balance 1000, entries add up to 74" in "\n".join(findings())


@contextmanager
def somebody_writing(ref: str) -> Iterator["psycopg.Connection[Any]"]:
    """An entry of 40 with its balance, in a transaction that is not finished."""
    at = connection.settings_dict
    where = {"host": at["HOST"], "port": at["PORT"] or None, "user": at["USER"], "password": at["PASSWORD"]}
    with psycopg.connect(**where, dbname=at["NAME"]) as session:
        session.execute(
            "WITH moved AS (UPDATE wallet_wallet SET balance = balance + 40 RETURNING id, balance)"
            " INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason, created)"
            " SELECT id, 'gift', 40, balance, %s, 'test', '', now() - interval '1 day' FROM moved",
            [ref],
        )
        yield session


@pytest.mark.django_db(transaction=True)
def test_a_period_is_not_closed_while_somebody_may_still_write_into_it(
    buyer: User, other_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    gift(buyer, 100)
    monkeypatch.setattr(audit, "_PATIENCE", timedelta(milliseconds=50))
    with somebody_writing("late") as session:
        gift(other_user, 1)
        a_day_goes_by()
        assert settling.settled_entry(timedelta()) is None
        assert findings() == []
        assert not ClosedPeriod.objects.exists()
        assert not AuditRun.objects.get().settled_entry
        session.commit()
    assert findings() == []
    assert ClosedPeriod.objects.get().totals == {"gift": {"count": 3, "sum": 141}}
    assert findings(full=True) == []


@pytest.mark.django_db(transaction=True)
def test_the_audit_waits_for_whoever_is_writing(buyer: User) -> None:
    gift(buyer, 100)
    last = Entry.objects.latest("pk").pk
    with somebody_writing("slow") as session, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_settled)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        session.commit()
        assert waiting.result(timeout=5) == last


def _settled() -> int | None:
    try:
        return settling.settled_entry(timedelta(seconds=5))
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_two_audits_at_once_close_a_day_once(buyer: User) -> None:
    gift(buyer, 100)
    a_day_goes_by()

    def run(_number: int) -> list[str]:
        try:
            return findings()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [[]] * 4
    assert ClosedPeriod.objects.get().entries == 1
    assert Checkpoint.objects.get().balance == 100
    assert findings(full=True) == []


@pytest.mark.rare
@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
def test_an_audit_killed_at_any_line_closes_the_day_wholly_or_not_at_all(buyer: User) -> None:
    gift(buyer, 100)
    a_day_goes_by()
    gift(buyer, 1)
    with forge(environment("http://127.0.0.1:1"), []) as the_forge:
        lines = the_forge.command("audit", "--incremental").lines
        assert lines > 100
        for line in range(1, lines, count_of(1, 11)):
            for table in ("closedperiod", "checkpoint", "auditrun"):
                behind_its_back(f"DELETE FROM wallet_{table}")
            assert the_forge.command("audit", "--incremental", kill_at=line).where
            assert ClosedPeriod.objects.count() == Checkpoint.objects.count()
            assert findings() == findings(full=True) == []
            assert ClosedPeriod.objects.count() == Checkpoint.objects.count() == 1
