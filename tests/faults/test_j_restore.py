"""J10, M9: a backup is worth what its restore proves, also one that is older than the last orders."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings as product
from django.db import connection
from django.test import Client
from psycopg import sql

from sandbox import buyer as sandbox_buyer
from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from tests.processes import database_url
from tests.refunds import open_accounts, sandbox_server, trade_of
from topup.models import Order
from topup.services import place_order
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.embedded.postgres import binaries
from voicehelper.wallet import services
from voicehelper.wallet.models import Entry

TOTALS = """
    SELECT (SELECT json_agg(w ORDER BY id) FROM wallet_wallet w), (SELECT json_agg(e ORDER BY id) FROM wallet_entry e),
           (SELECT json_agg(o ORDER BY id) FROM topup_order o)
"""


@pytest.fixture
def restored(transactional_db: None) -> Iterator[str]:
    """The name of an empty database beside the test's own."""
    name = f"restored_by_the_drill_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with connect(connection.settings_dict["NAME"], autocommit=True) as session:
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield name
        session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def connect(database: str, **options: bool) -> "psycopg.Connection[Any]":
    at = connection.settings_dict
    return psycopg.connect(
        host=at["HOST"], port=at["PORT"] or None, user=at["USER"], password=at["PASSWORD"], dbname=database, **options
    )


def totals(database: str) -> Any:
    with connect(database) as session:
        return session.execute(TOTALS).fetchone()


def back_up_and_restore(backup: Path, database: str) -> None:
    """As docs/operations.md says it."""
    at = connection.settings_dict
    where = ["--host", at["HOST"], "--port", at["PORT"] or "5432", "--username", at["USER"]]
    run(binaries() / "pg_dump", *where, "--format=custom", "--file", backup, at["NAME"])
    run(binaries() / "pg_restore", *where, "--exit-on-error", "--dbname", database, backup)


def audit(database: str) -> str:
    return manage(database, "audit")


def manage(database: str, *command: str, **changes: str) -> str:
    parts = urlsplit(database_url())
    url = parts._replace(path=f"{parts.path.rpartition('/')[0]}/{database}").geturl()
    return run(sys.executable, "manage.py", *command, DATABASE_URL=url, **changes)


@pytest.mark.rare
def test_J10_a_restored_backup_has_the_same_totals_and_passes_the_audit_and_one_that_lost_entries_does_not(
    restored: str, buyer: User, other_user: User, wechat: WeChatMerchant, tmp_path: Path
) -> None:
    for user in (buyer, other_user):
        services.credit(user, 1_000_000, kind=Entry.Kind.GIFT, ref=f"welcome {user.pk}", actor="test")
        pay(pending_order(user, wechat), wechat)
    assert Order.objects.filter(state=Order.State.PAID).count() == 2
    back_up_and_restore(tmp_path / "backup", restored)
    assert totals(restored) == totals(connection.settings_dict["NAME"])
    assert "The books agree." in audit(restored)
    with connect(restored) as session:
        session.execute("SET session_replication_role = replica; TRUNCATE wallet_entry CASCADE")
    with pytest.raises(subprocess.CalledProcessError):
        audit(restored)


# What an operator does on the wallet's page, with the platform's number as the proof.
BY_HAND = """
from voicehelper.accounts.models import User
from voicehelper.wallet.adjusting import request_adjustment
from voicehelper.wallet.services import wallet_of
wallet, actor = wallet_of(User.objects.get(pk={user})), User.objects.get(pk={staff})
request_adjustment(wallet, {quota}, number=1, actor=actor, reason="{proof}")
"""


@pytest.mark.rare
def test_M9_payments_since_an_older_backup_are_found_listed_and_credited_with_proof(
    restored: str, buyer: User, staff: User, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address:
        open_accounts(address, settings)
        before = place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
        back_up_and_restore(tmp_path / "backup", restored)
        since = place_order(buyer, "wechat", 20, client_ip="127.0.0.1")
        trades = [sandbox_buyer.pay(trade_of(order)) for order in (before, since)]
        day = ("reconcile", "--gateway", "wechat", "--date", str(clock.today()))
        with pytest.raises(subprocess.CalledProcessError, match="exit status 1") as differs:
            manage(restored, *day, WECHAT_PAY_BASE_URL=f"{address}/sandbox/wechat")
    assert since.order_no in differs.value.stdout
    proof = trades[1].transaction_id
    with connect(restored) as session:
        listed = session.execute("SELECT kind, transaction_id FROM topup_difference WHERE state = 'open'").fetchall()
    assert listed == [("unknown_here", proof)]
    for _time in range(2):
        by_hand = BY_HAND.format(user=buyer.pk, staff=staff.pk, quota=since.quota, proof=proof)
        manage(restored, "shell", "-c", by_hand)
    with connect(restored) as session:
        (balance,) = session.execute("SELECT balance FROM wallet_wallet").fetchone() or (0,)
    assert balance == before.quota + since.quota
    assert "The books agree." in audit(restored)


def pay(order: Order, merchant: WeChatMerchant) -> None:
    body = merchant.notice(order)
    assert b"SUCCESS" in Client().post("/api/wechat/notify", body, content_type="text/xml").content


def run(*command: str | Path, **changes: str) -> str:
    environment = {**os.environ, "PGPASSWORD": connection.settings_dict["PASSWORD"], **changes}
    given = {"env": environment, "cwd": product.BASE_DIR}
    return subprocess.run([*map(str, command)], **given, capture_output=True, text=True, check=True).stdout
