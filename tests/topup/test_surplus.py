"""Paid twice: what came too often goes back by itself. And refunds that the provider refuses because one was first."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from sandbox import buyer as phone
from sandbox import refunds as console
from sandbox.faults import write_script
from sandbox.gateways import gateway_of
from sandbox.management.commands.open_sandbox_accounts import mini_program
from sandbox.models import Delivery
from tests.conftest import rarely
from tests.operators import browser_of, clerk
from tests.refunds import given_back, open_accounts, paid_order, platform, sandbox_server, trade_of
from topup import services
from topup.gateways.orders import Receipt
from topup.gateways.wechat.v2 import WeChatPayV2
from topup.models import (
    Difference,
    GatewayCall,
    MerchantAccount,
    Notice,
    Order,
    RechargeSettings,
    Reconciliation,
    Refund,
    SurplusPayment,
)
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.admin.base import change_url
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)

CREDITED = 5_000_000


@pytest.fixture(autouse=True)
def provider(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address:
        open_accounts(address, settings)
        yield address


@pytest.fixture(params=["wechat v3", *rarely("alipay", "wechat")])
def order(request: pytest.FixtureRequest, buyer: User) -> Order:
    """Credited by one payment, and the provider's trade is another."""
    order = services.place_order(buyer, platform(request.param), 10, client_ip="127.0.0.1")
    facts = {"app_id": order.app_id, "merchant_id": order.merchant_id, "live": False}
    first = Receipt(order.gateway, order.order_no, "FIRST", order.amount_fen, "CNY", paid_at=clock.now(), **facts)
    assert services.settle_order(first, source="notice").outcome == services.Settlement.CREDITED
    phone.pay(trade_of(order), {"drop": {}})
    return Order.objects.select_related("user").get(pk=order.pk)


def paid_again(order: Order) -> SurplusPayment:
    services.ask_provider(order, source="admin")
    return order.surplus_payments.get()


def confirmed(browser: Client, order: Order, surplus: SurplusPayment, **more: str) -> str:
    """Both steps of giving it back, with what the order's page and the page behind it send."""
    address = change_url(order).replace("/change/", "/refund/")
    shown = browser.get(change_url(order)).text
    form = next(form for form in shown.split("<form ") if f'name="surplus" value="{surplus.pk}"' in form)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', form))
    page = browser.post(address, fields | {"reason": "Paid twice"} | more, follow=True).text
    if 'id="confirm"' not in page:
        return str(page)
    assert f"{surplus}</dd>" in page
    form = page[page.index('<form method="post" class="vh-form">') : page.index('id="confirm"')]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', form))
    return str(browser.post(address, fields, follow=True).text)


