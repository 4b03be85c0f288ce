"""“Recharge 100, get 10 more”: agreed with the order, credited and refunded with it, and told to the buyer."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.conftest import sampled
from tests.merchants import AlipayMerchant
from tests.orders import pending_order
from topup import services
from topup.gateways.orders import Receipt
from topup.gateways.refunds import RefundState, RefundStatus
from topup.models import Order
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _bonuses(alipay: AlipayMerchant) -> None:
    write_options({"AmountBonus": {"100": 10, "500": 80}})


def pay(order: Order) -> Order:
    """The provider's receipt for it, settled."""
    receipt = Receipt(
        order.gateway, order.order_no, f"T{order.pk}", order.amount_fen, "CNY", order.app_id, order.merchant_id, False
    )
    assert services.settle_order(receipt, source="notice").outcome == "credited"
    order.refresh_from_db()
    return order


def give_back(order: Order, amount_fen: int, operator: User) -> int:
    """Refund a part, confirmed by the provider; the quota it took back."""
    order.refresh_from_db()
    number = services.next_number(order)
    refund = services.request_refund(order, amount_fen, number=number, actor=operator, reason="test")
    done = RefundStatus(order.order_no, refund.refund_no, RefundState.SUCCEEDED, "SUCCESS", amount_fen)
    services.settle_refund(refund, done)
    return refund.quota


def text_of(page: Any) -> str:
    body = re.sub(r"(?s)<script.*?</script>|<[^>]+>", " ", page.content.decode())
    return re.sub(r"\s+", " ", body)


def test_the_bonus_is_credited_with_the_order_and_outlives_a_change_of_the_settings(
    buyer: User, alipay: AlipayMerchant, books_agree: Callable[[], None]
) -> None:
    order = pending_order(buyer, alipay, amount=100)
    assert (order.quota, order.bonus_quota) == (55_000_000, 5_000_000)
    write_options({"AmountBonus": {}})
    pay(order)
    assert wallet_of(buyer).balance == 55_000_000
    books_agree()


@pytest.mark.parametrize(
    "parts", sampled([[69_350], [1, 69_349], [23_117, 23_117, 23_116], [1] * 7 + [69_343]], keep=2)
)
def test_F6_refunds_take_the_bonus_back_by_its_share_and_all_of_it_in_the_end(
    parts: list[int], buyer: User, staff: User, alipay: AlipayMerchant, books_agree: Callable[[], None]
) -> None:
    order = pay(pending_order(buyer, alipay, amount=100))
    taken = 0
    for number, part in enumerate(parts, 1):
        taken += give_back(order, part, staff)
        assert taken == order.quota * sum(parts[:number]) // order.amount_fen
    assert (taken, wallet_of(buyer).balance) == (55_000_000, 0)
    books_agree()


def test_info_and_the_order_speak_of_the_bonus(buyer: User, alipay: AlipayMerchant, as_user: Any) -> None:
    client: APIClient = as_user(buyer)
    assert client.get("/api/user/topup/info").json()["data"]["bonus"] == {"100": 10, "500": 80}
    order = pending_order(buyer, alipay, amount=500)
    data = client.get(f"/api/user/topup/orders/{order.order_no}").json()["data"]
    assert (data["quota"], data["bonus_quota"]) == (290_000_000, 40_000_000)
    write_options({"QuotaDisplayType": "tokens", "QuotaPerUnit": 1000})
    assert client.get("/api/user/topup/info").json()["data"]["bonus"] == {"100000": 10_000, "500000": 80_000}


def test_the_pages_tell_the_buyer_what_is_on_top(buyer: User, alipay: AlipayMerchant) -> None:
    browser = Client(headers={"accept-language": "zh-CN"})
    browser.force_login(buyer)
    form = text_of(browser.get("/recharge?amount=100"))
    assert "100 9.5折 送 10 实付 ¥693.50" in form
    assert "55,000,000 （含赠送 5,000,000）" in form
    assert "（含赠送" not in text_of(browser.get("/recharge?amount=10"))
    order = pay(pending_order(buyer, alipay, amount=100))
    assert "+55,000,000 （含赠送 5,000,000）" in text_of(browser.get(f"/recharge/orders/{order.order_no}"))
    assert "+55,000,000 （含赠送 5,000,000）" in text_of(browser.get("/recharge/orders"))


def test_the_operator_sees_the_bonus_on_the_order(buyer: User, staff: User, alipay: AlipayMerchant) -> None:
    desk = Client(headers={"accept-language": "en"})
    desk.force_login(staff)
    order = pending_order(buyer, alipay, amount=100)
    assert "55,000,000 (of it a bonus of 5,000,000)" in desk.get(f"/admin/topup/order/{order.pk}/change/").text
