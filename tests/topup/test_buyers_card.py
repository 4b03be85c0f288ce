"""What a buyer is told before and after he pays, whom to ask, and how to give an order up."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from notifications.models import Alert
from sandbox import buyer as phone
from tests.conftest import rarely, sampled
from tests.faults.scripted import Merchant, ScriptedProvider, gateway_of
from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from tests.refunds import open_accounts, paid_order, sandbox_server, trade_of
from topup import services
from topup.gateways import GATEWAYS
from topup.models import Order, RechargeSettings
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)


SIX_MINUTES = timedelta(minutes=6)


@pytest.fixture
def provider(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address:
        open_accounts(address, settings)
        yield address


@pytest.fixture(params=["wechat", *rarely("alipay")])
def merchant(request: pytest.FixtureRequest) -> Merchant:
    found: Merchant = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def page(buyer: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(buyer)
    return client


def test_the_card_says_what_is_sold_by_whom_and_whom_to_ask(page: Client, buyer: User, wechat: WeChatMerchant) -> None:
    order = pending_order(buyer, wechat)
    write_options({"SupportContact": "kefu@example.com · <b>"})
    RechargeSettings.objects.update(merchant_name="Example Ltd")
    card = page.get(f"/recharge/orders/{order.order_no}").text
    for words in (
        "AI service recharge",
        "5,000,000",
        "Example Ltd",
        "kefu@example.com · &lt;b&gt;",
        "Cancel this order",
    ):
        assert words in card, words
    chinese = Client(headers={"accept-language": "zh-hans"})
    chinese.force_login(buyer)
    card = chinese.get(f"/recharge/orders/{order.order_no}").text
    for words in ("AI服务充值", "商户", "取消订单"):
        assert words in card, words
    Order.objects.update(state="failed")
    assert "kefu@example.com" in page.get(f"/recharge/orders/{order.order_no}").text
    assert "kefu@example.com" in page.get("/recharge").text


def cancel(page: Client, order: Order) -> str:
    return page.post(f"/recharge/orders/{order.order_no}/cancel", follow=True).text


def test_an_order_that_is_cancelled_is_closed_at_the_platform(provider: str, page: Client, buyer: User) -> None:
    order = services.place_order(buyer, "alipay", 10, client_ip="127.0.0.1")
    phone.scan(order.pay_url)
    assert "You have cancelled this order" in cancel(page, order)
    order.refresh_from_db()
    assert (order.state, trade_of(order).state) == ("closed", "closed")
    assert "Cancelled" in page.get("/recharge/orders").text
    # Once more is harmless.
    assert "You have cancelled this order" in cancel(page, order)


@pytest.mark.rare
def test_a_young_order_is_closed_as_soon_as_the_platform_allows_it(provider: str, page: Client, buyer: User) -> None:
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    text = cancel(page, order)
    assert "This order is being cancelled" in text
    assert "data-code" not in text
    order.refresh_from_db()
    assert order.state == "pending"
    assert order.next_ask_at is not None
    assert (order.next_ask_at - order.created).total_seconds() >= 300
    api = page.get(f"/api/user/topup/orders/{order.order_no}").json()["data"]
    assert api["pay_url"] == ""
    moment = clock.now()
    Order.objects.filter(pk=order.pk).update(created=moment - SIX_MINUTES, next_ask_at=moment)
    trade = trade_of(order)
    type(trade).objects.filter(pk=trade.pk).update(created_at=moment - SIX_MINUTES)
    services.follow_orders()
    order.refresh_from_db()
    assert order.state == "closed"


@pytest.mark.rare
@pytest.mark.parametrize("gateway", ["wechat", "alipay"])
def test_who_cancels_what_was_paid_meanwhile_has_the_quota(
    gateway: str, provider: str, page: Client, buyer: User, books_agree: Callable[[], None]
) -> None:
    order = services.place_order(buyer, gateway, 10, client_ip="127.0.0.1")
    phone.pay(trade_of(order), {"drop": {}})
    assert "Payment received" in cancel(page, order)
    order.refresh_from_db()
    assert (order.state, order.credited_by, wallet_of(buyer).balance) == ("paid", "cancel", 5_000_000)
    books_agree()


def test_nobody_cancels_another_ones_order(page: Client, other_user: User, wechat: WeChatMerchant) -> None:
    order = pending_order(other_user, wechat)
    assert page.post(f"/recharge/orders/{order.order_no}/cancel").status_code == 404
    assert page.get(f"/recharge/orders/{order.order_no}/cancel").status_code == 405
    assert page.get(f"/recharge/orders/{order.order_no}/receipt").status_code == 404
    assert Order.objects.get().cancelled_at is None


def test_the_receipt_has_what_was_paid_and_the_balance_then(
    provider: str, page: Client, buyer: User, staff: User
) -> None:
    order = paid_order(buyer, "wechat")
    write_options({"SupportContact": "kefu@example.com"})
    assert f"/recharge/orders/{order.order_no}/receipt" in page.get(f"/recharge/orders/{order.order_no}").text
    paid_order(buyer, "alipay")
    services.submit_refund(services.request_refund(order, 300, number=1, actor=staff, reason="x"))
    services.ask_refund(order.refunds.get())
    text = page.get(f"/recharge/orders/{order.order_no}/receipt").text
    when = f"{order.paid_at.astimezone(clock.BEIJING):%Y-%m-%d %H:%M:%S}" if order.paid_at else ""
    shown = (
        order.order_no,
        str(order.transaction_id),
        "¥73.00",
        "¥3.00",
        "5,000,000",
        "WeChat Pay",
        "VoiceHelper",
        when,
    )
    for words in (*shown, "kefu@example.com", "Balance then"):
        assert words in text, words
    assert "10,000,000" not in text
    waiting = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    assert page.get(f"/recharge/orders/{waiting.order_no}/receipt").status_code == 404


ODD = [
    "https://evil.example/pay",
    "weixin://wxpay.evil/bizpayurl?pr=1",
    "weixin://dl/business",
    "javascript:alert(1)",
    "https://qr.alipay.com.evil.example/x",
    "https://qr.alipay.com@evil.example/x",
    "http://qr.alipay.com/x",
    "https://qr.alipay.com/x y",
    "https://qr.alipay.com/\u0430",
    "alipays://platformapi/startapp",
]


@pytest.mark.rare
def test_an_odd_address_to_pay_at_is_shown_to_nobody_and_the_order_is_asked_about(
    merchant: Merchant, settings: Any, buyer: User, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, answers = gateway_of(merchant), ScriptedProvider._judge
    for number, odd in enumerate(ODD):

        def judge(self: ScriptedProvider, call: Any, odd: str = odd) -> dict[str, str]:
            fields = answers(self, call)
            return {key: odd if key in ("code_url", "qr_code") else value for key, value in fields.items()}

        monkeypatch.setattr(ScriptedProvider, "_judge", judge)
        with ScriptedProvider(merchant, settings), pytest.raises(services.PaymentNotOffered) as refused:
            services.place_order(buyer, name, 10, client_ip="127.0.0.1", idempotency_key=f"{number}")
        order = Order.objects.get(pk=refused.value.order.pk)
        assert (order.pay_url, order.state, refused.value.unknown) == ("", "created", True), odd
        assert order.next_ask_at is not None
        assert odd not in page.get(f"/recharge/orders/{order.order_no}").text
    assert Alert.objects.get(event="odd_pay_address").level == "critical"


@pytest.mark.parametrize(
    ("gateway", "trade_type", "address"),
    sampled(
        [
            ("wechat", "NATIVE", "weixin://wxpay/bizpayurl?pr=NwY5Mz9"),
            ("wechat", "", "weixin://wxpay/bizpayurl/up?pr=NwY5Mz9&groupid=00"),
            ("wechat", "NATIVE", "weixin://wxpay/s/An4baqw"),
            ("wechat", "MWEB", "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx2&package=1"),
            ("alipay", "PRECREATE", "https://qr.alipay.com/bavh4wjlxf12tper3a"),
            ("alipay", "WAP", "https://openapi.alipay.com/gateway.do?method=alipay.trade.wap.pay"),
        ],
        keep=4,
    ),
)
def test_addresses_as_the_platforms_make_them_are_shown(
    gateway: str, trade_type: str, address: str, settings: Any, merchant: Merchant
) -> None:
    settings.WECHAT_PAY_BASE_URL = settings.ALIPAY_GATEWAY_URL = ""
    if gateway_of(merchant) != gateway:
        return
    real = services.open_gateway(gateway)
    assert real.live
    assert real.offers(trade_type, address)
    other = next(name for name in GATEWAYS[gateway].trade_types if name != (trade_type or "NATIVE"))
    assert not real.offers(other, address) or (gateway == "alipay" and {other, trade_type} <= {"WAP", "PAGE"})
