"""A third gateway is one folder, one line in the table and one settings section: everything else asks the table."""

import json
from collections.abc import Callable
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client
from rest_framework.test import APIClient

from tests.conftest import sampled
from tests.thirdbank.bank import CONTRACT, Bank
from tests.topup.user_agents import ALIPAY_ANDROID, IPHONE_SAFARI
from topup import services
from topup.gateways import GATEWAYS, is_callback
from topup.models import Difference, MerchantAccount, Notice, Order, Refund
from topup.services.options import read_options, write_options
from topup.services.receiving import replay_notice
from voicehelper.accounts.models import User
from voicehelper.clock import BEIJING
from voicehelper.wallet.models import Entry

ROOT = Path(__file__).parent.parent.parent
# Where one is named outside of its folder: the table, its section, and the address it may be given.
NAMED_IN = {
    "topup/gateways/__init__.py",
    "topup/models/sections/__init__.py",
    "topup/models/sections/alipay.py",
    "voicehelper/embedded/environment.py",
    "voicehelper/settings.py",
}


def place(buyer: User) -> Order:
    return services.place_order(buyer, "thirdbank", 10, client_ip="127.0.0.1")


def paid(bank: Bank, buyer: User) -> Order:
    """Paid there, and credited here by the notice."""
    order = place(buyer)
    bank.pay(order.order_no)
    assert bank.notice(order.order_no).json() == {"ok": True}
    order.refresh_from_db()
    assert order.state == Order.State.PAID
    return order


def times_credited(order: Order) -> int:
    return Entry.objects.filter(kind=Entry.Kind.TOPUP, ref=order.order_no).count()


def browser(buyer: User, user_agent: str = "") -> Client:
    client = Client(headers={"User-Agent": user_agent})
    client.force_login(buyer)
    return client


def test_it_is_offered_in_its_colour_and_paid_by_a_code(third_bank: Bank, buyer: User) -> None:
    page = browser(buyer).get("/recharge").text
    assert 'class="method thirdbank"' in page
    assert "#plug" in page
    assert "Third Bank" in page
    assert ".method.thirdbank { --gateway: #C8102E; --on-gateway: #FFFFFF; }" in Client().get("/gateways.css").text
    intent = page.split('name="intent" value="')[1][:32]
    facts = {"amount": 10, "payment_method": "thirdbank", "intent": intent}
    card = browser(buyer).post("/recharge", facts, follow=True).text
    order = Order.objects.get(user=buyer)
    assert (order.gateway, order.trade_type, order.state) == ("thirdbank", "CODE", "pending")
    assert f'data-code="third-bank:{order.order_no}"' in card
    assert "Third Wallet" in card


@pytest.mark.parametrize(
    ("user_agent", "trade_type"),
    sampled([(IPHONE_SAFARI, "PAGE"), ("ThirdWallet/1 iPhone", "PAGE"), ("", "CODE")], keep=1),
)
def test_a_phone_is_sent_to_its_page(third_bank: Bank, buyer: User, user_agent: str, trade_type: str) -> None:
    assert f'data-trade-type="{trade_type}"' in browser(buyer, user_agent).get("/recharge").text.replace(
        '=""', '="CODE"'
    )


def test_another_apps_browser_does_not_offer_it_when_its_own_can_pay(
    third_bank: Bank, alipay: Any, buyer: User
) -> None:
    assert "thirdbank" not in browser(buyer, ALIPAY_ANDROID).get("/recharge").text
    assert "alipay" not in browser(buyer, "ThirdWallet/1 iPhone").get("/recharge").text


