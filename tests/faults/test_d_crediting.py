"""D: `kill -9` while the database carries out the statement that credits."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from tests.merchants import WECHAT
from tests.orders import pending_order
from tests.processes import NO_ANSWER
from topup.models import Notice
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry, Wallet
from voicehelper.wallet.services import wallet_of

from .workers import Workers, credited_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_D4_a_server_killed_while_the_database_credits_has_credited_all_or_nothing(
    workers: Workers, buyer: User, wechat: Any, books_agree: Callable[[], None]
) -> None:
    order, wallet = pending_order(buyer, WECHAT), wallet_of(buyer)
    notice = WECHAT.notice(order)
    pid = workers.forge.serve(workers.mortal)
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            Wallet.objects.select_for_update().get(pk=wallet.pk)
            reply = thread.submit(workers.post, workers.mortal, "/api/wechat/notify", notice)
            wait_until(lambda: Notice.objects.filter(order=order).exists() and len(crediting("Lock")) == 1)
            workers.forge.end(pid)
        assert reply.result() == NO_ANSWER
    # PostgreSQL carries on with what it was told, whoever waits for it.
    wait_until(lambda: not crediting())
    stored = Notice.objects.get(order=order)
    assert credited_once(order) == (stored.verdict == "credited")
    assert Entry.objects.filter(ref=order.order_no).count() == (stored.verdict == "credited")
    books_agree()

    assert b"SUCCESS" in workers.post(workers.immortal, "/api/wechat/notify", notice).body
    assert credited_once(order)
    books_agree()


def crediting(waits_for: str = "") -> list[Any]:
    """The sessions of others that credit an order just now, and what they wait for."""
    with connection.cursor() as cursor:
        # Within a transaction the first look would be the last.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT wait_event_type FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
            " AND query LIKE '%%UPDATE topup_order%%' AND pid <> pg_backend_pid()"
            " AND (%s = '' OR wait_event_type = %s)",
            [waits_for, waits_for],
        )
        return list(cursor.fetchall())


def wait_until(true: Callable[[], bool]) -> None:
    """At most twenty seconds."""
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("It did not come about.")
