"""The ledger: what can be moved, what cannot, and that nobody rewrites it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction

from tests.ledger import spend
from voicehelper.accounts.models import User
from voicehelper.wallet import services
from voicehelper.wallet.models import Entry, Wallet

pytestmark = pytest.mark.django_db
Kind = Entry.Kind


def gift(user: User, amount: int, ref: str = "welcome") -> Entry:
    return services.credit(user, amount, kind=Kind.GIFT, ref=ref, actor="test")


@pytest.mark.parametrize("amount", [0, -5, 2**63])
def test_an_impossible_amount_moves_nothing(buyer: User, amount: int) -> None:
    with pytest.raises(ValueError):
        gift(buyer, amount)
    assert not Entry.objects.exists()


@pytest.mark.parametrize(
    "statement", ["UPDATE wallet_entry SET amount = 1", "DELETE FROM wallet_entry", "TRUNCATE wallet_entry CASCADE"]
)
def test_the_database_refuses_to_rewrite_an_entry(buyer: User, statement: str) -> None:
    gift(buyer, 100)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        # What is still to be checked would be a reason of its own.
        cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; {statement}")


@pytest.mark.parametrize("values", [{"held": -1}, {"held": 101}, {"balance": -1}, {"used": -1}])
def test_the_database_refuses_an_impossible_wallet(buyer: User, values: dict[str, int]) -> None:
    gift(buyer, 100)
    with pytest.raises(IntegrityError), transaction.atomic():
        Wallet.objects.update(**values)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_cannot_spend_what_is_not_there(buyer: User, books_agree: Callable[[], None]) -> None:
    gift(buyer, 100)

    def try_it(number: int) -> bool:
        try:
            spend(buyer, 10, ref=f"spend-{number}")
        except services.InsufficientQuota:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(12) as pool:
        admitted = sum(pool.map(try_it, range(40)))
    assert admitted == 10
    wallet = services.wallet_of(buyer)
    assert (wallet.balance, wallet.held, wallet.used) == (0, 0, 100)
    books_agree()


def audit_output() -> tuple[int, str]:
    """The exit code and the output of `manage.py audit`."""
    out = StringIO()
    try:
        call_command("audit", stdout=out)
    except SystemExit as stop:
        return int(str(stop.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_audit_names_an_entry_that_was_changed_behind_its_back(buyer: User) -> None:
    entry = gift(buyer, 100)
    assert audit_output()[0] == 0
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # a superuser can get around the trigger
        cursor.execute("UPDATE wallet_entry SET amount = 90 WHERE id = %s", [entry.pk])
    code, output = audit_output()
    assert code == 1
    assert f"entry {entry.pk} of wallet" in output


@pytest.mark.parametrize("trigger", ["entry_append_only", "entry_no_truncate"])
def test_the_audit_notices_that_a_trigger_is_off(db: None, trigger: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE wallet_entry DISABLE TRIGGER {trigger}")
    code, output = audit_output()
    assert code == 1
    assert f"trigger {trigger}: is missing or switched off" in output


def test_the_audit_insists_on_durable_commits(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
    assert "durable commits: setting synchronous_commit: is off" in audit_output()[1]


def test_the_audit_of_a_production_insists_on_a_database_that_survives_a_power_cut(db: None, settings: Any) -> None:
    """That of `make test` does not, and the audit of a production would say so."""
    settings.MODE = "production"
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes')")
        found = dict(cursor.fetchall())
    output = audit_output()[1]
    assert {name for name in found if f"durable commits: setting {name}: is off" in output} == {
        name for name, value in found.items() if value == "off"
    }


def test_the_audit_names_a_wallet_that_was_changed_behind_its_back(buyer: User) -> None:
    gift(buyer, 100)
    Wallet.objects.update(balance=101)
    code, output = audit_output()
    assert code == 1
    assert f"wallet {services.wallet_of(buyer).pk}: balance 101, entries add up to 100" in output