def test_the_api_offers_it_and_says_when_it_is_off(
    third_bank: Bank, buyer: User, as_user: Callable[[User], APIClient]
) -> None:
    client = as_user(buyer)
    info = client.get("/api/user/topup/info").json()["data"]
    assert (info["enable_thirdbank_topup"], info["thirdbank_min_topup"]) == (True, 1)
    assert info["pay_methods"] == [{"name": "Third Bank", "type": "thirdbank", "color": "#C8102E", "min_topup": 1}]
    asked = {"amount": 10, "payment_method": "thirdbank"}
    placed = client.post("/api/user/thirdbank/pay", asked, format="json").json()["data"]
    assert placed["pay_url"] == f"third-bank:{placed['order_id']}"
    write_options({"ThirdbankEnabled": False})
    answer = client.post("/api/user/thirdbank/pay", asked, format="json")
    assert (answer.status_code, answer.json()) == (503, {"message": "error", "data": "Third Bank is not enabled!"})


def test_a_notice_credits_once_by_its_signed_headers_and_query(
    third_bank: Bank, buyer: User, books_agree: Callable[[], None]
) -> None:
    order = paid(third_bank, buyer)
    assert third_bank.notice(order.order_no).json() == {"ok": True}
    assert times_credited(order) == 1
    first = Notice.objects.earliest("pk")
    assert (sorted(first.headers), first.query) == (["x-bank-sign", "x-bank-time"], f"contract={CONTRACT}&v=1")
    # What was signed was kept: the notice can be handled once more.
    assert replay_notice(first, actor="operator").verdict == Notice.Verdict.DUPLICATE
    assert times_credited(order) == 1
    books_agree()


def test_its_callbacks_have_the_limits_and_threads_of_callbacks(third_bank: Bank) -> None:
    assert [is_callback(f"/api/thirdbank/{tail}") for tail in ("message", "message/", "notify")] == [True, True, False]


def test_a_notice_that_is_not_the_banks_or_not_for_us_credits_nothing(
    third_bank: Bank, buyer: User, books_agree: Callable[[], None]
) -> None:
    order = place(buyer)
    third_bank.pay(order.order_no)
    assert third_bank.notice(order.order_no, key="another key").status_code == 503
    assert third_bank.notice(order.order_no, contract="1000000000").status_code == 503
    assert Client().post("/api/thirdbank/message", "{}", content_type="text/xml").status_code == 400
    # The order is known to both rows: its number is read before anything is believed.
    assert list(Notice.objects.order_by("pk").values_list("verdict", "order__order_no")) == [
        (Notice.Verdict.FORGED, order.order_no),
        (Notice.Verdict.MISMATCH, order.order_no),
    ]
    assert times_credited(order) == 0
    books_agree()


def test_the_page_and_the_sweep_find_out_what_no_notice_told(
    third_bank: Bank, buyer: User, books_agree: Callable[[], None]
) -> None:
    polled, swept, expired = place(buyer), place(buyer), place(buyer)
    third_bank.pay(polled.order_no)
    Order.objects.filter(pk=polled.pk).update(created=Now() - services.POLL_AFTER)
    assert services.poll_order(Order.objects.get(pk=polled.pk)).state == Order.State.PAID
    third_bank.pay(swept.order_no)
    Order.objects.filter(pk=expired.pk).update(expires_at=Now() - services.POLL_AFTER)
    Order.objects.update(next_ask_at=Now() - services.POLL_AFTER)
    services.follow_orders()
    assert [Order.objects.get(pk=order.pk).state for order in (swept, expired)] == ["paid", "closed"]
    assert (times_credited(polled), times_credited(swept), times_credited(expired)) == (1, 1, 0)
    assert f"POST /orders/{expired.order_no}/close" in third_bank.asked
    books_agree()


