"""M: things change while a payment is under way. Gateways are switched off, everything is down for days, money is given
back in the console: in every order, credited is what was paid and not given back.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test import Client

from notifications.models import Alert
from sandbox import refunds
from sandbox.faults import write_script
from sandbox.models import Refund as ProviderRefund
from tests.conftest import rarely, sampled
from tests.orders import pending_order
from tests.refunds import platform, trade_of
from topup import services
from topup.gateways.orders import Receipt
from topup.models import Notice, Order, Refund
from topup.services import given_back
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import wallet_of

from .conftest import CallbackDesk, alert, balance, credited_once, last_notice, not_credited
from .console_refunds import PAID, PART, QUOTA, Play
from .scripted import ScriptedProvider
from .test_j_restore import connect

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order(desk: CallbackDesk, buyer: User) -> Order:
    return pending_order(buyer, desk.merchant)


def long_ago(order: Order, *, hours: float, **changes: Any) -> None:
    """Its time was over so many hours ago, and it was due for the sweep ever since."""
    ended = clock.now() - timedelta(hours=hours)
    facts = {"created": ended - timedelta(minutes=30), "expires_at": ended, "next_ask_at": ended} | changes
    Order.objects.filter(pk=order.pk).update(**facts)


def make_due() -> None:
    Order.objects.filter(next_ask_at__isnull=False).update(next_ask_at=Now())


# --- M5: everything was down -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("state", sampled([Order.State.PENDING, Order.State.CREATED, Order.State.CLOSED], keep=2))
def test_M5_P41_a_payment_nobody_asked_about_for_thirty_hours_is_credited_by_the_next_sweep(
    state: Order.State, order: Order, scripted: ScriptedProvider, books_agree: Any
) -> None:
    long_ago(order, hours=30, state=state)
    scripted.pay(order)
    services.follow_orders()
    credited_once(order)
    books_agree()


def test_M5_P41_an_order_is_given_up_only_once_the_provider_has_answered_after_the_last_moment_to_pay(
    order: Order, scripted: ScriptedProvider, books_agree: Any
) -> None:
    long_ago(order, hours=30)
    scripted.answers = [b"out of order"] * 2
    for _ in range(2):
        services.follow_orders()
        order.refresh_from_db()
        assert order.next_ask_at is not None, "nobody has answered yet"
        make_due()
    services.follow_orders()
    not_credited(order, Order.State.CLOSED)
    assert (order.next_ask_at, scripted.operations()) == (None, ["query"] * 3)
    books_agree()


def test_M5_P41_what_waits_at_the_provider_past_every_limit_is_closed_before_it_is_given_up(
    order: Order, scripted: ScriptedProvider, books_agree: Any
) -> None:
    long_ago(order, hours=30)
    scripted.states[order.order_no] = "waiting"
    services.follow_orders()
    not_credited(order, Order.State.CLOSED)
    assert (scripted.operations(), scripted.states[order.order_no]) == (["query", "close"], "closed")
    assert order.next_ask_at is None
    books_agree()


def test_M5_P41_somebody_who_looks_at_the_page_first_need_not_wait_for_the_sweep(
    order: Order, scripted: ScriptedProvider, books_agree: Any
) -> None:
    long_ago(order, hours=30)
    scripted.pay(order)
    assert services.poll_order(order).state == Order.State.PAID
    credited_once(order)
    books_agree()


def test_M5_a_refusal_after_a_try_without_an_answer_does_not_stop_the_asking(
    order: Order, scripted: ScriptedProvider, books_agree: Any
) -> None:
    """The first try may have reached the provider, whatever it says to the second."""
    facts = {"state": Order.State.CREATED, "pay_url": "", "failure": "No answer in time.", "idempotency_key": "k"}
    Order.objects.filter(pk=order.pk).update(**facts)
    refusal = {"error": "LACK_PARAMS" if order.gateway == "wechat" else "ACQ.INVALID_PARAMETER"}
    scripted._judge = lambda _call: dict(refusal)  # type: ignore[method-assign]
    with pytest.raises(services.PaymentNotOffered):
        services.place_order(order.user, order.gateway, 10, client_ip="127.0.0.1", idempotency_key="k")
    del scripted._judge  # type: ignore[method-assign]
    order.refresh_from_db()
    assert order.state == Order.State.FAILED
    scripted.pay(order)
    make_due()
    services.follow_orders()
    credited_once(order)
    books_agree()


# --- M1: the gateway is switched off ---------------------------------------------------------------------------------
def switch_off(gateway: str) -> None:
    write_options({"WechatEnabled" if gateway == "wechat" else "AlipayEnabled": False})


def test_M1_P40_a_payment_of_a_gateway_that_was_switched_off_since_is_credited_and_told_once(
    desk: CallbackDesk, order: Order, buyer: User, books_agree: Any
) -> None:
    switch_off(order.gateway)
    assert desk.acknowledged(desk.merchant.notice(order))
    credited_once(order)
    told = alert("notice_while_off")
    assert (told.level, told.count) == ("info", 1)
    assert desk.acknowledged(desk.merchant.notice(order))
    assert Alert.objects.filter(event="notice_while_off").count() == 1
    assert balance(buyer) == order.quota
    books_agree()


def test_M1_P40_a_stranger_learns_and_raises_nothing_at_a_gateway_that_is_off(
    desk: CallbackDesk, order: Order, buyer: User
) -> None:
    switch_off(order.gateway)
    forged = desk.merchant.notice(order).replace(b"73", b"01")
    assert not desk.acknowledged(forged)
    not_credited(order)
    assert not Alert.objects.filter(event="notice_while_off").exists()


def test_M1_P40_the_sweep_the_page_and_the_closing_go_on_while_a_gateway_is_off(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider, books_agree: Any
) -> None:
    swept, polled, unpaid = (pending_order(buyer, desk.merchant) for _ in range(3))
    switch_off(swept.gateway)
    for each in (swept, polled):
        scripted.pay(each)
    scripted.states[unpaid.order_no] = "waiting"
    long_ago(unpaid, hours=1)
    Order.objects.filter(pk=swept.pk).update(next_ask_at=Now())
    Order.objects.filter(pk=polled.pk).update(created=Now() - timedelta(minutes=1))
    services.follow_orders()
    services.poll_order(Order.objects.get(pk=polled.pk))
    for each in (swept, polled):
        credited_once(each)
    not_credited(unpaid, Order.State.CLOSED)
    books_agree()


def test_M1_P40_no_new_order_is_taken_and_an_incomplete_gateway_does_not_exist(
    desk: CallbackDesk, order: Order, buyer: User, as_user: Any
) -> None:
    switch_off(order.gateway)
    wanted = {"amount": 10, "payment_method": order.gateway}
    answer = as_user(buyer).post(f"/api/user/{order.gateway}/pay", wanted, format="json")
    assert answer.status_code == 503
    write_options({"WechatApiV2Key" if order.gateway == "wechat" else "AlipayPublicKey": None})
    assert desk.deliver(desk.merchant.notice(order)).status_code == 404
    assert not Notice.objects.exists()
    not_credited(order)


def test_M1_P40_the_buyer_and_the_operator_are_told_that_an_open_order_is_still_served(
    order: Order, buyer: User, staff: User
) -> None:
    page, office = Client(headers={"Accept-Language": "en"}), Client(headers={"Accept-Language": "en"})
    page.force_login(buyer)
    office.force_login(staff)
    told, served = "takes no new orders", "This one is still served to its end"
    address, record = f"/recharge/orders/{order.order_no}", f"/admin/topup/order/{order.pk}/change/"
    assert told not in page.get(address).text
    assert served not in office.get(record).text
    switch_off(order.gateway)
    assert told in page.get(address).text
    assert "can still be paid" in page.get(address).text
    assert served in office.get(record).text
    write_options({"WechatApiV2Key" if order.gateway == "wechat" else "AlipayPublicKey": None})
    assert "Do not pay now" in page.get(address).text
    assert "can still be paid" not in page.get(address).text


@pytest.mark.parametrize(
    "spoilt", sampled(["/api/{}/notify/", "/api//{}/notify", "//api/{}//notify//", "/api/{}/webhook/"], keep=2)
)
def test_P10_a_callback_address_with_slashes_too_many_is_served(
    spoilt: str, desk: CallbackDesk, order: Order, books_agree: Any
) -> None:
    kind = "text/xml" if order.gateway == "wechat" else "application/x-www-form-urlencoded"
    body, path = desk.merchant.notice(order), spoilt.format(order.gateway)
    answer = desk.client.generic("POST", "/", body, content_type=kind, PATH_INFO=path)
    assert answer.status_code == 200
    credited_once(order)
    books_agree()


# --- E2: the connection breaks in the last moment --------------------------------------------------------------------
def dies_at_the_alert(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Its session is ended from outside just before an alert is written."""
    if "INTO notifications_alert" in sql:
        with connect(connection.settings_dict["NAME"], autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
            other.execute("SELECT pg_sleep(0.2)")
    return execute(sql, params, many, context)


def test_E2_M4_what_a_broken_connection_undid_is_not_taken_for_done(order: Order, books_agree: Any) -> None:
    """The alert is the last word of the transaction: swallowed, its failure would end that without one."""
    with pytest.raises(OperationalError), connection.execute_wrapper(dies_at_the_alert):
        given_back.keep_refund(order, source="notice", fen=order.amount_fen)
    connection.close()
    order.refresh_from_db()
    assert (order.state, order.refunded_fen) == (Order.State.PENDING, 0)
    Order.objects.filter(pk=order.pk).update(state=Order.State.CLOSED, closed_at=Now(), next_ask_at=None)
    receipt = Receipt(order.gateway, order.order_no, "T1", order.amount_fen, "CNY", **facts_of(order))
    with pytest.raises(OperationalError), connection.execute_wrapper(dies_at_the_alert):
        services.settle_order(receipt, source="notice")
    connection.close()
    not_credited(order, Order.State.CLOSED)
    assert services.settle_order(receipt, source="notice").outcome == services.Settlement.CREDITED
    books_agree()


def facts_of(order: Order) -> dict[str, Any]:
    return {"app_id": order.app_id, "merchant_id": order.merchant_id, "live": order.live}


# --- M4: given back in the console before it was credited ------------------------------------------------------------
@pytest.fixture(params=["wechat", *rarely("alipay")])
def gateway(request: pytest.FixtureRequest, shop: str) -> str:
    return platform(request.param)


def test_M4_P32_a_payment_notice_repeated_after_a_full_refund_credits_nothing_even_if_that_was_never_told(
    gateway: str, shop: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    play = Play(buyer, gateway, PAID)
    play.give_back()
    play.expire()
    play.sweep()
    assert play.notice(), "there is nothing to send again for"
    play.is_right()
    assert (play.credited(), last_notice().verdict) == (0, Notice.Verdict.REFUND)
    books_agree()


@pytest.mark.rare
def test_M4_what_is_known_to_have_gone_back_in_full_is_no_news_when_the_bill_has_it(
    gateway: str, shop: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    play = Play(buyer, gateway, PAID)
    play.give_back()
    play.sweep()
    play.bill()
    play.is_right()
    assert not Alert.objects.filter(event="console_refund", level="critical").exists()
    books_agree()


def test_M4_P34_the_notice_of_the_refund_may_come_before_the_payments(
    gateway: str, shop: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    play = Play(buyer, gateway, PAID)
    play.give_back()
    assert play.refund_notice()
    assert play.notice()
    play.is_right()
    play.sweep()
    assert play.credited() == 0
    books_agree()


def test_M4_P33_a_part_that_was_given_back_before_is_taken_back_in_the_same_moment(
    gateway: str, shop: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    play = Play(buyer, gateway, PART)
    play.give_back()
    assert play.refund_notice()
    play.sweep()
    play.is_right()
    made = play.order.refunds.get()
    assert (made.source, made.state, made.amount_fen) == ("console", "succeeded", PART)
    assert alert("console_refund")
    books_agree()


@pytest.mark.rare
def test_M4_P33_two_parts_and_only_the_sum_of_them_is_told(
    shop: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    """refund_fee is cumulative: the notice of the first part was lost."""
    play = Play(buyer, "alipay", 1000, 2380)
    play.give_back()
    assert play.refund_notice()
    assert play.notice()
    play.is_right()
    assert sorted(play.order.refunds.values_list("amount_fen", flat=True)) == [1000, 2380]
    books_agree()


@pytest.mark.rare
def test_M4_an_order_somebody_has_to_look_at_is_asked_about_before_it_is_credited(
    gateway: str, shop: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    play = Play(buyer, gateway, PAID)
    Order.objects.filter(pk=play.order.pk).update(review="An amount that differed.")
    play.give_back()
    assert play.notice()
    play.is_right()
    assert play.credited() == 0
    books_agree()


@pytest.mark.parametrize("hint", sampled(["closed here", "refund told"], keep=1))
def test_M4_while_the_platform_cannot_be_asked_the_notice_is_to_come_again_and_the_sweep_goes_on_asking(
    hint: str, gateway: str, shop: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    play = Play(buyer, gateway, PART)
    if hint == "closed here":
        play.close_here()
    play.give_back()
    if hint == "refund told":
        play.refund_notice()
    write_script({"gateway": gateway, "operation": "query", "fault": "http_500", "times": 2})
    play.order.refresh_from_db()
    assert not play.notice()
    not_credited(play.order, Order.State(play.order.state))
    assert last_notice().verdict == Notice.Verdict.UNCONFIRMED
    assert play.order.next_ask_at is not None
    play.sweep()
    not_credited(play.order, Order.State(play.order.state))
    play.sweep()
    if gateway == "alipay" and hint != "refund told":
        # Only the refund's own notice says so there.
        assert play.credited() == QUOTA
        play.refund_notice()
    play.is_right()
    books_agree()


@pytest.mark.parametrize(("ends", "kept"), [("SUCCESS", 0), ("REFUNDCLOSE", QUOTA)])
def test_M4_a_refund_that_is_under_way_is_held_until_it_ends(
    ends: str, kept: int, shop: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    play = Play(buyer, "wechat", PAID)
    slow = {"refund_slow": {"queries": 5, "then": ends}}
    refunds.accept(trade_of(play.order), "CONSOLE1", PAID, notify_url="", reason="", faults=slow, by_call=False)
    play.sweep()
    assert (play.credited(), wallet_of(buyer).available) == (QUOTA, 0)
    for _ in range(5):
        Refund.objects.filter(next_ask_at__isnull=False).update(next_ask_at=Now())
        services.settle_unknown_refunds()
    assert (play.credited(), wallet_of(buyer).available) == (kept, kept)
    books_agree()


@pytest.mark.parametrize("gateway", ["wechat", "wechat v3"], indirect=True)
@pytest.mark.parametrize("rest", sampled([1000, PAID - PART], keep=1))
def test_M4_P33_a_part_of_which_somebody_tells_while_the_platform_is_asked_is_asked_about_before_the_credit(
    rest: int, gateway: str, shop: str, buyer: User, books_agree: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is credited rests on the refunds that were asked about, not on those that are known by then."""
    play = Play(buyer, gateway, PART)
    play.give_back()
    assert play.refund_notice()
    look = refunds.look

    def second_part(refund: ProviderRefund) -> ProviderRefund:
        monkeypatch.setattr(refunds, "look", look)
        play.give_back_more(rest)
        # That there is one is heard; how much it is, nobody says. v3's notice is signed, and need not come again.
        write_script({"gateway": "wechat", "operation": "refund_query", "fault": "http_500"})
        play.refund_notice()
        return look(refund)

    monkeypatch.setattr(refunds, "look", second_part)
    assert not play.notice()
    assert refunds.look is look, "nobody was asked"
    not_credited(play.order, Order.State.PENDING)
    play.sweep()
    play.is_right()
    assert Entry.objects.filter(ref=play.order.order_no).exists() == (play.fen < PAID)
    books_agree()
