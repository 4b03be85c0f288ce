"""What operators have set is kept between orders and notices, and never older than it is in the database."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from tests.far_side import FarSide, http
from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from topup.gateways.notices import IncomingNotice
from topup.models import MerchantAccount, Notice, Order, RechargeSettings
from topup.models.sections.wechat import WeChatSettings
from topup.services import Settlement, gateway_for_new_orders, open_gateway, settle_order
from topup.services.configured import configured
from topup.services.errors import GatewayOff
from voicehelper.accounts.models import MiniProgramSettings, User
from voicehelper.net.http import Limits
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit, wallet_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _sections_are_there(wechat: WeChatMerchant) -> None:
    """Sections are made on first use, and an account is."""
    MiniProgramSettings.load()
    assert open_gateway("wechat").account
    configured()


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


CHANGES: dict[str, Callable[[], object]] = {
    "a form": lambda: RechargeSettings.load().save(),
    "an update": lambda: RechargeSettings.objects.update(price="9.9"),
    "plain SQL": lambda: sql("UPDATE topup_wechatsettings SET min_topup = 5"),
    "the mini program": lambda: MiniProgramSettings.objects.update(app_id="wx1"),
    "an account": lambda: MerchantAccount.objects.update(app_ids=[]),
    "an account that is gone": lambda: sql("DELETE FROM topup_merchantaccount"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whoever_writes_a_row_and_however_it_is_read_again(
    wechat: WeChatMerchant, change: Callable[[], object], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        before = configured()
    change()
    after = configured()
    assert after.sections is not before.sections
    with django_assert_num_queries(1):
        assert configured().sections is after.sections


def test_what_was_taken_back_is_forgotten(wechat: WeChatMerchant) -> None:
    with transaction.atomic():
        WeChatSettings.objects.update(enabled=False)
        with pytest.raises(GatewayOff):
            gateway_for_new_orders("wechat")
        transaction.set_rollback(True)
    assert gateway_for_new_orders("wechat")
    with transaction.atomic():
        WeChatSettings.objects.update(enabled=False)
    with pytest.raises(GatewayOff):
        gateway_for_new_orders("wechat")


def test_one_call_s_limits_are_not_the_next_one_s(wechat: WeChatMerchant) -> None:
    hurried = open_gateway("wechat", limits=Limits(total_s=1))
    assert hurried.until_ns
    assert not open_gateway("wechat").until_ns
    assert open_gateway("wechat").limits != hurried.limits


def test_a_notice_takes_four_statements(
    provider: Client, wechat: WeChatMerchant, buyer: User, django_assert_num_queries: Any
) -> None:
    wallet_of(buyer)
    order, other = pending_order(buyer, wechat), pending_order(buyer, wechat)
    provider.post("/api/wechat/notify", wechat.notice(other), content_type="text/xml")
    # What operators have set, the order, the notice; and the credit, which tests wrap in a savepoint.
    with django_assert_num_queries(4 + 2):
        provider.post("/api/wechat/notify", wechat.notice(order), content_type="text/xml")
    order.refresh_from_db()
    notice = Notice.objects.get(order=order)
    assert (order.state, notice.verdict, notice.acknowledged) == ("paid", "credited", True)


def test_an_order_takes_five_statements(
    as_user: Callable[[User], APIClient],
    wechat: WeChatMerchant,
    buyer: User,
    settings: Any,
    django_assert_num_queries: Any,
) -> None:
    client, asked = as_user(buyer), {"amount": 10, "payment_method": "wechat"}
    code_url = {"return_code": "SUCCESS", "result_code": "SUCCESS", "code_url": "weixin://wxpay/bizpayurl?pr=x"}
    answer = wechat.xml(code_url | {"appid": wechat.app_id, "mch_id": wechat.mch_id})
    with FarSide(lambda _seen: http(answer)) as far:
        settings.WECHAT_PAY_BASE_URL = far.url
        client.post("/api/user/wechat/pay", asked, format="json")
        # Who asks, what operators have set, the order, the call, and what the provider offers.
        with django_assert_num_queries(5):
            told = client.post("/api/user/wechat/pay", asked, format="json")
    assert told.json()["data"]["pay_url"] == code_url["code_url"]
    order = Order.objects.get(order_no=told.json()["data"]["order_id"])
    assert (order.state, order.pay_url) == ("pending", code_url["code_url"])
    assert order.offered_at is not None


def test_an_order_whose_entry_is_there_already_is_not_moved(wechat: WeChatMerchant, buyer: User) -> None:
    order = pending_order(buyer, wechat)
    credit(buyer, 1, kind=Entry.Kind.TOPUP, ref=order.order_no, actor="test")
    receipt = open_gateway("wechat").open(IncomingNotice(wechat.notice(order))).receipt
    assert receipt is not None
    with pytest.raises(IntegrityError):
        settle_order(receipt, source="notice")
    order.refresh_from_db()
    assert (order.state, wallet_of(buyer).balance) == ("pending", 1)


def test_a_first_recharge_makes_the_wallet(wechat: WeChatMerchant, buyer: User) -> None:
    order = pending_order(buyer, wechat)
    receipt = open_gateway("wechat").open(IncomingNotice(wechat.notice(order))).receipt
    assert receipt is not None
    assert settle_order(receipt, source="notice").outcome == Settlement.CREDITED
    assert wallet_of(buyer).balance == order.quota
