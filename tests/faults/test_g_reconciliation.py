"""Reconciliation: the bill of a day beside our books, both ways. G5 and F3 as far as bills find them; D beside them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from itertools import cycle, islice
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.utils import ConnectionHandler
from django.test import Client

from notifications.models import Alert
from sandbox.faults import write_script
from sandbox.models import Merchant
from tests.bills import (
    INJECTIONS,
    NOON,
    YESTERDAY,
    Books,
    at,
    missing_there,
    not_credited,
    refund_unfinished,
    refund_unknown_here,
    refunded,
)
from tests.conftest import full, rarely, sampled
from tests.faults.conftest import at_once
from tests.refunds import open_accounts, sandbox_server
from topup import tasks
from topup.models import Difference, Order, Reconciliation, Refund
from topup.services.options import write_options
from topup.services.reconciliation import NoBill, running
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.admin.base import change_url
from voicehelper.net.http import HTTP
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)
# Where both providers' bills would go the same way.
one_gateway = pytest.mark.parametrize("gateway", ["wechat"], indirect=True)

State = Difference.State


@pytest.fixture(params=["wechat", *rarely("alipay")])
def gateway(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def books(settings: Any, gateway: str, buyer: User, staff: User, monkeypatch: pytest.MonkeyPatch) -> Iterator[Books]:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    # Yesterday's bill is there at any hour at which somebody runs this.
    monkeypatch.setattr("topup.gateways.bills.READY_AFTER", timedelta(days=1))
    with sandbox_server() as address:
        open_accounts(address, settings)
        yield Books(gateway, buyer, staff)


def run(gateway: str, day: object = YESTERDAY) -> tuple[int, str]:
    """manage.py reconcile: its exit code and what it said."""
    out = StringIO()
    try:
        call_command("reconcile", "--gateway", gateway, "--date", str(day), stdout=out, stderr=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def found() -> dict[str, list[str]]:
    """Kind → order numbers, without notes that explain themselves."""
    kinds: dict[str, list[str]] = {}
    for difference in Difference.objects.exclude(state=State.EXPLAINED).order_by("order_no"):
        kinds.setdefault(difference.kind, []).append(difference.order_no)
    return kinds


def everything() -> object:
    """What a comparison may change."""
    tables = (Order, Refund, Entry, Difference, Alert)
    return [list(model.objects.order_by("pk").values()) for model in tables]


def script(gateway: str, fault: str, operation: str, times: int = 1) -> None:
    write_script({"gateway": gateway, "fault": fault, "operation": operation, "times": times})


def difference_of_totals(day: Reconciliation) -> int:
    payments = day.theirs_payments_fen - day.ours_payments_fen
    return payments - (day.theirs_refunds_fen - day.ours_refunds_fen)


def test_a_bill_with_differences_of_all_kinds(books: Books, books_agree: Callable[[], None]) -> None:
    """1,000 in `make soak`: all found, the safe ones put right, the rest listed; again, and nothing changes."""
    for _ in range(3):
        books.paid()
        refunded(books)
    expected: dict[str, list[str]] = {}
    for inject in islice(cycle(INJECTIONS), full(1000, 14)):
        expected.setdefault(INJECTIONS[inject], []).append(inject(books))
    code, said = run(books.gateway)
    assert found() == {kind: sorted(numbers) for kind, numbers in expected.items()}
    assert code == 1
    for number in [number for numbers in expected.values() for number in numbers]:
        assert number in said
    states = set(Difference.objects.values_list("kind", "state"))
    # What was paid twice stays until somebody has given it back.
    repaired = set(Difference.REPAIRABLE) - {Difference.Kind.PAID_TWICE}
    assert states == {(kind, "repaired" if kind in repaired else "open") for kind in expected}
    day = Reconciliation.objects.get()
    one = {(d.kind, d.theirs_fen, d.ours_fen) for d in Difference.objects.all()}
    assert ("missing_there", None, 7300) in one
    assert ("paid_twice", 7300, None) in one
    listed = Difference.objects.filter(state="open")
    signs = {"refund": -1}
    total = sum(signs.get(d.kind.partition("_")[0], 1) * ((d.theirs_fen or 0) - (d.ours_fen or 0)) for d in listed)
    assert total == difference_of_totals(day)
    assert Alert.objects.get(event="reconciliation_difference").count == 1
    books_agree()
    before = everything()
    assert run(books.gateway)[0] == 1
    after = everything()
    for was, is_ in zip(before, after, strict=True):
        assert [{**row, "seen": 0} for row in was] == [{**row, "seen": 0} for row in is_]
    books_agree()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pg_temp.bill_row')")
        assert cursor.fetchone() == (None,)


# --- Which day it belongs to -----------------------------------------------------------------------------------------
@one_gateway
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles"])
def test_F3_the_last_and_the_first_second_of_a_beijing_day_are_in_its_bill(
    books: Books, settings: Any, zone: str
) -> None:
    settings.TIME_ZONE = zone
    for second in ("00:00:00", "23:59:59"):
        books.paid(at(second))
    for second, days in (("23:59:59", -1), ("00:00:00", 1)):
        books.paid(at(second, YESTERDAY + timedelta(days=days)))
    assert run(books.gateway)[0] == 0
    day = Reconciliation.objects.get()
    assert (day.theirs_payments, day.ours_payments) == (2, 2)
    assert not Difference.objects.exists()


def test_F3_a_payment_at_midnight_may_stand_in_the_next_days_bill(books: Books) -> None:
    """By our reading of the provider's clock it was 23:59:59; its bill says 00:00:01."""
    before = YESTERDAY - timedelta(days=1)
    order = books.order()
    trade = books.trade(order.order_no, order.amount_fen, paid_at=at("00:00:01"))
    books.credit(order, trade.transaction_id, at("23:59:59", before))
    lost = books.credit(books.order(), paid_at=at("23:59:58", before))
    books.paid(at("12:00:00", before))
    code, said = run(books.gateway, before)
    assert (code, order.order_no in said) == (0, True)
    assert set(Difference.objects.values_list("state", flat=True)) == {"waiting"}
    # The next day's bill explains one of them, and the other is missing indeed.
    code, said = run(books.gateway)
    assert code == 0
    states = dict(Difference.objects.filter(kind="missing_there").values_list("order_no", "state"))
    assert states == {order.order_no: "explained", lost.order_no: "open"}
    first = Reconciliation.objects.get(day=before)
    assert (first.state, first.theirs_payments, first.ours_payments) == ("differs", 1, 2)
    assert lost.order_no in Alert.objects.get(event="reconciliation_difference").content
    code, said = run(books.gateway, before)
    assert (code, lost.order_no in said) == (1, True)
    first.refresh_from_db()
    assert (first.theirs_payments, first.ours_payments) == (1, 2)


