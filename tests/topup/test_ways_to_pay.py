"""Paying by device, with the stand-ins behind real HTTP: H5, JSAPI, wap, from the order to the refund."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from rest_framework.test import APIClient

from sandbox import buyer as phone
from sandbox.management.commands.open_sandbox_accounts import wechat_account
from sandbox.models import Trade, WebCode
from tests.conftest import sampled
from tests.merchants import WECHAT
from tests.orders import pending_order
from tests.refunds import given_back, open_accounts, sandbox_server, trade_of
from tests.topup.user_agents import (
    ALIPAY_ANDROID,
    ANDROID_CHROME,
    DESKTOPS,
    HARMONY_PHONE,
    IPHONE_SAFARI,
    WECHAT_ANDROID,
    WECHAT_IOS,
)
from topup import services
from topup.models import GatewayCall, Notice, Order
from topup.models.sections import WeChatSettings
from topup.services import following
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User, WeChatIdentity
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)

OPENID = "oUpF8uMEb4qRXf22hE3X68TekukE"
NOT_SIGNED_IN = "请先通过微信登录，微信支付才能知道由谁付款"


@pytest.fixture(autouse=True)
def shop(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both gateways, the official account and a mini program at the stand-ins; no notice is sent by itself."""
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address:
        settings.WECHAT_API_BASE_URL = f"{address}/sandbox/weixin"
        settings.WECHAT_OAUTH_URL = f"{address}/sandbox/weixin/connect/oauth2/authorize"
        open_accounts(address, settings)
        account = wechat_account()
        write_options({"MiniProgramAppId": account["mini_app_id"], "WechatAppSecret": account["app_secret"]})
        yield address


@pytest.fixture
def mini_program(buyer: User, as_user: Callable[..., APIClient]) -> APIClient:
    """The buyer's, signed in there by WeChat."""
    WeChatIdentity.objects.create(user=buyer, app_id=wechat_account()["mini_app_id"], openid=OPENID)
    return as_user(buyer)


def pay(client: Any, gateway: str = "wechat", trade_type: str = "JSAPI", key: str = "", **more: Any) -> Any:
    body = {"amount": 10, "payment_method": gateway, "trade_type": trade_type} | more
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(f"/api/user/{gateway}/pay", body, format="json", headers=headers)


def placed(client: Any, *args: Any, **more: Any) -> tuple[Order, dict[str, Any]]:
    answer = pay(client, *args, **more)
    assert answer.status_code == 200, answer.content
    data: dict[str, Any] = answer.json()["data"]
    return Order.objects.get(order_no=data["order_id"]), data


def paid_in_the_app(order: Order, payment: dict[str, str], app_id: str) -> None:
    """wx.requestPayment, as the phone does it."""
    answer = Client().post("/sandbox/wechat/jsapi", {"appId": app_id} | payment, content_type="application/json")
    assert answer.json() == {"errMsg": "requestPayment:ok"}


def hear(order: Order) -> str:
    """Post the provider's own notice; its verdict."""
    delivery = trade_of(order).deliveries.latest("pk")
    kind = "text/xml" if order.gateway == "wechat" else "application/x-www-form-urlencoded"
    Client().post(f"/api/{order.gateway}/notify", delivery.body.encode(), content_type=kind)
    return Notice.objects.latest("pk").verdict


def browser_of(user: User, user_agent: str) -> APIClient:
    browser = APIClient(HTTP_USER_AGENT=user_agent)
    browser.force_login(user)
    return browser


def form_order(browser: APIClient, gateway: str = "wechat", **more: str) -> tuple[Order, str]:
    """Post the form as a page without JavaScript does; the order and its card."""
    page = browser.get("/recharge?amount=10", follow=True)
    posted = {"amount": "10", "payment_method": gateway, "intent": page.context["intent"]} | more
    card = browser.post("/recharge", posted, follow=True)
    return Order.objects.latest("pk"), card.text


