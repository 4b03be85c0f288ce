"""How many clicks an operator needs for what customers ask every day; and that what buyers are told fits a phone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from selenium.webdriver import Keys

from sandbox import buyer as phone
from sandbox.models import Trade
from tests.browser.person import Person
from tests.operators import clerk
from tests.processes import Server
from topup import services
from topup.models import Order, RechargeSettings, Refund
from voicehelper import clock
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = "a[href='/admin/topup/order/']"
BOX = "#searchbar, [name=q]"


class Counting:
    """An operator whose clicks and Enters are counted, from the front page on."""

    def __init__(self, operator: Person, staff: User) -> None:
        self.clicks, self.operator = 0, operator
        operator.is_signed_in(staff)
        operator.visit("/admin/")

    def click(self, selector: str) -> None:
        self.clicks += 1
        self.operator.click(selector)
        self.operator.loaded()

    def look_for(self, term: str) -> None:
        self.click(ORDERS)
        self.operator.sees(BOX)
        self.operator.fill(BOX, term)
        self.clicks += 1
        self.operator.press(Keys.ENTER)
        self.operator.until(lambda: "q=" in self.operator.path, "nothing was searched")
        self.operator.loaded()


@pytest.fixture
def operator(open_browser: Callable[..., Person], staff: User) -> Counting:
    return Counting(open_browser("desktop"), staff)


@pytest.fixture
def lost(shop: User, server: Server, settings: Any) -> Trade:
    """Paid at WeChat Pay; its notice never came."""
    settings.WECHAT_PAY_BASE_URL = f"{server.address}/sandbox/wechat"
    settings.ALIPAY_GATEWAY_URL = f"{server.address}/sandbox/alipay/gateway.do"
    order = services.place_order(shop, "wechat", 10, client_ip="127.0.0.1")
    trade = Trade.objects.select_related("merchant").get(out_trade_no=order.order_no)
    return phone.pay(trade, {"drop": {}})


def is_credited(operator: Counting) -> None:
    operator.operator.until(lambda: Order.objects.get().state == "paid", "not credited")
    operator.operator.sees("#content-main", "5,000,000")


def test_paid_no_quota_by_the_platforms_number_takes_at_most_four_clicks(operator: Counting, lost: Trade) -> None:
    operator.look_for(lost.transaction_id)
    operator.click("#ask-wechat")
    is_credited(operator)
    assert operator.clicks <= 4


@pytest.mark.rare
def test_paid_no_quota_by_amount_and_hour_takes_at_most_five_clicks(operator: Counting, lost: Trade) -> None:
    moment = (clock.now() - timedelta(minutes=1)).astimezone(clock.BEIJING)
    operator.look_for(f"73.00 {moment:%H:%M}")
    operator.click(f"a[href*='/admin/topup/order/{Order.objects.get().pk}/change/']")
    operator.click("form[action$='/do/ask/'] button")
    is_credited(operator)
    assert operator.clicks <= 5


@pytest.mark.rare
def test_a_refund_with_a_second_look_takes_at_most_three_clicks(operator: Counting, lost: Trade) -> None:
    RechargeSettings.objects.update(approve_refunds_above="1")
    services.ask_provider(Order.objects.get(), source="admin")
    order = Order.objects.get()
    helper = clerk("view_order", "change_order", "view_refund", "add_refund", "change_refund")
    operator.operator.is_signed_in(helper)
    operator.operator.visit(f"/admin/topup/order/{order.pk}/change/")
    operator.operator.fill("form[action$='/refund/'] [name=reason]", "Bought by mistake")
    operator.click("form[action$='/refund/'] button")
    operator.operator.sees("#confirm", "¥73.00")
    operator.click("#confirm")
    operator.operator.until(lambda: Refund.objects.get().needs_approval, "no refund")
    assert operator.clicks <= 3


@pytest.mark.rare
def test_a_slip_of_the_decimal_point_is_seen_before_it_is_saved(operator: Counting, shop: User) -> None:
    person = operator.operator
    person.visit("/admin/topup/rechargesettings/1/change/")
    person.fill("[name=price]", "730")
    person.fill("[name=current_password]", "a long operator password")
    operator.click("[name=_save]")
    person.sees("#effects", "+9,900 %")
    assert RechargeSettings.load().price < 10
    operator.click("[name=sure]")
    operator.click("[name=_save]")
    person.until(lambda: RechargeSettings.load().price == 730, "not saved")


def test_a_buyer_cancels_with_one_click_and_reads_his_receipt_on_a_small_phone(
    shop: User, open_browser: Callable[..., Person], lost: Trade
) -> None:
    RechargeSettings.objects.update(support_contact="kefu@example.com", merchant_name="Example Ltd")
    buyer = open_browser("small phone")
    buyer.is_signed_in(shop)
    second = services.place_order(shop, "alipay", 10, client_ip="127.0.0.1")
    buyer.visit(f"/recharge/orders/{second.order_no}")
    for words in ("AI service recharge", "Example Ltd", "kefu@example.com"):
        buyer.sees("#card", words)
    buyer.click(".cancel button")
    buyer.until(lambda: Order.objects.get(pk=second.pk).cancelled_at, "not cancelled")
    buyer.sees("#card", "ancelled")
    services.ask_provider(Order.objects.get(order_no=lost.out_trade_no), source="admin")
    buyer.visit(f"/recharge/orders/{lost.out_trade_no}/receipt")
    buyer.sees(".receipt", lost.transaction_id)
    assert buyer.script("return document.documentElement.scrollWidth <= innerWidth")
    assert buyer.complaints() == []