@pytest.mark.rare
@one_gateway
def test_F3_a_bill_read_late_takes_back_what_another_day_missed(books: Books) -> None:
    before = YESTERDAY - timedelta(days=1)
    order = books.order()
    trade = books.trade(order.order_no, order.amount_fen, paid_at=at("23:59:59", before))
    books.credit(order, trade.transaction_id, at("00:00:00"))
    assert run(books.gateway)[0] == 1
    assert Reconciliation.objects.get(day=YESTERDAY).ours_payments == 1
    assert run(books.gateway, before)[0] == 0
    day = Reconciliation.objects.get(day=YESTERDAY)
    assert (day.state, day.ours_payments, day.ours_payments_fen) == ("agreed", 0, 0)
    assert run(books.gateway)[0] == 0


# --- What the bill finds ---------------------------------------------------------------------------------------------
def test_G5_a_refund_made_in_the_console_is_found_by_the_bill_and_mirrored(
    books: Books, buyer: User, books_agree: Callable[[], None]
) -> None:
    order, trade = books.paid()
    books.give_back(trade, "CONSOLE1", order.amount_fen)
    assert run(books.gateway)[0] == 0
    made = Refund.objects.get()
    order.refresh_from_db()
    assert (made.source, made.state, made.refund_no, order.state) == ("console", "succeeded", "CONSOLE1", "refunded")
    assert wallet_of(buyer).balance == 0
    assert Difference.objects.get().state == State.REPAIRED
    books_agree()


@pytest.mark.rare
@one_gateway
def test_paid_and_given_back_there_and_never_credited_here_stays_for_people(
    books: Books, buyer: User, books_agree: Callable[[], None]
) -> None:
    order = books.order()
    trade = books.trade(order.order_no, order.amount_fen)
    books.give_back(trade, "CONSOLE1", order.amount_fen)
    assert run(books.gateway)[0] == 1
    order.refresh_from_db()
    assert (order.state, wallet_of(buyer).balance) == ("closed", 0)
    assert "efunded at the provider" in order.review
    assert sorted(found()) == ["not_credited", "refund_unknown_here"]
    assert all(Difference.objects.filter(state=State.OPEN).values_list("note", flat=True))
    books_agree()