# --- The API ---------------------------------------------------------------------------------------------------------
def test_the_mini_program_pays_in_its_own_name_and_the_money_arrives_by_the_notice(
    mini_program: APIClient, buyer: User, books_agree: Callable[[], None]
) -> None:
    write_options({"ConfirmAbove": "0"})
    order, data = placed(mini_program)
    account = wechat_account()
    assert set(data) == {"pay_url", "order_id", "payment"}
    assert data["pay_url"] == ""
    assert set(data["payment"]) == {"timeStamp", "nonceStr", "package", "signType", "paySign"}
    assert (order.app_id, order.openid, order.trade_type) == (account["mini_app_id"], OPENID, "JSAPI")
    assert order.app_id != WeChatSettings.load().app_id
    assert trade_of(order).params["openid"] == OPENID
    paid_in_the_app(order, data["payment"], account["mini_app_id"])
    assert hear(order) == Notice.Verdict.CREDITED
    assert wallet_of(buyer).balance == order.quota
    assert hear(order) == Notice.Verdict.DUPLICATE
    books_agree()


def test_an_order_of_the_mini_program_is_asked_about_closed_and_refunded_in_its_name(
    mini_program: APIClient, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    order, data = placed(mini_program)
    paid_in_the_app(order, data["payment"], wechat_account()["mini_app_id"])
    services.ask_provider(order, source="poll")
    order = Order.objects.select_related("user").get(pk=order.pk)
    assert order.state == Order.State.PAID
    assert services.why_no_refund(order) == ""
    refund = services.request_refund(order, order.amount_fen, number=1, actor=staff, reason="")
    services.submit_refund(refund)
    for _ in range(3):
        refund.refresh_from_db()
        services.ask_refund(refund)
    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    assert given_back(order) == [order.amount_fen]
    books_agree()
    stale, _data = placed(mini_program)
    ago = clock.now() - timedelta(minutes=40)
    Order.objects.filter(pk=stale.pk).update(created=ago, expires_at=ago + timedelta(minutes=30), next_ask_at=ago)
    Trade.objects.filter(out_trade_no=stale.order_no).update(created_at=ago)
    services.follow_orders()
    stale.refresh_from_db()
    assert (stale.state, trade_of(stale).state) == (Order.State.CLOSED, "closed")


def test_who_never_signed_in_through_wechat_is_told_so_and_nothing_is_ordered(
    buyer: User, other_user: User, as_user: Callable[..., APIClient]
) -> None:
    mini_app_id = wechat_account()["mini_app_id"]
    WeChatIdentity.objects.create(user=other_user, app_id=mini_app_id, openid=OPENID)
    # Another app's openid is nobody here, and one in the request is not read.
    WeChatIdentity.objects.create(user=buyer, app_id=WeChatSettings.load().app_id, openid="oOfficialAccount")
    for more in ({}, {"openid": OPENID}, {"openid": OPENID, "app_id": mini_app_id}):
        answer = pay(as_user(buyer), **more)
        assert (answer.status_code, answer.json()) == (409, {"message": "error", "data": NOT_SIGNED_IN})
    assert not Order.objects.exists()
    assert not Trade.objects.exists()


@pytest.mark.rare
def test_the_openid_in_a_request_changes_nothing(mini_program: APIClient) -> None:
    order, _data = placed(mini_program, openid="oSomebodyElse", app_id="wx0000000000000000")
    assert (order.openid, order.app_id) == (OPENID, wechat_account()["mini_app_id"])


def test_a_repeated_request_hands_out_the_same_prepayment_signed_anew(mini_program: APIClient, buyer: User) -> None:
    first, data = placed(mini_program, key="once")
    # Even when the user came with another WeChat meanwhile: the order has its payer.
    WeChatIdentity.objects.create(user=buyer, app_id=first.app_id, openid="oAnother")
    second, again = placed(mini_program, key="once")
    assert first.pk == second.pk
    assert data["payment"]["package"] == again["payment"]["package"] == f"prepay_id={first.prepay_id}"
    paid_in_the_app(first, again["payment"], first.app_id)
    _order, over = placed(mini_program, key="once")
    services.ask_provider(first, source="poll")
    assert pay(mini_program, key="once").json()["data"]["payment"] == {}
    assert over["payment"]["package"] == data["payment"]["package"]


@pytest.mark.rare
def test_a_repeated_request_goes_on_in_the_name_of_the_orders_app_and_payer(
    mini_program: APIClient, buyer: User, settings: Any
) -> None:
    there, settings.WECHAT_PAY_BASE_URL = settings.WECHAT_PAY_BASE_URL, "http://127.0.0.1:9"
    assert pay(mini_program, key="once").status_code == 502
    order = Order.objects.get()
    settings.WECHAT_PAY_BASE_URL = there
    write_options({"MiniProgramAppId": "wx1111111111111111"})
    WeChatIdentity.objects.create(user=buyer, app_id="wx1111111111111111", openid="oNew")
    assert pay(mini_program, key="once").status_code == 200
    asked = trade_of(order).params
    assert (asked["appid"], asked["openid"]) == (order.app_id, OPENID)


def test_one_idempotency_key_is_one_way_to_pay(mini_program: APIClient) -> None:
    placed(mini_program, key="once")
    assert pay(mini_program, trade_type="NATIVE", key="once").status_code == 409
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("gateway", "trade_type"),
    sampled(
        [("wechat", "APP"), ("wechat", "wap"), ("alipay", "JSAPI"), ("alipay", "MWEB"), ("wechat", "x" * 17)], keep=2
    ),
)
def test_a_way_to_pay_that_is_not_there_is_a_wrong_parameter(
    mini_program: APIClient, gateway: str, trade_type: str
) -> None:
    answer = pay(mini_program, gateway, trade_type)
    assert (answer.status_code, answer.json()) == (400, {"message": "error", "data": "参数错误"})
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("gateway", "asked", "kept", "begins"),
    sampled(
        [
            ("wechat", "", "NATIVE", "weixin://"),
            ("wechat", "native", "NATIVE", "weixin://"),
            ("alipay", "", "PRECREATE", "https://qr.alipay.com/"),
            ("alipay", "precreate", "PRECREATE", "https://qr.alipay.com/"),
            ("wechat", "MWEB", "MWEB", "{shop}/sandbox/wechat/h5?"),
            ("alipay", "wap", "WAP", "{shop}/sandbox/alipay/gateway.do?"),
            ("alipay", "page", "PAGE", "{shop}/sandbox/alipay/gateway.do?"),
        ],
        keep=3,
    ),
)
def test_each_way_gives_its_own_address_and_leads_back_to_the_order(
    mini_program: APIClient, shop: str, gateway: str, asked: str, kept: str, begins: str
) -> None:
    order, data = placed(mini_program, gateway, asked)
    assert order.trade_type == kept
    assert data["pay_url"].startswith(begins.format(shop=shop))
    assert set(data) == {"pay_url", "order_id"}
    query = parse_qs(urlsplit(data["pay_url"]).query)
    if services.place_of(order).is_page:
        assert query["redirect_url" if gateway == "wechat" else "return_url"] == [
            f"{shop}/recharge/orders/{order.order_no}"
        ]
    assert mini_program.get(f"/api/user/topup/orders/{order.order_no}").json()["data"]["trade_type"] == kept