def test_R13_a_surplus_payment_goes_back_by_its_transaction_and_the_quota_stays(
    order: Order, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    surplus, browser = paid_again(order), browser_of(staff)
    order.refresh_from_db()
    assert surplus.transaction_id == trade_of(order).transaction_id
    assert surplus.transaction_id in order.review
    assert surplus.transaction_id in browser.get("/admin/topup/order/", {"q": surplus.transaction_id}).text
    confirmed(browser, order, surplus)
    refund = Refund.objects.get()
    services.ask_refund(refund)
    for row in (order, surplus, refund):
        row.refresh_from_db()
    assert (refund.state, refund.amount_fen, refund.quota_due) == ("succeeded", 7300, 0)
    assert (order.state, order.review, surplus.state) == ("paid", "", "refunded")
    assert (given_back(order), wallet_of(buyer).balance) == ([7300], CREDITED)
    # The same notice once more is no news, and the payment that was credited can still be refunded.
    services.ask_provider(order, source="admin")
    order.refresh_from_db()
    assert (order.review, services.refundable_fen(order)) == ("", 7300)
    assert "It was given back" in services.why_no_refund(order, surplus)
    page = browser.get(change_url(order)).text
    assert "Surplus payments" in page
    assert f"refund-{surplus.pk}" not in page
    books_agree()


@pytest.mark.rare
@pytest.mark.parametrize("order", ["wechat v3"], indirect=True)
def test_R13_over_v3_a_slow_refund_of_a_surplus_payment_names_it_and_its_notice_takes_no_quota(
    order: Order, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    surplus = paid_again(order)
    write_script({"gateway": "wechat", "fault": "refund_slow", "queries": 1})
    refund = services.request_refund(order, 7300, number=1, actor=staff, reason="Paid twice", surplus=surplus)
    assert services.submit_refund(refund).state == Refund.State.SUBMITTED
    sent = GatewayCall.objects.get(operation="refund").request
    assert (surplus.transaction_id in sent, '"out_trade_no"' in sent) == (True, False)
    assert services.left_of(surplus) == 0
    Refund.objects.update(next_ask_at=Now())
    services.settle_unknown_refunds()
    notice = Delivery.objects.select_related("trade__merchant").latest("pk")
    headers = gateway_of(notice.trade).notice_headers(notice)
    for _time in range(2):
        told = Client().post("/api/wechat/refund-notify", notice.body, "application/json", headers=headers)
        assert (told.status_code, Notice.objects.latest("pk").verdict) == (204, Notice.Verdict.REFUND)
    for row in (order, surplus, refund):
        row.refresh_from_db()
    assert (refund.state, surplus.state, order.state, order.review) == ("succeeded", "refunded", "paid", "")
    assert (given_back(order), wallet_of(buyer).balance, order.refunds.count()) == ([7300], CREDITED, 1)
    books_agree()


@pytest.mark.rare
@pytest.mark.parametrize("order", ["wechat"], indirect=True)
def test_R13_the_limit_counts_surplus_payments_with_the_other_refunds(
    order: Order, staff: User, books_agree: Callable[[], None]
) -> None:
    RechargeSettings.objects.update(approve_refunds_above="100")
    helper = clerk("view_order", "change_order", "view_refund", "add_refund", "change_refund")
    surplus = paid_again(order)
    first = services.request_refund(order, 3000, number=1, actor=helper, reason="x")
    second = services.request_refund(order, 7300, number=2, actor=helper, reason="x", surplus=surplus)
    assert (first.needs_approval, second.needs_approval) == (False, True)
    assert services.left_of(surplus) == 0
    with pytest.raises(services.RefundRefused, match=r"under way|正在退款"):
        services.request_refund(order, 1, number=3, actor=staff, reason="x", surplus=surplus)
    services.withdraw_refund(second, by=helper, reason="x")
    assert services.left_of(surplus) == 7300
    books_agree()


@pytest.mark.rare
@pytest.mark.parametrize("order", ["wechat"], indirect=True)
def test_R13_where_the_protocol_cannot_the_page_says_how(
    order: Order, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    surplus, browser = paid_again(order), browser_of(staff)
    monkeypatch.setattr(WeChatPayV2, "refunds_by_transaction", False)
    page = browser.get(change_url(order)).text
    assert f"give transaction {surplus} back in its console" in page
    assert "cannot choose among their payments" in confirmed(browser, order, surplus)
    assert not Refund.objects.exists()
    done = change_url(order).replace("/change/", "/do/settle_surplus/")
    browser.post(done, {"surplus": str(surplus.pk), "reason": "Refunded in the console"})
    surplus.refresh_from_db()
    order.refresh_from_db()
    assert (surplus.state, surplus.actor, surplus.note) == ("settled", staff.username, "Refunded in the console")
    assert order.review == ""


@pytest.mark.parametrize("order", ["wechat"], indirect=True)
def test_R13_a_difference_of_the_bill_leads_to_the_surplus_payment_and_ends_with_it(order: Order, staff: User) -> None:
    day = Reconciliation.objects.create(
        gateway="wechat", merchant_id=order.merchant_id, live=False, day=clock.now().date(), actor="x"
    )
    facts = {"order_no": order.order_no, "transaction_id": trade_of(order).transaction_id, "theirs_fen": 7300}
    difference = Difference.objects.create(reconciliation=day, kind="paid_twice", seen=1, **facts)
    browser = browser_of(staff)
    page = browser.post(change_url(difference).replace("/change/", "/do/ask/"), follow=True)
    assert page.redirect_chain[-1][0] == change_url(order)
    surplus = order.surplus_payments.get()
    confirmed(browser, order, surplus)
    services.ask_refund(Refund.objects.get())
    difference.refresh_from_db()
    assert difference.state == Difference.State.REPAIRED


@pytest.mark.parametrize("gateway", ["wechat v3", *rarely("wechat", "alipay")])
def test_R05_a_refusal_looks_for_the_refund_that_was_first_and_gives_it_the_quota(
    gateway: str, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    """v3 lists no refunds, and its query does not say how much went back: its refusal does."""
    order = paid_order(buyer, platform(gateway))
    refund = services.request_refund(order, 7300, number=1, actor=staff, reason="x")
    console.accept(trade_of(order), "CONSOLE1", 7300, notify_url="", reason="", faults={})
    services.submit_refund(refund)
    order.refresh_from_db()
    ours, theirs = order.refunds.order_by("number")
    assert (ours.state, theirs.state, theirs.source) == ("failed", "succeeded", "console")
    assert (order.state, given_back(order), wallet_of(buyer).balance) == ("refunded", [7300], 0)
    books_agree()


@pytest.mark.rare
def test_R05_a_refusal_for_another_reason_leaves_the_quota_with_the_user(
    buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    order = paid_order(buyer, "wechat")
    refund = services.request_refund(order, 7300, number=1, actor=staff, reason="x")
    trade = trade_of(order)
    type(trade).objects.filter(pk=trade.pk).update(state="closed")
    assert services.submit_refund(refund).state == "failed"
    assert wallet_of(buyer).available == CREDITED
    assert order.refunds.count() == 1
    books_agree()


@pytest.mark.rare
@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_lost_notice_is_made_good_whichever_app_of_the_merchant_is_asked_first(
    version: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    """WeChat Pay answers in the name of the app that asks; the order is of the one that it was placed in."""
    app = mini_program()
    write_options({"MiniProgramAppId": app["app_id"], "MiniProgramAppSecret": app["secret"]})
    platform(f"wechat {version}")
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    number = phone.pay(trade_of(order), {"drop": {}}).transaction_id
    assert order.account
    MerchantAccount.objects.filter(pk=order.account.pk).update(app_ids=[app["app_id"], order.app_id])
    services.ask_about_payment("wechat", number, source="search")
    order.refresh_from_db()
    assert (order.state, order.review, wallet_of(buyer).balance) == ("paid", "", CREDITED)
    books_agree()


def test_a_lost_notice_is_made_good_by_the_platforms_own_number(buyer: User, staff: User) -> None:
    browser = browser_of(staff)
    for gateway, other in (("wechat", "alipay"), ("alipay", "wechat")):
        order = services.place_order(buyer, gateway, 10, client_ip="127.0.0.1")
        number = phone.pay(trade_of(order), {"drop": {}}).transaction_id
        page = browser.get("/admin/topup/order/", {"q": f" {number} "}).text
        assert f'id="ask-{gateway}"' in page
        assert f'id="ask-{other}"' not in page
        asked = {"gateway": gateway, "number": number}
        answer = browser.post("/admin/topup/order/ask-payment/", asked, follow=True)
        assert answer.redirect_chain[-1][0] == change_url(order)
        assert "The platform says: paid." in answer.text
        order.refresh_from_db()
        assert (order.state, order.credited_by, order.transaction_id) == ("paid", "search", number)
        strange = number[:-6] + "000000"
        answer = browser.post("/admin/topup/order/ask-payment/", asked | {"number": strange}, follow=True)
        assert f"knows no payment {strange}" in answer.text
    looker = browser_of(clerk("view_order"))
    assert "ask-wechat" not in looker.get("/admin/topup/order/", {"q": strange}).text
    assert looker.post("/admin/topup/order/ask-payment/", asked).status_code == 403
    write_options({"AlipayEnabled": False, "AlipayPrivateKey": None})
    asked |= {"gateway": "alipay", "number": "2026113022001400000000000000"}
    assert "not completely configured" in browser.post("/admin/topup/order/ask-payment/", asked, follow=True).text