@one_gateway
def test_a_bill_credits_nothing_that_the_provider_does_not_confirm(books: Books, buyer: User) -> None:
    """Nobody signs a bill: what counts is the signed answer to a query, and until there is one the difference stays."""
    order = books.order()
    trade = books.trade(order.order_no, order.amount_fen)
    for fault in ("lie_not_pay", "wrong_signature"):
        script(books.gateway, fault, "query")
        assert run(books.gateway)[0] == 1
        order.refresh_from_db()
        assert (order.state, wallet_of(buyer).balance) == ("pending", 0)
        assert Difference.objects.get().note
    assert run(books.gateway)[0] == 0
    order.refresh_from_db()
    assert (order.credited_by, order.transaction_id) == ("bill", trade.transaction_id)


@pytest.mark.rare
@one_gateway
def test_an_operator_asks_once_more_and_the_day_agrees(books: Books, staff: User) -> None:
    number = not_credited(books)
    script(books.gateway, "lie_not_pay", "query")
    assert run(books.gateway)[0] == 1
    browser = Client(headers={"Accept-Language": "en"})
    browser.force_login(staff)
    difference = Difference.objects.get()
    page = browser.post(change_url(difference).replace("/change/", "/do/ask/"), follow=True).text
    assert "put right" in page
    difference.refresh_from_db()
    assert (difference.state, difference.actor) == ("repaired", "operator")
    assert Order.objects.get(order_no=number).state == "paid"
    day = Reconciliation.objects.get()
    assert (day.state, day.ours_payments, day.ours_payments_fen) == ("agreed", 1, 7300)
    assert not Alert.objects.filter(event="reconciliation_difference", resolved_at=None).exists()


@pytest.mark.rare
@one_gateway
def test_a_provider_that_does_not_answer_is_not_asked_about_every_difference(books: Books) -> None:
    for _ in range(8):
        order = books.order()
        books.trade(order.order_no, order.amount_fen)
    script(books.gateway, "html", "query", times=5)
    assert run(books.gateway)[0] == 1
    assert Difference.objects.filter(state=State.OPEN).count() == 8
    assert run(books.gateway)[0] == 0


@pytest.mark.rare
def test_rows_of_others_and_one_that_nobody_can_read_leave_the_day_as_it_is(books: Books) -> None:
    books.paid()
    script(books.gateway, "odd_bill_rows", "bill")
    assert run(books.gateway)[0] == 1
    day = Reconciliation.objects.get()
    assert found().keys() == {"not_understood"}
    assert {name: sums["payments_fen"] for name, sums in day.apart.items()} == (
        {"app": 100, "merchant": 100} if books.gateway == "wechat" else {"shop": 100}
    )
    assert (day.theirs_payments, day.ours_payments) == (1, 1)


# --- No usable bill --------------------------------------------------------------------------------------------------
@one_gateway
@pytest.mark.parametrize(
    ("fault", "word"),
    sampled(
        [
            ("bill_not_ready", "10:00"),
            ("truncated_bill", "download it again"),
            ("wrong_bill_sums", "download it again"),
        ],
        keep=1,
    ),
)
def test_an_unusable_bill_is_exit_2_with_the_reason_and_changes_nothing(books: Books, fault: str, word: str) -> None:
    order, _trade = books.paid()
    not_credited(books)
    script(books.gateway, fault, "bill")
    code, said = run(books.gateway)
    assert (code, word in said) == (2, True), said
    day = Reconciliation.objects.get()
    assert (day.state, word in day.problem, day.compared) == ("no_bill", True, None)
    assert not Difference.objects.exists()
    assert Order.objects.exclude(pk=order.pk).get().state == "pending"
    # Later it is there, and this time it is used.
    assert run(books.gateway)[0] == 0
    # And when the next download fails, what was found stays.
    script(books.gateway, "truncated_bill", "bill")
    assert run(books.gateway)[0] == 2
    day.refresh_from_db()
    assert (day.state, day.theirs_payments, bool(day.problem)) == ("agreed", 2, True)


@pytest.mark.rare
@one_gateway
def test_an_empty_day_agrees_when_we_have_nothing_either(books: Books) -> None:
    assert run(books.gateway)[0] == 0
    order = missing_there(books)
    code, said = run(books.gateway)
    assert (code, order in said) == (1, True)