def test_I13_where_the_app_leads_back_is_made_from_the_server_address_alone(mini_program: APIClient) -> None:
    for gateway, trade_type in (("wechat", "MWEB"), ("alipay", "wap")):
        order, data = placed(
            mini_program, gateway, trade_type, return_url="https://evil.example", redirect_url="//evil.example"
        )
        assert "evil" not in data["pay_url"]
        assert f"recharge%2Forders%2F{order.order_no}" in data["pay_url"]


# --- Life of an order that is opened in a browser --------------------------------------------------------------------
@pytest.mark.rare
def test_a_stale_address_is_made_anew_for_the_same_order(mini_program: APIClient, buyer: User) -> None:
    browser = browser_of(buyer, IPHONE_SAFARI)
    for gateway, trade_type in (("wechat", "MWEB"), ("alipay", "wap")):
        order, data = placed(mini_program, gateway, trade_type)
        open_it = f"/recharge/orders/{order.order_no}/open"
        assert browser.get(open_it)["Location"] == data["pay_url"]
        stale = clock.now() - timedelta(minutes=5)
        Order.objects.filter(pk=order.pk).update(offered_at=stale)
        fresh = browser.get(open_it)["Location"]
        order.refresh_from_db()
        assert fresh == order.pay_url
        assert order.offered_at is not None
        assert order.offered_at > stale
        assert Client(headers={"Referer": f"{fresh}"}).get("/" + fresh.split("/", 3)[3]).status_code == 200
    assert Trade.objects.count() == 2