def test_money_goes_back_through_it(
    third_bank: Bank, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    order = paid(third_bank, buyer)
    refund = services.request_refund(
        order, order.amount_fen, number=services.next_number(order), actor=staff, reason="The customer asked for it"
    )
    services.submit_refund(refund)
    refund.refresh_from_db()
    assert refund.state == Refund.State.SUBMITTED
    third_bank.give_back(refund.refund_no)
    assert third_bank.notice(order.order_no, "refunded", refund=refund.refund_no).json() == {"ok": True}
    refund.refresh_from_db()
    order.refresh_from_db()
    assert (refund.state, order.state) == (Refund.State.SUCCEEDED, Order.State.REFUNDED)
    books_agree()


def test_its_bill_is_compared(third_bank: Bank, buyer: User, books_agree: Callable[[], None]) -> None:
    known, lost = paid(third_bank, buyer), place(buyer)
    third_bank.pay(lost.order_no)
    day = datetime.now(BEIJING).date()
    call_command("reconcile", "--gateway", "thirdbank", "--date", f"{day}", stdout=StringIO())
    # What only the bill knew is asked about, and credited.
    difference = Difference.objects.get()
    assert (difference.order_no, difference.state) == (lost.order_no, Difference.State.REPAIRED)
    assert (times_credited(known), times_credited(lost)) == (1, 1)
    books_agree()


def test_operators_set_it_up_try_it_out_and_filter_by_it(third_bank: Bank, buyer: User, staff: User) -> None:
    order = paid(third_bank, buyer)
    client = browser(staff)
    client.cookies["django_language"] = "en"
    page = client.get("/admin/topup/thirdbanksettings/1/change/").text
    for text in (
        "Lets users pay with Third Bank.",
        "Ten digits, on the first page.",
        "/api/thirdbank/message",
        "last callback",
    ):
        assert text in page
    probe = client.post("/admin/topup/thirdbanksettings/test/", headers={"HX-Request": "true"}).text
    assert "The gateway answered" in probe
    assert "Third Bank settings" in client.get("/admin/").text
    for path in ("order", "refund", "notice", "gatewaycall", "difference", "reconciliation"):
        assert "Third Bank" in client.get(f"/admin/topup/{path}/").text, path
    found = client.get("/admin/topup/order/?gateway=thirdbank").text
    assert order.order_no in found
    assert '<span class="vh-gateway vh-thirdbank">Third Bank</span>' in found
    assert "Third Bank" in client.get("/admin/topup/order/statistics/?by=gateway").text
    notice = Notice.objects.get()
    assert f"<td>{order.order_no}</td>" in client.get(f"/admin/topup/notice/{notice.pk}/change/").text


def test_its_options_are_those_of_its_section(third_bank: Bank) -> None:
    names = {name for name in read_options() if name.startswith("Thirdbank")}
    fields = {"Enabled", "MinTopUp", "Contract", "Key", "KeySet", "KeyLast4", "Address"}
    assert names == {f"Thirdbank{field}" for field in fields}


def test_a_gateway_that_is_taken_out_again_leaves_nothing() -> None:
    assert set(GATEWAYS) == {"wechat", "alipay"}
    assert Client().post("/api/thirdbank/message", json.dumps({}), content_type="application/json").status_code == 404


def test_a_gateway_is_a_folder_of_short_files_and_named_hardly_anywhere_else() -> None:
    own = [ROOT / "tests/thirdbank/gateway.py", *ROOT.glob("topup/gateways/*/*.py")]
    assert {file.name: lines for file in own if (lines := len(file.read_text().splitlines())) > 200} == {}
    named = {
        str(file.relative_to(ROOT))
        for pattern in ("topup/**/*.py", "voicehelper/**/*.py", "templates/**/*.html", "static/**/*.[cj]s*")
        for file in ROOT.glob(pattern)
        if file not in own and "migrations" not in file.parts and "alipay" in file.read_text().lower()
    }
    assert named == NAMED_IN


def test_M2_P42_another_contract_leaves_the_orders_of_the_one_before_with_it(
    third_bank: Bank, buyer: User, books_agree: Callable[[], None]
) -> None:
    order, polled = place(buyer), place(buyer)
    for each in (order, polled):
        third_bank.pay(each.order_no)
    write_options({"ThirdbankContract": "4711000999", "ThirdbankKey": "the key of another contract"})
    assert third_bank.notice(order.order_no).json() == {"ok": True}
    services.ask_provider(polled, source="poll")
    assert times_credited(order) == times_credited(polled) == 1
    accounts = MerchantAccount.objects.filter(gateway="thirdbank")
    assert dict(accounts.values_list("merchant_id", "active")) == {CONTRACT: False, "4711000999": True}
    books_agree()