@pytest.mark.rare
@one_gateway
def test_today_is_asked_for_too_and_so_is_a_day_that_has_not_come(books: Books) -> None:
    today = YESTERDAY + timedelta(days=1)
    assert run(books.gateway, today)[0] == 2
    order = books.order()
    books.trade(order.order_no, order.amount_fen, paid_at=clock.now())
    assert run(books.gateway, today)[0] == 0
    order.refresh_from_db()
    assert order.credited_by == "bill"
    code, said = run(books.gateway, today + timedelta(days=1))
    assert (code, "has not begun" in said) == (2, True)


def test_a_gateway_that_is_not_configured_or_a_day_that_is_none_is_explained(buyer: User, db: None) -> None:
    code, said = run("wechat")
    assert (code, "not completely configured" in said) == (2, True)
    with pytest.raises(CommandError, match="is no day") as error:
        run("wechat", "yesterday")
    assert error.value.returncode == 2


# --- Two at once, and transactions -----------------------------------------------------------------------------------
@one_gateway
def test_two_at_once_do_no_work_twice(books: Books, books_agree: Callable[[], None]) -> None:
    for _ in range(3):
        not_credited(books)
    with hold_lock(books.gateway) as locked:
        code, said = run(books.gateway)
        assert (code, "at this moment" in said) == (2, True)
        assert not locked.differences.exists()
    codes = [code for code, _said in at_once(*[lambda: run(books.gateway)] * 3)]
    assert 0 in codes
    assert set(codes) <= {0, 2}
    assert Difference.objects.filter(state=State.REPAIRED).count() == 3
    assert Entry.objects.filter(kind="topup").count() == 3
    books_agree()


@contextmanager
def hold_lock(gateway: str) -> Iterator[Reconciliation]:
    """Somebody else, with a database session of his own, is at the same day."""
    merchant = Merchant.objects.get(gateway=gateway)
    facts = {"gateway": gateway, "merchant_id": merchant.merchant_id, "live": False, "day": YESTERDAY}
    row = Reconciliation.objects.create(**facts, actor="test")
    with ConnectionHandler(connections.settings)["default"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [running._LOCK_CLASS, row.pk])
        yield row
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [running._LOCK_CLASS, row.pk])
        cursor.db.close()


@one_gateway
def test_no_provider_is_called_inside_a_transaction(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    send = HTTP.send

    def look(http: HTTP, *arguments: Any, **more: Any) -> Any:
        asked.append(connection.in_atomic_block)
        return send(http, *arguments, **more)

    monkeypatch.setattr(HTTP, "send", look)
    for inject in (not_credited, refund_unknown_here, refund_unfinished):
        inject(books)
    assert run(books.gateway)[0] == 0
    assert len(asked) >= 4
    assert not any(asked)


# --- The schedule ----------------------------------------------------------------------------------------------------
@one_gateway
def test_the_schedule_makes_up_for_days_that_nobody_compared_and_does_none_twice(books: Books) -> None:
    order = books.order()
    Order.objects.filter(pk=order.pk).update(created=NOON - timedelta(days=2))
    books.credit(order, paid_at=NOON - timedelta(days=2))
    books.trade(order.order_no, order.amount_fen, order.transaction_id or "", NOON - timedelta(days=2))
    write_options({"AlipayEnabled": False} if books.gateway == "wechat" else {"WechatEnabled": False})
    script(books.gateway, "truncated_bill", "bill")
    with pytest.raises(NoBill, match="download it again"):
        tasks.reconcile()
    days = dict(Reconciliation.objects.values_list("day", "state"))
    assert days == {
        YESTERDAY - timedelta(days=2): "no_bill",
        YESTERDAY - timedelta(days=1): "agreed",
        YESTERDAY: "agreed",
    }
    assert tasks.reconcile() == 1
    assert tasks.reconcile() == 0
    assert Reconciliation.objects.get(day=YESTERDAY).actor == "schedule"


@pytest.mark.rare
@one_gateway
def test_a_day_that_was_compared_while_it_lasted_is_compared_again(books: Books) -> None:
    write_options({"AlipayEnabled": False} if books.gateway == "wechat" else {"WechatEnabled": False})
    assert run(books.gateway)[0] == 0
    Reconciliation.objects.update(compared=NOON)
    assert tasks.reconcile() == 1
    assert tasks.reconcile() == 0
