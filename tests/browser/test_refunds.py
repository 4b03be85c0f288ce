"""Refunding with a keyboard: Enter alone gives nothing back."""

from collections.abc import Callable

import pytest
from selenium.webdriver import Keys

from tests.browser.person import Person
from tests.merchants import ALIPAY
from tests.orders import pending_order
from topup import services
from topup.gateways.orders import Receipt
from topup.models import Order, Refund
from voicehelper.accounts.models import User
from voicehelper.admin.base import change_url

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order(shop: User) -> Order:
    gateway = services.open_gateway("alipay")
    account = {"app_id": gateway.app_id, "merchant_id": gateway.merchant_id, "live": False}
    order = pending_order(shop, ALIPAY, **account)
    receipt = Receipt("alipay", order.order_no, "2026", order.amount_fen, "CNY", paid_at=None, **account)
    assert services.settle_order(receipt, source="notice").outcome == services.Settlement.CREDITED
    return order


@pytest.mark.rare
@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "without"])
def test_enter_in_the_reason_shows_what_would_happen_and_only_the_button_does_it(
    order: Order, staff: User, open_browser: Callable[..., Person], javascript: bool
) -> None:
    operator = open_browser("phone", javascript=javascript)
    operator.is_signed_in(staff)
    operator.visit(change_url(order))
    operator.fill("[name=reason]", "Bought by mistake")
    operator.press(Keys.ENTER)
    operator.sees("#confirm", "¥73.00")
    for words in ("buyer", "¥73.00", f"{order.quota:,}", "Bought by mistake"):
        operator.sees("#content-main", words)
    # Whoever presses it again in a hurry, or twice, still gives nothing back.
    operator.press(Keys.ENTER, Keys.ENTER)
    assert operator.has("#confirm")
    assert not Refund.objects.exists()
    assert operator.script("return document.documentElement.scrollWidth <= innerWidth")
    operator.click("#confirm")
    operator.until(lambda: "/topup/refund/" in operator.path, "no refund")
    assert Refund.objects.get().amount_fen == 7300