@pytest.mark.rare
def test_a_provider_that_is_silent_leaves_the_card_and_says_so(
    mini_program: APIClient, buyer: User, settings: Any
) -> None:
    order, _data = placed(mini_program, trade_type="MWEB")
    Order.objects.update(offered_at=clock.now() - timedelta(minutes=5))
    settings.WECHAT_PAY_BASE_URL = "http://127.0.0.1:9"
    page = browser_of(buyer, IPHONE_SAFARI).get(f"/recharge/orders/{order.order_no}/open", follow=True)
    assert page.redirect_chain == [(f"/recharge/orders/{order.order_no}", 302)]
    assert "暂时无法打开微信支付" in page.text
    assert "data-open" in page.text


@pytest.mark.rare
def test_there_is_nothing_to_open_for_an_order_that_is_scanned_paid_or_over(
    mini_program: APIClient, buyer: User
) -> None:
    browser = browser_of(buyer, IPHONE_SAFARI)
    scanned, _data = placed(mini_program, trade_type="NATIVE")
    over, _data = placed(mini_program, trade_type="MWEB")
    Order.objects.filter(pk=over.pk).update(expires_at=clock.now())
    paid, _data = placed(mini_program, trade_type="MWEB")
    phone.pay(trade_of(paid))
    Order.objects.filter(pk=paid.pk).update(offered_at=clock.now() - timedelta(minutes=5))
    for order in (scanned, over, paid):
        answer = browser.get(f"/recharge/orders/{order.order_no}/open")
        assert answer["Location"] == f"/recharge/orders/{order.order_no}"
    # WeChat said that the number was paid, so it was asked about.
    paid.refresh_from_db()
    assert paid.state == Order.State.PAID


@pytest.mark.rare
def test_alipays_page_that_nobody_opened_is_no_failure_and_can_still_be_paid_late(
    mini_program: APIClient, buyer: User
) -> None:
    order, data = placed(mini_program, "alipay", "wap")
    assert not Trade.objects.exists()
    services.ask_provider(order, source="poll")
    order.refresh_from_db()
    assert order.state == Order.State.PENDING
    Client().get("/" + data["pay_url"].split("/", 3)[3])
    ago = clock.now() - timedelta(minutes=1)
    Order.objects.filter(pk=order.pk).update(expires_at=ago, next_ask_at=ago)
    Trade.objects.update(scanned_at=None)
    services.follow_orders()
    order.refresh_from_db()
    assert order.state == Order.State.CLOSED
    assert order.next_ask_at is not None
    assert order.next_ask_at > clock.now() + following.WATCH_EVERY - timedelta(minutes=5)
    phone.pay(trade_of(order))
    assert hear(order) == Notice.Verdict.CREDITED
    order.refresh_from_db()
    assert order.paid_late
    assert wallet_of(buyer).balance == order.quota


