"""D: `kill -9` between any two lines on the way of a payment. Redelivery, a retry or the sweep makes it whole."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now

from sandbox.models import Delivery, Trade
from sandbox.models import Refund as ProviderRefund
from tests import own_postgres
from tests.conftest import full, rarely, sampled
from tests.crashpoints import ROOT, End
from tests.merchants import WECHAT
from tests.orders import pending_order
from tests.processes import NO_ANSWER, Reply, Server, open_sandbox_accounts
from topup import services
from topup.models import Order, Refund
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token
from voicehelper.wallet.models import Entry

from .workers import Workers, credited_once, lines, pay_by_phone, sweep_now

pytestmark = pytest.mark.django_db(transaction=True)


# --- The notice ------------------------------------------------------------------------------------------------------
NOTICE_POINTS = {
    "after_it_was_received": "topup/services/receiving.py:receive_notice",
    "D3_after_it_was_verified_and_stored": "topup/services/receiving.py:_settle",
    "D3_before_the_transaction": "topup/services/settling.py:_credit_order",
    "D4_before_the_statement_that_credits": "voicehelper/wallet/statements.py:run",
    "D5_after_the_commit": "topup/services/receiving.py:_finish",
    "D5_before_the_answer_is_sent": "voicehelper/asgi.py:_headers",
}


@pytest.mark.parametrize("point", sampled(NOTICE_POINTS, keep=3))
def test_D3_D5_a_server_killed_in_a_notice_has_credited_all_or_nothing_and_redelivery_credits_once(
    workers: Workers, buyer: User, wechat: Any, books_agree: Callable[[], None], point: str
) -> None:
    order = pending_order(buyer, WECHAT)
    notice = WECHAT.notice(order)
    reply, end = workers.post_to_mortal(NOTICE_POINTS[point], "/api/wechat/notify", notice)
    assert end.where, "the server was not killed"
    assert reply == NO_ANSWER
    books_agree()
    assert credited_once(order) == point.startswith("D5")

    for _ in range(2):
        assert b"SUCCESS" in workers.post(workers.immortal, "/api/wechat/notify", notice).body
    assert credited_once(order)
    books_agree()


@pytest.mark.rare
def test_D3_D5_a_server_may_be_killed_before_any_line_of_a_notice(
    workers: Workers, buyer: User, wechat: Any, books_agree: Callable[[], None]
) -> None:
    order = pending_order(buyer, WECHAT)
    reply, end = workers.post_to_mortal(0, "/api/wechat/notify", WECHAT.notice(order))
    assert b"SUCCESS" in reply.body
    assert end.lines > 100
    died = set()
    for line in lines(end.lines, 15):
        order = pending_order(buyer, WECHAT)
        notice = WECHAT.notice(order)
        reply, end = workers.post_to_mortal(line, "/api/wechat/notify", notice)
        assert b"SUCCESS" not in reply.body or credited_once(order)
        died.add(end.where)
        again = workers.post(workers.immortal, "/api/wechat/notify", notice)
        assert b"SUCCESS" in again.body, (end, again)
        assert credited_once(order), end
    assert len(died - {""}) > 6
    books_agree()
    print(f"\nKilled before {len(died - {''})} different lines of a notice.")


# --- Placing an order ------------------------------------------------------------------------------------------------
PAY_POINTS = {
    "D1_after_the_order_before_the_provider": "topup/gateways/exchanges.py:sent",
    "D2_after_the_provider_before_its_answer_is_stored": "topup/models/orders.py:move",
}


def pay(workers: Workers, user: User, kill_at: int | str, key: str) -> tuple[Reply, End]:
    ask = b'{"amount": 10, "payment_method": "wechat"}'
    headers = {"Authorization": f"Bearer {issue_token(user)}", "Idempotency-Key": key}
    return workers.post_to_mortal(kill_at, "/api/user/wechat/pay", ask, **headers)


def pay_again(workers: Workers, user: User, key: str) -> Reply:
    ask = b'{"amount": 10, "payment_method": "wechat"}'
    headers = {"Authorization": f"Bearer {issue_token(user)}", "Idempotency-Key": key}
    return workers.post(workers.immortal, "/api/user/wechat/pay", ask, **headers)


@pytest.mark.parametrize("point", sampled(PAY_POINTS, keep=1))
def test_D1_D2_a_server_killed_while_it_places_an_order_leaves_one_that_is_asked_about_and_paid_once(
    workers: Workers, buyer: User, books_agree: Callable[[], None], point: str
) -> None:
    open_sandbox_accounts()
    _, end = pay(workers, buyer, PAY_POINTS[point], key="the first click")
    assert end.where
    order = Order.objects.get()
    assert order.state == Order.State.CREATED
    assert Trade.objects.count() == (1 if point.startswith("D2") else 0)

    # The sweep finds it unknown, or waiting; either way it stays open.
    sweep_now()
    order.refresh_from_db()
    assert (order.state, order.asked) == (Order.State.CREATED, 1)
    # The user clicks again and gets the same order, once.
    reply = pay_again(workers, buyer, "the first click")
    assert reply.json["data"]["order_id"] == order.order_no
    # The notice is lost; the sweep credits.
    pay_by_phone(workers, reply.json["data"]["pay_url"], fault="drop")
    sweep_now()
    assert credited_once(order)
    assert Order.objects.count() == Trade.objects.count() == 1
    books_agree()


def test_D2_a_code_that_we_never_stored_can_be_paid_and_is_credited_by_its_notice(
    workers: Workers, buyer: User, books_agree: Callable[[], None]
) -> None:
    open_sandbox_accounts()
    pay(workers, buyer, PAY_POINTS["D2_after_the_provider_before_its_answer_is_stored"], key="one")
    order = Order.objects.get()
    pay_by_phone(workers, Trade.objects.get().code, fault="drop")
    notice = Delivery.objects.get().body.encode()
    assert b"SUCCESS" in workers.post(workers.immortal, "/api/wechat/notify", notice).body
    assert credited_once(order)
    books_agree()


def test_D1_an_order_the_provider_never_heard_of_is_closed_when_its_time_is_over(
    workers: Workers, buyer: User, books_agree: Callable[[], None]
) -> None:
    open_sandbox_accounts()
    pay(workers, buyer, PAY_POINTS["D1_after_the_order_before_the_provider"], key="one")
    Order.objects.update(expires_at=Now())
    sweep_now()
    order = Order.objects.get()
    assert order.state == Order.State.CLOSED
    assert order.next_ask_at is not None, "somebody may yet pay: it is watched"
    books_agree()


@pytest.mark.rare
def test_D1_D2_a_server_may_be_killed_before_any_line_of_placing_an_order(
    workers: Workers, buyer: User, books_agree: Callable[[], None]
) -> None:
    open_sandbox_accounts()
    reply, end = pay(workers, buyer, 0, key="whole")
    assert reply.status == 200
    died = set()
    for line in lines(end.lines, 6):
        key = f"killed before line {line}"
        _, end = pay(workers, buyer, line, key)
        died.add(end.where)
        again = pay_again(workers, buyer, key)
        assert again.status == 200, (end, again)
        order = Order.objects.get(idempotency_key=key)
        assert again.json["data"]["order_id"] == order.order_no
        pay_by_phone(workers, order.pay_url, fault="drop")
        sweep_now(pk=order.pk)
        assert credited_once(order), end
    assert len(died - {""}) > 3
    books_agree()
    print(f"\nKilled before {len(died - {''})} different lines of placing an order.")


# --- A refund --------------------------------------------------------------------------------------------------------
REFUND_POINTS = {
    "D9_before_anything_is_reserved": "topup/services/refunding.py:_set_aside",
    "D9_after_it_was_reserved_before_it_is_sent": "topup/services/refunding.py:submit_refund",
    "D9_before_the_provider_is_called": "topup/services/refunding.py:_send",
    "after_the_provider_before_its_answer_is_stored": "topup/services/refund_settling.py:settle_refund",
    "inside_the_transaction_that_ends_it": "topup/services/refund_settling.py:_open_again",
}


def paid_at_sandbox(workers: Workers, user: User, gateway: str) -> Order:
    order = services.place_order(user, gateway, 10, client_ip="127.0.0.1")
    pay_by_phone(workers, order.pay_url, fault="drop")
    services.ask_provider(order, source="admin")
    return Order.objects.select_related("user").get(pk=order.pk)


def press_refund(workers: Workers, operator: dict[str, str], order: Order, kill_at: int | str | None) -> End:
    """The button that confirms it, at a server that dies on the way (None: at one that lives)."""
    path = f"/admin/topup/order/{order.pk}/refund/"
    body = f"amount=73.00&number=1&reason=killed&seen=7300/{order.quota}/sent".encode()
    if kill_at is None:
        # A busy database may be too slow for one request, and is for the next.
        assert any(workers.post(workers.immortal, path, body, **operator).status == 302 for _ in range(3))
        return End("", 0)
    return workers.post_to_mortal(kill_at, path, body, **operator)[1]


def sweep_refunds() -> None:
    Refund.objects.filter(next_ask_at__isnull=False).update(next_ask_at=Now())
    services.settle_unknown_refunds()


def refunded_once(order: Order) -> bool:
    order.refresh_from_db()
    back = list(ProviderRefund.objects.filter(trade__out_trade_no=order.order_no).values_list("amount_fen", "state"))
    taken = list(Entry.objects.filter(kind="refund", ref=f"R{order.order_no}01").values_list("amount", flat=True))
    return (order.state, back, taken) == ("refunded", [(order.amount_fen, "succeeded")], [-order.quota])


@pytest.mark.parametrize("gateway", ["wechat", *rarely("alipay")])
@pytest.mark.parametrize("point", sampled(REFUND_POINTS, keep=2))
def test_D9_a_server_killed_in_a_refund_leaves_one_that_the_sweep_ends(
    workers: Workers,
    buyer: User,
    operator: dict[str, str],
    books_agree: Callable[[], None],
    point: str,
    gateway: str,
) -> None:
    open_sandbox_accounts()
    order = paid_at_sandbox(workers, buyer, gateway)
    end = press_refund(workers, operator, order, REFUND_POINTS[point])
    assert end.where or (gateway == "wechat" and point.startswith("inside"))
    books_agree()
    if "before_anything" in point:
        assert not Refund.objects.exists()
        press_refund(workers, operator, order, None)
    for _ in range(2):
        sweep_refunds()
    assert refunded_once(order), end
    books_agree()


@pytest.mark.rare
def test_D9_a_server_may_be_killed_before_any_line_of_a_refund(
    workers: Workers, buyer: User, operator: dict[str, str], books_agree: Callable[[], None]
) -> None:
    open_sandbox_accounts()
    end = press_refund(workers, operator, paid_at_sandbox(workers, buyer, "alipay"), 0)
    assert end.lines > 100
    died = set()
    for line in lines(end.lines, 7):
        order = paid_at_sandbox(workers, buyer, "alipay")
        end = press_refund(workers, operator, order, line)
        died.add(end.where)
        books_agree()
        # The operator, who saw an error, presses once more.
        press_refund(workers, operator, order, None)
        for _ in range(2):
            sweep_refunds()
        assert refunded_once(order), end
    assert len(died - {""}) > 3
    books_agree()
    print(f"\nKilled before {len(died - {''})} different lines of a refund.")


# --- The database ----------------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_D12_postgresql_killed_under_load_keeps_every_payment_that_was_acknowledged(
    buyer: User, wechat: Any, tmp_path: Path
) -> None:
    notices = {
        order.order_no: WECHAT.notice(order) for order in [pending_order(buyer, WECHAT) for _ in range(full(2000, 150))]
    }
    acknowledged: set[str] = set()

    def deliver(order_no: str) -> None:
        if b"SUCCESS" in server.post("/api/wechat/notify", notices[order_no], timeout_s=10).body:
            acknowledged.add(order_no)

    with own_postgres.primary(tmp_path) as postgres, Server(DATABASE_URL=postgres.url) as server:
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(deliver, order_no) for order_no in notices]
            while len(acknowledged) < 30:
                time.sleep(0.01)
            own_postgres.kill(postgres)
            # What was under way, and a few more, meet a database that is gone.
            time.sleep(0.3)
            before = frozenset(acknowledged)
            postgres.start()
            for each in sent:
                each.result()
        assert 30 <= len(before) < len(notices)
        paid = {row[0] for row in own_postgres.ask(postgres, "SELECT order_no FROM topup_order WHERE state = 'paid'")}
        entries = own_postgres.ask(postgres, "SELECT ref FROM wallet_entry")
        assert acknowledged <= paid
        assert len(entries) == len(set(entries))
        for order_no in notices.keys() - acknowledged:
            deliver(order_no)
        assert acknowledged == notices.keys()
        audit = [sys.executable, "manage.py", "audit"]
        done = subprocess.run(audit, cwd=ROOT, env=server.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
