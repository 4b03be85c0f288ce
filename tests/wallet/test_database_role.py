"""Who runs the product uses its tables and owns none: not even a program that took it over can rewrite the books."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client

from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from voicehelper.accounts.models import User
from voicehelper.wallet import services
from voicehelper.wallet.models import Entry

ROLE = "running-role"


@pytest.fixture
def running(db: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session of the role; whoever runs the tests is the owner, and the role is gone with the test."""
    monkeypatch.setenv("DATABASE_ROLE_PASSWORD", "p/a@s%s#w'o\"rd")
    call_command("grant_database_role", ROLE)
    call_command("grant_database_role", ROLE)

    with connection.cursor() as cursor:
        cursor.execute(f'SET LOCAL ROLE "{ROLE}"')
        yield cursor
        cursor.execute("RESET ROLE")


def test_the_running_role_does_what_the_product_does(
    buyer: User, wechat: WeChatMerchant, running: Any, books_agree: Any
) -> None:
    services.credit(buyer, 100, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    body = wechat.notice(pending_order(buyer, wechat))
    assert b"SUCCESS" in Client().post("/api/wechat/notify", body, content_type="text/xml").content
    running.execute("CREATE TEMPORARY TABLE a_bill (line text)")
    books_agree()


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE wallet_entry CASCADE",
        "DELETE FROM wallet_entry",
        "UPDATE wallet_entry SET amount = 1",
        "ALTER TABLE wallet_entry DISABLE TRIGGER entry_append_only",
        "DROP TRIGGER entry_no_truncate ON wallet_entry",
        "SET LOCAL session_replication_role = replica",
        "TRUNCATE topup_order CASCADE",
        "DROP TABLE llm_usage",
        "ALTER TABLE wallet_wallet DROP CONSTRAINT wallet_held_within_balance",
        "CREATE TABLE mine (line text)",
        "DELETE FROM django_migrations",
    ],
)
def test_the_running_role_cannot_get_around_the_books(running: Any, statement: str) -> None:
    with pytest.raises(DatabaseError, match=r"permission denied|must be owner"), transaction.atomic():
        running.execute(statement)


def test_a_table_made_later_is_the_running_role_s_to_use(running: Any) -> None:
    running.execute("RESET ROLE")
    running.execute("CREATE TABLE made_later (id bigserial, line text)")
    running.execute(f'SET LOCAL ROLE "{ROLE}"')
    running.execute("INSERT INTO made_later (line) VALUES ('x')")


@pytest.mark.parametrize(("role", "password", "said"), [("nobody", "", "DATABASE_ROLE_PASSWORD"), ("", "x", "owns")])
def test_what_cannot_be_granted_is_said(
    db: None, monkeypatch: pytest.MonkeyPatch, role: str, password: str, said: str
) -> None:
    monkeypatch.setenv("DATABASE_ROLE_PASSWORD", password)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        owner = cursor.fetchone()[0]
    with pytest.raises(CommandError, match=said):
        call_command("grant_database_role", role or owner)