def test_A11_coming_back_from_the_app_credits_nothing(mini_program: APIClient, buyer: User) -> None:
    claims = {"trade_status": "TRADE_SUCCESS", "total_amount": "73.00", "sign": "x", "result_code": "SUCCESS"}
    browser = browser_of(buyer, IPHONE_SAFARI)
    for gateway, trade_type in (("wechat", "MWEB"), ("alipay", "wap"), ("wechat", "JSAPI")):
        order, _data = placed(mini_program, gateway, trade_type)
        page = browser.get(f"/recharge/orders/{order.order_no}", claims | {"out_trade_no": order.order_no})
        assert page.status_code == 200
        assert "已完成支付？点此查询" in page.text
        assert browser.post(f"/recharge/orders/{order.order_no}", claims).status_code == 405
        order.refresh_from_db()
        assert order.state == Order.State.PENDING
    assert wallet_of(buyer).balance == 0


def test_I1_what_pays_an_order_is_its_owners_alone(
    mini_program: APIClient, buyer: User, other_user: User, staff: User, as_user: Callable[..., APIClient]
) -> None:
    jsapi, data = placed(mini_program)
    h5, _data = placed(mini_program, trade_type="MWEB")
    for order in (jsapi, h5):
        for page in ("", "/card", "/open"):
            for who in (other_user, staff):
                answer = browser_of(who, WECHAT_IOS).get(f"/recharge/orders/{order.order_no}{page}")
                assert answer.status_code == 404
                assert jsapi.prepay_id not in answer.text
        assert as_user(other_user).get(f"/api/user/topup/orders/{order.order_no}").status_code == 404
        assert Client().get(f"/recharge/orders/{order.order_no}/open").status_code == 302
    # Not even the owner's own pages hold it where it is not needed.
    assert jsapi.prepay_id not in browser_of(buyer, IPHONE_SAFARI).get(f"/recharge/orders/{jsapi.order_no}").text
    assert data["payment"]["package"].endswith(jsapi.prepay_id)


# --- The page --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("user_agent", "gateway", "trade_type", "words"),
    sampled(
        [
            (DESKTOPS[0], "wechat", "NATIVE", "请使用微信扫一扫"),
            (DESKTOPS[1], "alipay", "PRECREATE", "请使用支付宝扫一扫"),
            (IPHONE_SAFARI, "wechat", "MWEB", "打开微信支付"),
            (ANDROID_CHROME, "alipay", "WAP", "打开支付宝"),
            (HARMONY_PHONE, "wechat", "MWEB", "打开微信支付"),
            (ALIPAY_ANDROID, "alipay", "WAP", "打开支付宝"),
        ],
        keep=2,
    ),
)
def test_the_form_pays_as_the_browser_can_also_without_javascript(
    buyer: User, user_agent: str, gateway: str, trade_type: str, words: str
) -> None:
    browser = browser_of(buyer, user_agent)
    order, card = form_order(browser, gateway)
    assert order.trade_type == trade_type
    assert words in card
    assert ("data-code" in card) == (trade_type in ("NATIVE", "PRECREATE"))
    if services.place_of(order).is_page:
        assert f'href="/recharge/orders/{order.order_no}/open"' in card
        assert f'data-trade-type="{trade_type}"' in browser.get("/recharge").text


@pytest.mark.rare
def test_a_phone_can_have_the_code_for_another_device(buyer: User) -> None:
    browser = browser_of(buyer, IPHONE_SAFARI)
    opened, card = form_order(browser)
    link = "/recharge?amount=10&amp;show=qr"
    assert f'href="{link}"' in card
    form = browser.get("/recharge?amount=10&show=qr").text
    assert '<input type="hidden" name="show" value="qr">' in form
    assert 'data-trade-type=""' in form
    # Another way to pay is another order: the provider never sees a number twice.
    scanned, card = form_order(browser, show="qr")
    assert scanned.order_no != opened.order_no
    assert scanned.trade_type == "NATIVE"
    assert "data-code" in card


