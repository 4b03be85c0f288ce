"""The stand-ins' refunds, bills and pay pages, as our own gateways and a browser meet them."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from sandbox.models import Trade
from tests.refunds import open_accounts, paid_order, sandbox_server, trade_of
from topup import services
from topup.gateways.base import Gateway
from topup.gateways.orders import NewOrder
from topup.models import Order
from voicehelper import clock
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address:
        open_accounts(address, settings)
        yield address


def new_order(gateway: Gateway, provider: str, **more: Any) -> NewOrder:
    expires = clock.now() + timedelta(minutes=30)
    url = f"{provider}/api/{gateway.name}/notify"
    return NewOrder(Order.new_number(clock.now()), 7300, "AI服务充值", expires, url, **more)


def test_jsapi_is_paid_with_the_second_signature_and_no_other(provider: str) -> None:
    gateway = services.open_gateway("wechat")
    offer = gateway.create(new_order(gateway, provider, trade_type="JSAPI", openid="oUpF8uMEb4qRXf22hE3X68TekukE"))
    arguments = {"appId": gateway.app_id, **gateway.payment_arguments(offer.prepay_id)}

    def pay(**changes: str) -> Any:
        return Client().post("/sandbox/wechat/jsapi", arguments | changes, content_type="application/json").json()

    for changes in ({"paySign": "0" * 64}, {"timeStamp": "1"}, {"package": "prepay_id=wx1"}, {"appId": "wx1"}):
        assert "fail" in pay(**changes)["errMsg"]
    assert pay() == {"errMsg": "requestPayment:ok"}
    assert Trade.objects.get().state == "paid"


def test_h5_opens_from_the_shops_page_only_and_leads_back(provider: str) -> None:
    gateway = services.open_gateway("wechat")
    back = f"{provider}/recharge"
    offer = gateway.create(new_order(gateway, provider, trade_type="MWEB", return_url=back))
    path = "/" + offer.pay_url.split("/", 3)[3]
    assert Client().get(path).status_code == 400
    page = Client(headers={"Referer": back}).get(path)
    assert page.status_code == 200
    assert f'name="return_url" value="{back}"' in page.text
    assert Client(headers={"Referer": "http://elsewhere.test/"}).get(path).status_code == 400
    made = int(path.partition("package=")[2].partition("&")[0])
    stale = path.replace(f"package={made}", f"package={made - 301}")
    assert Client(headers={"Referer": back}).get(stale).status_code == 400


@pytest.mark.parametrize("trade_type", ["WAP", "PAGE"])
def test_alipays_pages_are_paid_and_lead_back(provider: str, trade_type: str) -> None:
    gateway = services.open_gateway("alipay")
    back = f"{provider}/recharge"
    order = new_order(gateway, provider, trade_type=trade_type, return_url=back)
    path = "/" + gateway.create(order).pay_url.split("/", 3)[3]
    browser = Client()
    page = browser.get(path)
    assert page.status_code == 200
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    assert fields["return_url"] == back
    done = browser.post("/sandbox/phone/pay", fields, follow=True)
    assert f'href="{back}"' in done.text
    assert gateway.query(order.order_no).state == "paid"
    assert browser.get(path.replace("total_amount", "totalamount")).status_code == 400


def test_the_console_refunds_and_says_when_nothing_is_left(provider: str, buyer: User) -> None:
    order = paid_order(buyer, "wechat")
    url = f"/sandbox/trades/{trade_of(order).pk}/refund"
    made = Client().post(url, {"amount_fen": 300}, content_type="application/json")
    assert (made.status_code, made.json()["state"]) == (201, "succeeded")
    assert Client().post(url, {"amount_fen": 7001}, content_type="application/json").status_code == 409
    page = Client().get("/sandbox/").text
    assert "¥3.00" in page
    assert f"/trades/{trade_of(order).pk}/refund" in page
