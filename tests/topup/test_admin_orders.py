"""Orders, notices, calls and alerts in the admin: looked at, asked about, never edited."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from llm.models import Usage
from notifications.models import Alert
from notifications.services import raise_alert
from tests.faults.scripted import ScriptedProvider
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.operators import browser_of, clerk
from tests.orders import pending_order
from topup.models import GatewayCall, Notice, Order
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.admin import base
from voicehelper.wallet import audit
from voicehelper.wallet.models import Entry, Hold
from voicehelper.wallet.services import hold, wallet_of

pytestmark = pytest.mark.django_db

ORDERS = "/admin/topup/order/"


def page_of(record: Any) -> str:
    return base.change_url(record)


def do(browser: Client, record: Any, name: str, **data: str) -> Any:
    return browser.post(page_of(record).replace("/change/", f"/do/{name}/"), data, follow=True)


def paid_order(user: User, merchant: WeChatMerchant | AlipayMerchant, provider: Client) -> Order:
    order = pending_order(user, merchant)
    kind = "wechat" if isinstance(merchant, WeChatMerchant) else "alipay"
    content_type = "text/xml" if kind == "wechat" else "application/x-www-form-urlencoded"
    provider.post(f"/api/{kind}/notify", merchant.notice(order), content_type=content_type)
    order.refresh_from_db()
    assert order.state == Order.State.PAID
    return order


# --- Finding ---------------------------------------------------------------------------------------------------------
def test_an_order_is_found_by_number_transaction_and_user(
    browser: Client, buyer: User, other_user: User, wechat: WeChatMerchant, provider: Client
) -> None:
    mine, other = paid_order(buyer, wechat, provider), pending_order(other_user, wechat)
    for term in (mine.order_no, mine.order_no[:14], mine.transaction_id, "buyer"):
        page = browser.get(ORDERS, {"q": term}).text
        assert mine.order_no in page
        assert other.order_no not in page or term == mine.order_no[:14]


FILTERS: list[tuple[dict[str, str], str]] = [
    ({"state": "paid"}, "paid"),
    ({"state": "pending"}, "flagged"),
    ({"gateway": "alipay"}, "flagged"),
    ({"mark": "review"}, "flagged"),
    ({"username": "buyer"}, "paid"),
    ({"created_to": "2020-01-01"}, ""),
    ({"created_from": "2020-01-01", "created_to": "2100-01-01"}, "both"),
    ({"created_from": "rubbish"}, "both"),
    ({"state": "' OR 1=1 --"}, "both"),
]


@pytest.mark.rare
def test_filters_leave_what_they_say(
    browser: Client,
    buyer: User,
    other_user: User,
    wechat: WeChatMerchant,
    alipay: AlipayMerchant,
    provider: Client,
) -> None:
    paid = paid_order(buyer, wechat, provider)
    flagged = pending_order(other_user, alipay, review="look at me")
    for query, found in FILTERS:
        page = browser.get(ORDERS, query).text
        assert (paid.order_no in page) == (found in ("paid", "both")), query
        assert (flagged.order_no in page) == (found in ("flagged", "both")), query


def test_a_long_list_is_not_counted(browser: Client, buyer: User, wechat: WeChatMerchant) -> None:
    pending_order(buyer, wechat)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(ORDERS).status_code == 200
    assert not [query["sql"] for query in queries if "COUNT(" in query["sql"] and "topup_order" in query["sql"]]


def test_the_list_costs_the_same_for_one_order_and_for_many(
    browser: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    pending_order(buyer, wechat)
    browser.get(ORDERS)
    with CaptureQueriesContext(connection) as one:
        browser.get(ORDERS)
    for _ in range(5):
        pending_order(buyer, wechat)
    with CaptureQueriesContext(connection) as many:
        browser.get(ORDERS)
    assert len(many) == len(one)


# --- Paid, no quota --------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("merchant", ["wechat", "alipay"])
def test_asking_credits_an_order_that_was_paid_unheard(
    browser: Client, buyer: User, request: pytest.FixtureRequest, settings: Any, merchant: str, books_agree: Any
) -> None:
    account = request.getfixturevalue(merchant)
    order = pending_order(buyer, account)
    with ScriptedProvider(account, settings) as platform:
        platform.pay(order)
        page = do(browser, order, "ask").text
    order.refresh_from_db()
    assert (order.state, order.credited_by) == (Order.State.PAID, "admin")
    assert f"The platform says: paid. ¥73.00, transaction {order.transaction_id}, " in page
    assert "5,000,000 quota are credited." in page
    assert order.transaction_id
    assert order.transaction_id in page
    assert "What the payment platform answered" in page
    assert wallet_of(buyer).balance == 5_000_000
    log = LogEntry.objects.get(object_id=str(order.pk))
    assert log.user.username == "operator"
    assert "Ask the payment platform" in log.change_message
    books_agree()


@pytest.mark.rare
@pytest.mark.django_db(transaction=True)
def test_asking_about_an_unpaid_order_credits_nothing(
    browser: Client, buyer: User, wechat: WeChatMerchant, settings: Any
) -> None:
    order = pending_order(buyer, wechat)
    with ScriptedProvider(wechat, settings, states={order.order_no: "waiting"}):
        assert "not paid yet" in do(browser, order, "ask").text
    assert "No certain answer" in do(browser, order, "ask").text
    assert wallet_of(buyer).balance == 0


def test_nobody_can_be_asked_while_the_gateway_is_not_complete(
    browser: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    order = pending_order(buyer, wechat)
    write_options({"WechatEnabled": False, "WechatApiV2Key": None})
    assert "WeChat Pay is not completely configured." in browser.get(page_of(order)).text
    do(browser, order, "ask")
    assert not GatewayCall.objects.exists()
    assert not LogEntry.objects.exists()


def test_an_order_of_an_account_without_keys_is_not_asked_about(
    browser: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    order = pending_order(buyer, wechat, merchant_id="1900000999")
    assert "keys of its merchant account 1900000999 are not known" in browser.get(page_of(order)).text


@pytest.mark.django_db(transaction=True)
def test_closing_asks_first_and_closes_at_the_platform(
    browser: Client, buyer: User, wechat: WeChatMerchant, settings: Any
) -> None:
    young = pending_order(buyer, wechat)
    assert "The platform closes no younger order" in browser.get(page_of(young)).text
    order = pending_order(buyer, wechat, created=clock.now() - timedelta(minutes=10))
    with ScriptedProvider(wechat, settings, states={order.order_no: "waiting"}) as platform:
        assert "The order is closed." in do(browser, order, "close").text
        assert platform.operations() == ["query", "close"]
    order.refresh_from_db()
    assert order.state == Order.State.CLOSED
    assert "It is not open any more." in browser.get(page_of(order)).text


def test_a_paid_order_cannot_be_closed(browser: Client, buyer: User, wechat: WeChatMerchant, provider: Client) -> None:
    order = paid_order(buyer, wechat, provider)
    assert "It is paid. Money goes back by a refund only." in do(browser, order, "close").text
    order.refresh_from_db()
    assert order.state == Order.State.PAID


def test_a_review_mark_goes_only_with_a_reason(browser: Client, buyer: User, wechat: WeChatMerchant) -> None:
    order = pending_order(buyer, wechat, review="amount differs")
    assert "Say why" in do(browser, order, "clear", reason="  ").text
    do(browser, order, "clear", reason="refunded at the console")
    order.refresh_from_db()
    assert order.review == ""
    message = LogEntry.objects.get().change_message
    assert "amount differs" in message
    assert "refunded at the console" in message
    assert "refunded at the console" in browser.get(page_of(order)).text


def test_the_time_line_tells_the_life_of_an_order(
    browser: Client, buyer: User, wechat: WeChatMerchant, provider: Client
) -> None:
    order = paid_order(buyer, wechat, provider)
    page = browser.get(page_of(order)).text
    for text in ("Order created", "Notice received", "Credited", "through a notice", "Written to the ledger"):
        assert text in page
    assert page_of(Notice.objects.get()) in page
    assert page_of(wallet_of(buyer).entries.get()) in page


# --- Notices ---------------------------------------------------------------------------------------------------------
def test_a_replay_credits_what_failed_and_reports_it(
    browser: Client, buyer: User, wechat: WeChatMerchant, books_agree: Any
) -> None:
    order = pending_order(buyer, wechat)
    body = wechat.notice(order).decode()
    notice = Notice.objects.create(gateway="wechat", source="1.2.3.4", body=body, order_no=order.order_no, order=order)
    response = do(browser, notice, "replay")
    again = Notice.objects.get(replay_of=notice)
    assert "Replayed: Credited" in response.text
    assert response.redirect_chain[-1][0] == page_of(again)
    assert again.actor == "operator"
    assert "Replayed: Known already" in do(browser, notice, "replay").text
    assert wallet_of(buyer).balance == order.quota
    books_agree()


def test_a_replay_says_when_the_gateway_is_not_complete(browser: Client, wechat: WeChatMerchant) -> None:
    notice = Notice.objects.create(gateway="wechat", body="<xml></xml>", verdict="failed")
    write_options({"WechatEnabled": False, "WechatApiV2Key": None})
    assert "The gateway is not completely configured" in do(browser, notice, "replay").text


HOSTILE = [
    "<xml><attach><![CDATA[<script>alert(1)</script>]]></attach></xml>",
    "attach=%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    '<!DOCTYPE x [<!ENTITY y "z">]><xml><a>&y;</a><script>alert(1)</script></xml>',
    "<script>alert(1)</script>",
    "\ufffd\ufffd",
]


def test_a_hostile_notice_is_shown_as_text(browser: Client) -> None:
    for body in HOSTILE:
        notice = Notice.objects.create(
            gateway="wechat", body=body, order_no="<img src=x onerror=alert(1)>", detail="<b>"
        )
        for page in (browser.get(page_of(notice)).text, browser.get("/admin/topup/notice/").text):
            assert "<script>alert" not in page
            assert "<img src=x" not in page


def test_unfinished_notices_are_those_nobody_was_credited_for(
    browser: Client, buyer: User, wechat: WeChatMerchant, provider: Client
) -> None:
    settled, open_order = paid_order(buyer, wechat, provider), pending_order(buyer, wechat)
    for order in (settled, open_order):
        Notice.objects.create(gateway="wechat", body="", order_no=order.order_no, order=order, verdict="failed")
    page = browser.get("/admin/topup/notice/", {"verdict": "unfinished"}).text
    assert open_order.order_no in page
    assert settled.order_no not in page


# --- Who may what ----------------------------------------------------------------------------------------------------
def test_nobody_edits_adds_or_deletes_what_is_on_record(
    browser: Client, buyer: User, wechat: WeChatMerchant, provider: Client
) -> None:
    """Of any app: payments, the ledger, and the calls of models."""
    order = paid_order(buyer, wechat, provider)
    hold(buyer, 500, ref="call-1", life=timedelta(minutes=5))
    asked = GatewayCall.objects.create(gateway="wechat", operation="query", request="", response="", elapsed_ms=1)
    used = Usage.objects.create(request_id="req_1", user=buyer, model_name="m", operation="chat", quota=1)
    ledger = (wallet_of(buyer), Entry.objects.get(), Hold.objects.get(), audit.run(full=True))
    for record in (order, Notice.objects.get(), asked, used, *ledger):
        page = page_of(record)
        section = page.split(f"{record.pk}/change/")[0]
        before = type(record).objects.filter(pk=record.pk).values().get()
        assert (browser.get(page).status_code, browser.get(section).status_code) == (200, 200)
        assert browser.post(page, {"state": "refunded", "amount_fen": "1", "balance": "9"}).status_code == 403
        assert browser.post(page.replace("/change/", "/delete/"), {"post": "yes"}).status_code == 403
        assert browser.post(page.replace("/change/", "/do/anything/")).status_code == 403
        assert browser.get(f"{section}add/").status_code == 403
        browser.post(section, {"action": "delete_selected", "_selected_action": str(record.pk), "post": "yes"})
        assert type(record).objects.filter(pk=record.pk).values().get() == before


def test_who_may_only_look_gets_no_buttons(buyer: User, wechat: WeChatMerchant) -> None:
    order = pending_order(buyer, wechat)
    viewer = browser_of(clerk("view_order"))
    page = viewer.get(page_of(order)).text
    assert "Ask the payment platform" not in page
    for name in ("ask", "close", "clear", "nonsense"):
        assert viewer.post(page_of(order).replace("/change/", f"/do/{name}/")).status_code == 403


def test_who_may_change_orders_may_ask(buyer: User, wechat: WeChatMerchant) -> None:
    order = pending_order(buyer, wechat)
    helper = browser_of(clerk("view_order", "change_order"))
    assert "Ask the payment platform" in helper.get(page_of(order)).text
    assert helper.post(page_of(order), {}).status_code == 403


def test_buttons_are_posts_protected_against_forgery(
    browser: Client, staff: User, buyer: User, wechat: WeChatMerchant
) -> None:
    order = pending_order(buyer, wechat)
    address = page_of(order).replace("/change/", "/do/ask/")
    assert browser.get(address).status_code == 405
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(staff)
    assert forged.post(address).status_code == 403
    assert Client().post(address).headers["Location"].startswith("/admin/login/")
    assert browser.post(address.replace(str(order.pk), "999999")).status_code == 404


# --- Alerts ----------------------------------------------------------------------------------------------------------
def test_an_alert_is_resolved_once_and_the_log_knows_by_whom(browser: Client) -> None:
    raise_alert("x", level="critical", title="<b>Look</b>", content="<script>alert(1)</script>")
    alert = Alert.objects.get()
    page = browser.get(page_of(alert)).text
    assert "<script>alert" not in page
    assert "<b>Look" not in page
    assert "Resolved." in do(browser, alert, "resolve").text
    alert.refresh_from_db()
    assert alert.resolved_by == "operator"
    assert "It is resolved already." in do(browser, alert, "resolve").text
    assert LogEntry.objects.count() == 1


@pytest.mark.rare
def test_several_alerts_are_resolved_at_once(browser: Client) -> None:
    for number in range(3):
        raise_alert("x", level="info", title=f"Alert {number}")
    chosen = list(Alert.objects.values_list("pk", flat=True)[:2])
    data = {"action": "resolve_selected", "_selected_action": chosen}
    assert "2 alerts resolved." in browser.post("/admin/notifications/alert/", data, follow=True).text
    assert Alert.objects.filter(resolved_at=None).count() == 1
    page = browser.get("/admin/notifications/alert/", {"open": "yes"}).text
    assert page.count("vh-label vh-info") == 1


def test_who_may_only_see_alerts_cannot_resolve_them() -> None:
    raise_alert("x", level="info", title="Alert")
    viewer = browser_of(clerk("view_alert"))
    alert = Alert.objects.get()
    assert viewer.post(page_of(alert).replace("/change/", "/do/resolve/")).status_code == 403
    data = {"action": "resolve_selected", "_selected_action": [alert.pk]}
    viewer.post("/admin/notifications/alert/", data)
    alert.refresh_from_db()
    assert alert.resolved_at is None