@pytest.mark.rare
def test_who_may_not_open_the_app_is_offered_the_code(buyer: User) -> None:
    """H5 is a product of its own, which a merchant may not have."""
    refused = pending_order(buyer, WECHAT, trade_type="MWEB", state=Order.State.FAILED)
    page = browser_of(buyer, IPHONE_SAFARI).get(f"/recharge/orders/{refused}").text
    assert 'href="/recharge?amount=10&amp;show=qr"' in page


@pytest.mark.rare
def test_an_order_opened_on_another_device_says_what_to_do(buyer: User, shop: str) -> None:
    order, _card = form_order(browser_of(buyer, IPHONE_SAFARI))
    path = f"/recharge/orders/{order.order_no}"
    assert "这笔订单是在手机上创建的" in browser_of(buyer, DESKTOPS[0]).get(path).text
    page = browser_of(buyer, WECHAT_IOS).get(path).text
    assert "请复制本页地址，在手机浏览器中打开" in page
    assert f'data-copy="{shop}{path}"' in page
    scanned = pending_order(buyer, WECHAT)
    assert "这部手机上装有微信？" in browser_of(buyer, IPHONE_SAFARI).get(f"/recharge/orders/{scanned}").text


# --- Inside WeChat ---------------------------------------------------------------------------------------------------
class WeChatPage:
    """WeChat's browser: follows where it is sent, to WeChat's own pages as well."""

    def __init__(self, user: User, user_agent: str = WECHAT_ANDROID) -> None:
        self.browser = browser_of(user, user_agent)

    def get(self, url: str) -> Any:
        parts = urlsplit(url)
        return self.browser.get(f"{parts.path}?{parts.query}" if parts.query else parts.path)

    def opens(self, url: str = "/recharge") -> Any:
        """Until a page comes; `seen` are the stations."""
        self.seen = []
        for _ in range(6):
            answer = self.get(url)
            if answer.status_code != 302:
                return answer
            url = answer["Location"]
            self.seen.append(url)
        raise AssertionError(f"round in circles: {self.seen}")


def opened(user: User) -> APIClient:
    """WeChat's browser after WeChat said who is there."""
    wechat = WeChatPage(user)
    wechat.opens()
    return wechat.browser


def test_inside_wechat_the_page_learns_who_pays_and_pays_in_place(
    buyer: User, shop: str, books_agree: Callable[[], None]
) -> None:
    wechat = WeChatPage(buyer)
    page = wechat.opens("/recharge?amount=20")
    authorize, back, form = wechat.seen
    assert authorize.endswith("#wechat_redirect")
    asked = parse_qs(urlsplit(authorize).query)
    assert asked["redirect_uri"] == [f"{shop}/recharge/payer"]
    assert back.startswith(f"{shop}/recharge/payer?code=")
    assert form == "/recharge?amount=20"
    # Neither does WeChat open Alipay.
    assert 'data-trade-type="JSAPI"' in page.text
    assert 'value="alipay"' not in page.text
    order, card = form_order(wechat.browser)
    account = wechat_account()
    assert (order.trade_type, order.app_id) == ("JSAPI", account["app_id"])
    assert order.openid == WebCode.objects.get().openid
    assert "data-in-wechat" in card
    answer = pay(wechat.browser)
    assert answer.json()["data"]["payment"]["package"] != f"prepay_id={order.prepay_id}"
    assert Order.objects.latest("pk").openid == order.openid
    paid_in_the_app(order, services.payment_arguments(order), account["app_id"])
    assert hear(order) == Notice.Verdict.CREDITED
    # An openid says who pays. It signs nobody in and binds nothing.
    assert not WeChatIdentity.objects.exists()
    books_agree()


