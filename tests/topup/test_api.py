"""The contract of the recharge routes: shapes, words, statuses, limits, idempotency, pages."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.conftest import rarely, sampled
from tests.faults.scripted import ScriptedProvider, gateway_of
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup.models import Notice, Order
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db

Merchant = WeChatMerchant | AlipayMerchant


@pytest.fixture(params=["wechat", *rarely("alipay")])
def merchant(request: pytest.FixtureRequest) -> Merchant:
    found: Merchant = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def scripted(merchant: Merchant, settings: Any) -> Iterator[ScriptedProvider]:
    with ScriptedProvider(merchant, settings) as provider:
        yield provider


@pytest.fixture
def client_of_buyer(buyer: User, as_user: Callable[..., APIClient]) -> APIClient:
    return as_user(buyer)


def pay(client: APIClient, gateway: str, amount: Any = 10, **headers: str) -> Any:
    body = {"amount": amount, "payment_method": gateway}
    return client.post(f"/api/user/{gateway}/pay", body, format="json", **headers)


def quote(client: APIClient, amount: Any = 10, method: Any = "wechat") -> Any:
    return client.post("/api/user/amount", {"amount": amount, "payment_method": method}, format="json")


def says(answer: Any, status: int, words: str) -> bool:
    """An error of a payment route, in its dialect."""
    return (answer.status_code, answer.json()) == (status, {"message": "error", "data": words})


# --- POST /api/user/{wechat,alipay}/pay ------------------------------------------------------------------------------
def test_paying_answers_with_what_to_show_and_the_order(
    client_of_buyer: APIClient, merchant: Merchant, scripted: ScriptedProvider, settings: Any
) -> None:
    gateway = gateway_of(merchant)
    answer = pay(client_of_buyer, gateway)
    assert answer.status_code == 200
    assert answer.json()["message"] == "success"
    assert set(answer.json()["data"]) == {"pay_url", "order_id"}
    order = Order.objects.get(order_no=answer.json()["data"]["order_id"])
    assert answer.json()["data"]["pay_url"] == order.pay_url
    assert order.pay_url.startswith("weixin://" if gateway == "wechat" else "https://qr.alipay.com/")
    assert re.fullmatch(r"[0-9A-Za-z_]{6,32}", order.order_no)
    told = scripted.calls[0].fields
    assert told["body" if gateway == "wechat" else "subject"] == "AI服务充值"
    assert told["total_fee" if gateway == "wechat" else "total_amount"] == ("7300" if gateway == "wechat" else "73.00")
    assert told["notify_url"] == f"{settings.SERVER_ADDRESS}/api/{gateway}/notify"
    assert (order.state, order.amount_fen, order.quota, order.live) == ("pending", 7300, 5_000_000, False)


def test_the_callback_address_is_the_operators_when_he_entered_one(
    client_of_buyer: APIClient, merchant: Merchant, scripted: ScriptedProvider
) -> None:
    write_options({"ServerAddress": "https://pay.example.com/base/"})
    pay(client_of_buyer, gateway_of(merchant))
    assert scripted.calls[0].fields["notify_url"] == f"https://pay.example.com/base/api/{gateway_of(merchant)}/notify"


@pytest.mark.parametrize(
    "body",
    sampled(["", "{", "[]", "10", "null", '"x"', "{}", '{"payment_method": "wechat"}', '{"amount": 1e400}'], keep=3),
)
def test_a_body_that_is_none_is_a_parameter_error(
    body: str, client_of_buyer: APIClient, wechat: WeChatMerchant
) -> None:
    for url in ("/api/user/wechat/pay", "/api/user/amount"):
        assert says(client_of_buyer.post(url, body, content_type="application/json"), 400, "参数错误")


def test_a_form_is_not_json(client_of_buyer: APIClient, wechat: WeChatMerchant) -> None:
    for url in ("/api/user/wechat/pay", "/api/user/amount"):
        answer = client_of_buyer.post(
            url, "amount=10&payment_method=wechat", content_type="application/x-www-form-urlencoded"
        )
        assert answer.status_code == 415
        assert answer.json() == {"message": "error", "data": "参数错误"}


@pytest.mark.parametrize("method", sampled(["paypal", "", "WECHAT", "alipay ", "微信"], keep=2))
def test_a_channel_there_is_not_is_refused(method: str, client_of_buyer: APIClient, merchant: Merchant) -> None:
    url = f"/api/user/{gateway_of(merchant)}/pay"
    if method.strip() != gateway_of(merchant):
        answer = client_of_buyer.post(url, {"amount": 10, "payment_method": method}, format="json")
        assert says(answer, 400, "不支持的支付渠道")
        assert says(quote(client_of_buyer, 10, method if method != "alipay " else "x"), 400, "不支持的支付渠道")
    other = "alipay" if gateway_of(merchant) == "wechat" else "wechat"
    answer = client_of_buyer.post(url, {"amount": 10, "payment_method": other}, format="json")
    assert says(answer, 400, "不支持的支付渠道")


@pytest.mark.parametrize(("least", "amount", "words"), [(1, 0, 1), (1, -5, 1), (8, 7, 8)])
def test_less_than_the_least_is_refused_with_the_least(
    least: int, amount: int, words: int, client_of_buyer: APIClient, wechat: WeChatMerchant
) -> None:
    wechat.configure(WechatMinTopUp=least)
    for answer in (pay(client_of_buyer, "wechat", amount), quote(client_of_buyer, amount)):
        assert says(answer, 400, f"充值数量不能小于 {words}")


@pytest.mark.parametrize(
    ("gateway", "words"), [("wechat", "管理员未开启微信支付！"), ("alipay", "管理员未开启支付宝支付！")]
)
def test_a_gateway_that_is_off_is_503(gateway: str, words: str, client_of_buyer: APIClient) -> None:
    assert says(pay(client_of_buyer, gateway), 503, words)
    assert not Order.objects.exists()


def test_a_provider_that_refuses_or_is_silent_is_502_and_the_order_is_kept(
    client_of_buyer: APIClient, merchant: Merchant, scripted: ScriptedProvider, settings: Any
) -> None:
    scripted.answers = [b"<html>502 Bad Gateway</html>"]
    assert says(pay(client_of_buyer, gateway_of(merchant)), 502, "拉起支付失败")
    settings.WECHAT_PAY_BASE_URL = settings.ALIPAY_GATEWAY_URL = "http://127.0.0.1:9"
    assert says(pay(client_of_buyer, gateway_of(merchant)), 502, "拉起支付失败")
    assert [order.state for order in Order.objects.all()] == ["created", "created"]
    assert all(order.next_ask_at for order in Order.objects.all())


def test_who_is_not_signed_in_is_401_in_the_routes_dialect(as_user: Any, wechat: WeChatMerchant) -> None:
    for answer in (pay(as_user(None), "wechat"), pay(as_user(None), "alipay"), quote(as_user(None))):
        assert says(answer, 401, "请先登录")
    stale = APIClient()
    stale.credentials(HTTP_AUTHORIZATION="Bearer vh-stale")
    assert says(quote(stale), 401, "登录已过期，请重新登录")
    for url in ("/api/user/topup/info", "/api/user/topup/orders", "/api/user/topup/orders/x", "/api/user/self"):
        answer = as_user(None).get(url)
        assert (answer.status_code, answer.json()) == (401, {"success": False, "message": "请先登录"})


def test_another_method_is_405(client_of_buyer: APIClient, wechat: WeChatMerchant) -> None:
    for url in ("/api/user/wechat/pay", "/api/user/alipay/pay", "/api/user/amount"):
        for method in ("get", "put", "patch", "delete"):
            answer = getattr(client_of_buyer, method)(url)
            assert (answer.status_code, answer.json()["message"]) == (405, "error")
    for url in ("/api/user/topup/info", "/api/user/topup/orders", "/api/user/topup/orders/x"):
        for method in ("post", "put", "patch", "delete"):
            answer = getattr(client_of_buyer, method)(url)
            assert (answer.status_code, answer.json()["success"]) == (405, False)


def test_english_readers_get_english(client_of_buyer: APIClient) -> None:
    answer = quote(client_of_buyer, 10, "paypal")
    assert answer.json()["data"] == "不支持的支付渠道"
    body = {"amount": 10, "payment_method": "paypal"}
    answer = client_of_buyer.post("/api/user/amount", body, format="json", HTTP_ACCEPT_LANGUAGE="en")
    assert answer.json()["data"] == "Unsupported payment channel"


# --- Limits ----------------------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_twenty_payments_in_twenty_minutes_and_then_one_waits(
    client_of_buyer: APIClient, other_user: User, as_user: Any, merchant: Merchant, scripted: ScriptedProvider
) -> None:
    gateway = gateway_of(merchant)
    # Quotes do not eat it, before or after.
    assert all(quote(client_of_buyer, 10, gateway).status_code == 200 for _ in range(30))
    assert all(pay(client_of_buyer, gateway).status_code == 200 for _ in range(20))
    braked = pay(client_of_buyer, gateway)
    assert braked.status_code == 429
    assert braked.json() == {"message": "error", "data": "请求过于频繁，请稍后再试"}
    assert 1 <= int(braked["Retry-After"]) <= 1200
    assert quote(client_of_buyer, 10, gateway).status_code == 200
    assert Order.objects.count() == 20
    # The address is counted as well, so a second account at it does not help; from elsewhere he may.
    assert pay(as_user(other_user), gateway).status_code == 429
    assert pay(as_user(other_user), gateway, REMOTE_ADDR="203.0.113.5").status_code == 200
    # And neither does another address help the user.
    assert pay(client_of_buyer, gateway, REMOTE_ADDR="203.0.113.6").status_code == 429


def test_both_gateways_share_the_limit_and_it_is_the_deployers(
    client_of_buyer: APIClient, wechat: WeChatMerchant, alipay: AlipayMerchant, settings: Any
) -> None:
    settings.PAY_RATE_LIMIT = "2 per minute"
    assert [pay(client_of_buyer, name).status_code for name in ("wechat", "alipay", "wechat", "alipay")] == [
        502,
        502,
        429,
        429,
    ]


def test_what_is_no_payment_is_not_counted(client_of_buyer: APIClient, wechat: WeChatMerchant, settings: Any) -> None:
    settings.PAY_RATE_LIMIT = "1 per minute"
    for _ in range(3):
        assert pay(client_of_buyer, "wechat", "nonsense").status_code == 400
    assert pay(client_of_buyer, "wechat").status_code == 502
    assert pay(client_of_buyer, "wechat").status_code == 429


# --- Idempotency -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["k" * 129, "a\x00b", "a\tb", "\x7f"])
def test_a_key_that_is_none_is_a_parameter_error(key: str, client_of_buyer: APIClient, wechat: WeChatMerchant) -> None:
    assert says(pay(client_of_buyer, "wechat", HTTP_IDEMPOTENCY_KEY=key), 400, "参数错误")


# --- What was quoted ------------------------------------------------------------------------------------------------
def pay_as_quoted(client: APIClient, gateway: str, quoted: Any, **headers: str) -> Any:
    body = {"amount": 10, "payment_method": gateway, "quoted": quoted}
    return client.post(f"/api/user/{gateway}/pay", body, format="json", **headers)


def test_P47_a_price_that_no_longer_holds_is_told_and_nothing_is_ordered(
    client_of_buyer: APIClient, merchant: Merchant, scripted: ScriptedProvider, books_agree: Callable[[], None]
) -> None:
    gateway = gateway_of(merchant)
    quoted = quote(client_of_buyer, method=gateway).json()["data"]
    write_options({"Price": "9.9"})
    answer = pay_as_quoted(client_of_buyer, gateway, quoted)
    words = "价格已变动，现在需支付 ¥99.00。再次支付即表示同意。"
    assert (answer.status_code, answer.json()) == (409, {"message": "error", "data": words, "quoted": "99.00"})
    assert (Order.objects.count(), len(scripted.calls)) == (0, 0)
    assert pay_as_quoted(client_of_buyer, gateway, answer.json()["quoted"]).status_code == 200
    assert pay_as_quoted(client_of_buyer, gateway, None).status_code == pay(client_of_buyer, gateway).status_code == 200
    assert list(Order.objects.values_list("amount_fen", flat=True)) == [9900] * 3
    books_agree()


def test_P47_the_order_of_a_repeated_key_keeps_the_price_it_was_placed_at(
    client_of_buyer: APIClient, merchant: Merchant, scripted: ScriptedProvider
) -> None:
    """The first answer was lost, the price was raised, the client asks again: the order is there, at its price."""
    gateway = gateway_of(merchant)
    first = pay_as_quoted(client_of_buyer, gateway, "73.00", HTTP_IDEMPOTENCY_KEY="k")
    write_options({"Price": "9.9"})
    again = pay_as_quoted(client_of_buyer, gateway, "73.00", HTTP_IDEMPOTENCY_KEY="k")
    assert (again.status_code, again.json()) == (200, first.json())
    answer = pay_as_quoted(client_of_buyer, gateway, "99.00", HTTP_IDEMPOTENCY_KEY="k")
    assert (answer.status_code, answer.json()["quoted"]) == (409, "73.00")
    assert Order.objects.get().amount_fen == 7300


SINCE: dict[str, dict[str, Any]] = {
    "M1 switched off": {"WechatEnabled": False},
    "M1 its key is gone": {"WechatEnabled": False, "WechatApiV2Key": None},
    "M7 the least amount is more": {"WechatMinTopUp": 11},
    "M7 it costs more": {"Price": "9.9"},
    "M7 it brings less": {"QuotaPerUnit": 250_000},
}


@pytest.mark.parametrize("since", SINCE.values(), ids=SINCE)
def test_C12_P40_the_order_of_a_repeated_key_is_there_whatever_was_set_since(
    client_of_buyer: APIClient, wechat: WeChatMerchant, settings: Any, since: dict[str, Any]
) -> None:
    """The first answer was lost: asking again is no new order."""
    with ScriptedProvider(wechat, settings) as scripted:
        first = pay(client_of_buyer, "wechat", HTTP_IDEMPOTENCY_KEY="k")
        write_options(since)
        again = pay(client_of_buyer, "wechat", HTTP_IDEMPOTENCY_KEY="k")
        assert (again.status_code, again.json()) == (200, first.json())
        other = {"amount": 11, "payment_method": "wechat"}
        answer = client_of_buyer.post("/api/user/wechat/pay", other, format="json", HTTP_IDEMPOTENCY_KEY="k")
        assert answer.status_code == 409
        assert scripted.operations() == ["create"]
    assert Order.objects.get().amount_fen == 7300


LESS: dict[str, dict[str, Any]] = {"the bonus": {"AmountBonus": {}}, "what a unit brings": {"QuotaPerUnit": 250_000}}


@pytest.mark.parametrize("less", LESS.values(), ids=LESS)
def test_P47_what_an_order_brings_is_agreed_like_what_it_costs(
    client_of_buyer: APIClient, wechat: WeChatMerchant, settings: Any, less: dict[str, Any]
) -> None:
    write_options({"AmountBonus": {"10": 1}})
    body = {"amount": 10, "payment_method": "wechat", "quoted": "73.00", "quoted_quota": 5_500_000}
    with ScriptedProvider(wechat, settings) as scripted:
        write_options(less)
        answer = client_of_buyer.post("/api/user/wechat/pay", body, format="json")
        told = answer.json()
        assert (answer.status_code, told["quoted"], scripted.calls) == (409, "73.00", [])
        assert f"¥73.00 现可得 {told['quoted_quota']:,} 额度" in told["data"]
        body["quoted_quota"] = told["quoted_quota"]
        assert client_of_buyer.post("/api/user/wechat/pay", body, format="json").status_code == 200
    assert Order.objects.get().quota == told["quoted_quota"] < 5_500_000


@pytest.mark.parametrize("quoted", ["free", "NaN", "73.001", "-73.00", [], 10**30])
def test_P47_a_quote_that_is_none_is_a_parameter_error(
    quoted: Any, client_of_buyer: APIClient, wechat: WeChatMerchant
) -> None:
    assert says(pay_as_quoted(client_of_buyer, "wechat", quoted), 400, "参数错误")


# --- POST /api/user/amount, GET /api/user/topup/info -----------------------------------------------------------------
def test_the_group_of_the_user_chooses_the_ratio(buyer: User, as_user: Any, wechat: WeChatMerchant) -> None:
    write_options({"TopupGroupRatio": {"default": "1", "vip": "0.8"}})
    User.objects.filter(pk=buyer.pk).update(group="vip")
    assert quote(as_user(buyer)).json()["data"] == "58.40"


def test_info_says_what_is_on_offer(client_of_buyer: APIClient, wechat: WeChatMerchant) -> None:
    wechat.configure(WechatMinTopUp=5)
    answer = client_of_buyer.get("/api/user/topup/info").json()
    data = answer["data"]
    assert answer["success"] is True
    assert (data["enable_wechat_topup"], data["enable_alipay_topup"]) == (True, False)
    assert (data["wechat_min_topup"], data["alipay_min_topup"]) == (5, 1)
    assert data["pay_methods"] == [{"name": "微信支付", "type": "wechat", "color": "#07C160", "min_topup": 5}]
    assert data["amount_options"] == [10, 20, 50, 100, 200, 500]
    assert {key: float(value) for key, value in data["discount"].items()} == {"100": 0.95}
    assert (data["display_type"], data["price"], data["quota_per_unit"]) == ("currency", "7.3", 500000)


def test_info_in_tokens_speaks_tokens(
    client_of_buyer: APIClient, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    write_options({"QuotaDisplayType": "tokens", "QuotaPerUnit": 1000})
    data = client_of_buyer.get("/api/user/topup/info").json()["data"]
    assert data["amount_options"] == [10_000, 20_000, 50_000, 100_000, 200_000, 500_000]
    assert list(data["discount"]) == ["100000"]
    assert [method["min_topup"] for method in data["pay_methods"]] == [1000, 1000]


# --- GET /api/user/topup/orders --------------------------------------------------------------------------------------
def test_history_is_paged_newest_first_and_holds_ones_own_orders_only(
    buyer: User, other_user: User, client_of_buyer: APIClient, wechat: WeChatMerchant
) -> None:
    orders = [pending_order(buyer, wechat) for _ in range(25)]
    pending_order(other_user, wechat)
    first = client_of_buyer.get("/api/user/topup/orders").json()
    assert first["success"] is True
    assert {name: first["data"][name] for name in ("page", "page_size", "total")} == {
        "page": 1,
        "page_size": 20,
        "total": 25,
    }
    assert [item["order_id"] for item in first["data"]["items"]] == [order.order_no for order in reversed(orders)][:20]
    second = client_of_buyer.get("/api/user/topup/orders", {"page": 3, "page_size": 10}).json()["data"]
    assert [item["order_id"] for item in second["items"]] == [order.order_no for order in reversed(orders)][20:]
    assert client_of_buyer.get("/api/user/topup/orders", {"page": 9}).json()["data"]["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "page=0", "page=-1", "page=x", "page=", "page=1.5", "page_size=0", "page_size=101", "page=１",
        "page=9999999999999",
    ],
)  # fmt: skip
def test_a_page_that_is_none_is_a_parameter_error(query: str, client_of_buyer: APIClient) -> None:
    answer = client_of_buyer.get(f"/api/user/topup/orders?{query}")
    assert (answer.status_code, answer.json()) == (400, {"success": False, "message": "参数错误"})


def test_one_order_says_all_its_owner_may_know(buyer: User, client_of_buyer: APIClient, wechat: WeChatMerchant) -> None:
    order = pending_order(buyer, wechat)
    answer = client_of_buyer.get(f"/api/user/topup/orders/{order.order_no}").json()
    data = answer["data"]
    assert answer["success"] is True
    assert (data["order_id"], data["status"], data["amount"], data["money"]) == (order.order_no, "pending", 10, "73.00")
    assert (data["payment_method"], data["quota"], data["pay_url"]) == ("wechat", 5_000_000, order.pay_url)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00", data["expires_at"])
    assert 1790 <= data["seconds_left"] <= 1800
    assert data["paid_at"] is None


def test_a_paid_order_says_so_with_the_new_balance(
    buyer: User, client_of_buyer: APIClient, merchant: Merchant, provider: Client
) -> None:
    order = pending_order(buyer, merchant)
    kind = "text/xml" if gateway_of(merchant) == "wechat" else "application/x-www-form-urlencoded"
    provider.post(f"/api/{gateway_of(merchant)}/webhook", merchant.notice(order), content_type=kind)
    data = client_of_buyer.get(f"/api/user/topup/orders/{order.order_no}").json()["data"]
    assert (data["status"], data["balance"], data["pay_url"]) == ("paid", 5_000_000, "")
    assert data["paid_at"] == "2026-11-21T12:00:00+08:00"


@pytest.mark.django_db(transaction=True)
def test_polling_asks_the_provider_when_the_callback_is_late_and_not_too_often(
    buyer: User, client_of_buyer: APIClient, merchant: Merchant, scripted: ScriptedProvider, books_agree: Any
) -> None:
    order = pending_order(buyer, merchant)
    url = f"/api/user/topup/orders/{order.order_no}"
    client_of_buyer.get(url)
    assert scripted.calls == []
    scripted.states[order.order_no] = "waiting"
    Order.objects.update(created=clock.now() - timedelta(seconds=6))
    for _ in range(5):
        assert client_of_buyer.get(url).json()["data"]["status"] == "pending"
    assert scripted.operations() == ["query"]
    scripted.pay(order)
    Order.objects.update(polled_at=clock.now() - timedelta(seconds=5))
    assert client_of_buyer.get(url).json()["data"]["status"] == "paid"
    client_of_buyer.get(url)
    assert scripted.operations() == ["query", "query"]
    books_agree()


# --- The callbacks ---------------------------------------------------------------------------------------------------
def xml(response: Any) -> tuple[str, str]:
    assert response["Content-Type"].startswith("text/xml")
    fields = {element.tag: element.text or "" for element in ElementTree.fromstring(response.content)}
    assert set(fields) == {"return_code", "return_msg"}
    return fields["return_code"], fields["return_msg"]


@pytest.mark.parametrize("route", ["notify", "webhook"])
def test_wechat_is_answered_in_its_own_words(route: str, buyer: User, wechat: WeChatMerchant, provider: Client) -> None:
    order = pending_order(buyer, wechat)

    def post(body: bytes, **more: Any) -> tuple[str, str]:
        return xml(
            provider.post(f"/api/wechat/{route}", body, content_type="text/xml", CONTENT_TYPE="text/xml", **more)
        )

    forged = wechat.xml({k: str(v) for k, v in wechat.notice_values(order).items()}, sign="0" * 64)
    assert post(b"") == ("FAIL", "读取数据失败")
    assert post(b"nonsense") == ("FAIL", "解析数据失败")
    assert post(forged) == ("FAIL", "签名验证失败")
    assert post(wechat.notice(order, out_trade_no="20261121000000000000000000000000")) == ("FAIL", "订单不存在")
    assert post(wechat.notice(order, total_fee="1")) == ("FAIL", "处理失败")
    assert post(wechat.notice(order, result_code="FAIL", err_code="X")) == ("SUCCESS", "OK")
    assert post(wechat.notice(order)) == ("SUCCESS", "OK")
    assert post(wechat.notice(order)) == ("SUCCESS", "OK")
    order.refresh_from_db()
    assert order.state == "paid"


@pytest.mark.parametrize("route", ["notify", "webhook"])
def test_alipay_is_answered_success_or_fail(route: str, buyer: User, alipay: AlipayMerchant, provider: Client) -> None:
    order = pending_order(buyer, alipay)

    def post(body: bytes) -> bytes:
        response = provider.post(f"/api/alipay/{route}", body, content_type="application/x-www-form-urlencoded")
        assert response.status_code == 200
        content: bytes = response.content
        return content

    assert post(b"nonsense") == b"fail"
    assert post(alipay.form({k: str(v) for k, v in alipay.notice_values(order).items()}, sign="AAAA")) == b"fail"
    assert post(alipay.notice(order, total_amount="0.01")) == b"fail"
    assert post(alipay.notice(order, trade_status="WAIT_BUYER_PAY")) == b"success"
    assert post(alipay.notice(order)) == b"success"
    assert post(alipay.notice(order, trade_status="TRADE_FINISHED")) == b"success"
    order.refresh_from_db()
    assert order.state == "paid"


def test_a_gateway_that_is_off_has_no_callbacks(provider: Client) -> None:
    for url in ("/api/wechat/notify", "/api/wechat/webhook"):
        assert provider.post(url, b"<xml/>", content_type="text/xml").status_code == 404
    for url in ("/api/alipay/notify", "/api/alipay/webhook"):
        assert provider.post(url, b"a=b", content_type="application/x-www-form-urlencoded").status_code == 404
    assert not Notice.objects.exists()


def test_every_notice_is_kept_with_its_verdict(buyer: User, merchant: Merchant, provider: Client) -> None:
    order = pending_order(buyer, merchant)
    kind = "text/xml" if gateway_of(merchant) == "wechat" else "application/x-www-form-urlencoded"
    body = merchant.notice(order)
    for _ in range(2):
        provider.post(f"/api/{gateway_of(merchant)}/notify", body, content_type=kind, REMOTE_ADDR="203.0.113.7")
    first, second = Notice.objects.order_by("pk")
    assert (first.verdict, second.verdict) == ("credited", "duplicate")
    assert (first.gateway, first.order, first.source, first.body.encode()) == (
        gateway_of(merchant),
        order,
        "203.0.113.7",
        body,
    )
    assert first.acknowledged
    assert second.acknowledged


# --- Large payments --------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_large_payment_is_credited_when_the_provider_confirms_it(
    buyer: User, merchant: Merchant, scripted: ScriptedProvider, provider: Client, books_agree: Any
) -> None:
    write_options({"ConfirmAbove": "72.99"})
    order = pending_order(buyer, merchant)
    kind = "text/xml" if gateway_of(merchant) == "wechat" else "application/x-www-form-urlencoded"

    def deliver() -> bool:
        answer = provider.post(f"/api/{gateway_of(merchant)}/notify", merchant.notice(order), content_type=kind)
        return b"SUCCESS" in answer.content or answer.content == b"success"

    scripted.states[order.order_no] = "waiting"
    assert not deliver()
    scripted.answers = [b"nonsense"]
    assert not deliver()
    order.refresh_from_db()
    assert order.state == "pending"
    assert set(Notice.objects.values_list("verdict", flat=True)) == {"unconfirmed"}
    scripted.pay(order)
    assert deliver()
    order.refresh_from_db()
    assert order.state == "paid"
    assert scripted.operations() == ["query"] * 3
    # At most the threshold, it is not asked about.
    write_options({"ConfirmAbove": "73.00"})
    order = pending_order(buyer, merchant)
    assert deliver()
    assert len(scripted.calls) == 3
    books_agree()


@pytest.mark.parametrize("fact", sampled(["transaction", "amount", "state"], keep=2))
@pytest.mark.django_db(transaction=True)
def test_a_large_payment_of_which_the_provider_knows_something_else_than_its_notice_is_not_credited(
    buyer: User, merchant: Merchant, scripted: ScriptedProvider, provider: Client, books_agree: Any, fact: str
) -> None:
    """A notice signed with a stolen key speaks of one payment, and the provider, asked, of another."""
    write_options({"ConfirmAbove": 0})
    order = pending_order(buyer, merchant)
    scripted.pay(order)
    wechat = gateway_of(merchant) == "wechat"
    scripted.told = {
        "transaction": {"transaction_id" if wechat else "trade_no": "4200009999"},
        "amount": {"total_fee": "1", "cash_fee": "1"} if wechat else {"total_amount": "0.01"},
        "state": {"trade_state": "REFUND"} if wechat else {"trade_status": "TRADE_CLOSED"},
    }[fact]
    kind = "text/xml" if wechat else "application/x-www-form-urlencoded"
    provider.post(f"/api/{gateway_of(merchant)}/notify", merchant.notice(order), content_type=kind)
    order.refresh_from_db()
    notice = Notice.objects.get()
    # Alipay closes what was paid only when all of it was given back: then there is nothing left to be uncertain of.
    given_back = fact == "state" and not wechat
    said = ("closed", "refund", True) if given_back else ("pending", "unconfirmed", False)
    assert (order.state, notice.verdict, notice.acknowledged) == said
    assert wallet_of(buyer).balance == 0
    books_agree()
    if fact == "state":
        return
    # When they agree it is the same notice that credits.
    scripted.told = {}
    provider.post(f"/api/{gateway_of(merchant)}/notify", merchant.notice(order), content_type=kind)
    assert wallet_of(buyer).balance == order.quota
    books_agree()