def test_I13_wechat_sends_visitors_back_to_our_own_address_only(buyer: User, shop: str) -> None:
    wechat = WeChatPage(buyer)
    for query in ("?next=https://evil.example", "?amount=//evil.example", "?redirect_uri=//evil.example"):
        wechat.browser.session.flush()
        wechat.browser.force_login(buyer)
        page = wechat.opens(f"/recharge{query}")
        assert page.status_code in (200, 400)
        assert all(urlsplit(seen).netloc in ("", urlsplit(shop).netloc) for seen in wechat.seen)
        assert parse_qs(urlsplit(wechat.seen[0]).query)["redirect_uri"] == [f"{shop}/recharge/payer"]
    answer = wechat.get("/recharge/payer?code=1&state=1&back=//evil.example")
    assert answer["Location"] == "/recharge"


@pytest.mark.rare
def test_an_answer_that_was_not_asked_for_teaches_nothing(buyer: User, other_user: User) -> None:
    theirs = WeChatPage(other_user)
    question = theirs.get("/recharge")["Location"]
    answer = theirs.get(question)["Location"]
    mine = WeChatPage(buyer)
    # Lured here with somebody else's code, before and after a question of our own.
    for _ in range(2):
        assert mine.get(answer)["Location"] == "/recharge"
        assert "wechat_payer" not in mine.browser.session
        mine.get("/recharge")
    state = "state=" + mine.browser.session["wechat_question"]["state"]
    own = f"/recharge/payer?code=wrong&{state}"
    assert mine.get(own)["Location"] == "/recharge"
    # A question is good once, also for the right answer.
    assert "wechat_question" not in mine.browser.session
    assert mine.get(answer.partition("state=")[0] + state)["Location"] == "/recharge"
    assert "wechat_payer" not in mine.browser.session


@pytest.mark.rare
def test_when_wechat_does_not_tell_the_page_shows_a_code_and_does_not_go_round(
    buyer: User, other_user: User, settings: Any
) -> None:
    settings.WECHAT_API_BASE_URL = "http://127.0.0.1:9"
    wechat = WeChatPage(buyer)
    page = wechat.opens()
    assert "未能从微信获得您的身份" in page.text
    assert wechat.opens().status_code == 200
    assert wechat.seen == []
    order, card = form_order(wechat.browser)
    assert order.trade_type == "NATIVE"
    assert "长按识别二维码" in card
    answer = pay(wechat.browser)
    assert (answer.status_code, answer.json()["data"]) == (409, NOT_SIGNED_IN)
    # Without our secret it is not even asked.
    write_options({"WechatAppSecret": None})
    unasked = WeChatPage(other_user)
    unasked.opens()
    assert unasked.seen == []
    assert form_order(unasked.browser)[0].trade_type == "NATIVE"


@pytest.mark.rare
def test_the_payers_openid_ends_with_the_session_and_with_the_app(buyer: User, other_user: User) -> None:
    wechat = WeChatPage(buyer)
    wechat.opens()
    assert wechat.browser.session["wechat_payer"]
    wechat.browser.logout()
    wechat.browser.force_login(other_user)
    assert "wechat_payer" not in wechat.browser.session
    wechat.opens()
    write_options({"WechatAppId": "wx0000000000000000"})
    order, _card = form_order(wechat.browser)
    assert order.openid == ""


@pytest.mark.rare
def test_an_order_opened_anew_inside_wechat_asks_who_is_there_and_goes_on(buyer: User) -> None:
    order, _card = form_order(opened(buyer))
    again = WeChatPage(buyer, WECHAT_IOS)
    page = again.opens(f"/recharge/orders/{order.order_no}")
    assert again.seen[-1] == f"/recharge/orders/{order.order_no}"
    assert "data-in-wechat" in page.text
    assert order.prepay_id in page.text


def test_if_wechat_pay_is_off_wechat_offers_alipay_and_says_where_to_open_it(buyer: User) -> None:
    write_options({"WechatEnabled": False})
    order, card = form_order(browser_of(buyer, WECHAT_IOS), "alipay")
    assert order.trade_type == "WAP"
    assert "请复制本页地址，在手机浏览器中打开" in card
    assert not GatewayCall.objects.filter(gateway="wechat").exists()
