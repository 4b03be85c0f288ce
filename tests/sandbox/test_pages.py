"""The phone and the overview, as a developer sees and drives them."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from sandbox.models import Delivery, Merchant, Script, Trade

from .clients import AlipayClient, WeChatClient

pytestmark = pytest.mark.django_db


def test_accounts_are_opened_once_and_printed_again() -> None:
    first, second = io.StringIO(), io.StringIO()
    call_command("open_sandbox_accounts", "--json", stdout=first)
    returned = call_command("open_sandbox_accounts", "--json", stdout=second)
    assert json.loads(first.getvalue()) == json.loads(second.getvalue()) == json.loads(returned)
    accounts = json.loads(returned)
    known = {"app_id", "app_secret", "mini_app_id", "mch_id", "api_key", "client_cert", "client_key"}
    known |= {"api_v3_key", "public_key_id", "public_key"}
    assert set(accounts["wechat"]) == known
    assert len(accounts["wechat"]["api_key"]) == 32
    assert set(accounts["alipay"]) == {"app_id", "seller_id", "private_key", "public_key"}
    AlipayClient(**accounts["alipay"]).create()
    call_command("open_sandbox_accounts", stdout=io.StringIO())
    assert Merchant.objects.count() == 2


def test_an_empty_phone_shows_what_waits_to_be_paid(wechat: WeChatClient, client: Client) -> None:
    assert "¥" not in client.get("/sandbox/phone").content.decode()
    order = wechat.create(body="<b>充值</b>")
    page = client.get("/sandbox/phone").content.decode()
    assert "&lt;b&gt;充值" in page
    assert "¥73.00" in page
    assert order["code_url"].replace(":", "%3A").replace("/", "%2F").replace("?", "%3F").replace("=", "%3D") in page
    assert Trade.objects.get().scanned_at is None


def test_opening_a_code_shows_who_wants_how_much(alipay: AlipayClient, client: Client) -> None:
    order = alipay.create()
    response = client.get("/sandbox/phone", {"code": f" {order['qr_code']} "})
    assert response.status_code == 200
    assert "¥</small>73.00" in response.content.decode()
    assert alipay.state(order["out_trade_no"]) == "WAIT_BUYER_PAY"


def test_a_person_pays_with_forms_alone(wechat: WeChatClient, client: Client) -> None:
    order = wechat.create()
    scanned = client.post("/sandbox/phone/scan", {"code": order["code_url"]})
    assert scanned.status_code == 302
    paid = client.post("/sandbox/phone/pay", {"code": order["code_url"], "fault": ""}, follow=True)
    assert Trade.objects.get().transaction_id in paid.content.decode()
    assert wechat.state(order["out_trade_no"]) == "SUCCESS"
    assert client.post("/sandbox/phone/pay", {"code": order["code_url"]}).status_code == 409


@pytest.mark.parametrize(("fault", "copies"), [("duplicate", 5), ("delay", 1), ("wrong_merchant", 1)])
def test_a_person_can_misbehave_with_forms_alone(wechat: WeChatClient, client: Client, fault: str, copies: int) -> None:
    order = wechat.create()
    client.post("/sandbox/phone/pay", {"code": order["code_url"], "fault": fault, "late": "on"})
    delivery = Delivery.objects.get()
    assert fault in delivery.faults
    assert delivery.copies == copies


@pytest.mark.parametrize("code", ["weixin://unknown", "", "\0", None, 7])
def test_an_unknown_code_is_not_found(client: Client, code: Any) -> None:
    for what in ("scan", "pay"):
        response = client.post(f"/sandbox/phone/{what}", {"code": code}, content_type="application/json")
        assert response.status_code == 404
        assert response.json()["error"]
    if isinstance(code, str) and code.strip("\0"):
        assert client.get("/sandbox/phone", {"code": code}).status_code == 404


@pytest.mark.parametrize("bad", [{"fault": "explode"}, {"fault": "html"}, {"fault": "delay", "seconds": "x"}])
def test_a_fault_that_a_payment_cannot_have_is_refused(wechat: WeChatClient, phone: Any, bad: dict[str, Any]) -> None:
    response = phone("pay", wechat.create()["code_url"], **bad)
    assert response.status_code == 400
    assert Trade.objects.get().state == "waiting"


def test_other_sites_cannot_post(wechat: WeChatClient, client: Client) -> None:
    code = wechat.create()["code_url"]
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/sandbox/phone/pay", {"code": code}, headers=headers).status_code == 403
        assert client.delete("/sandbox/script", headers=headers).status_code == 403
    own = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/sandbox/phone/pay", {"code": code}, headers=own).status_code == 302


def test_the_overview_shows_everything_but_keys(
    wechat: WeChatClient, alipay: AlipayClient, phone: Any, script: Any, client: Client
) -> None:
    phone("pay", wechat.create()["code_url"], fault="drop")
    script(gateway="wechat", operation="query", fault="timeout", seconds=3)
    page = client.get("/sandbox/").content.decode()
    merchants = Merchant.objects.values_list("api_key", "app_private_key", "alipay_private_key", "alipay_public_key")
    for key in {key for keys in merchants for key in keys if key}:
        assert key not in page
    assert wechat.mch_id in page
    assert Trade.objects.get().out_trade_no in page
    assert "timeout" in page
    assert " style=" not in page
    assert "<script>" not in page


def test_an_honest_notice_can_be_sent_for_a_paid_trade_only(wechat: WeChatClient, phone: Any, client: Client) -> None:
    order = wechat.create()
    trade = Trade.objects.get()
    client.post(f"/sandbox/trades/{trade.pk}/notify")
    assert not Delivery.objects.exists()
    phone("pay", order["code_url"], fault="wrong_amount")
    client.post(f"/sandbox/trades/{trade.pk}/notify")
    assert [delivery.faults for delivery in Delivery.objects.order_by("pk")] == [{"wrong_amount": {}}, {}]


def test_scripts_are_written_and_removed_on_the_page(client: Client) -> None:
    form = {"gateway": "wechat", "fault": "timeout", "operation": "query", "times": "2", "parameters": '{"seconds": 1}'}
    assert client.post("/sandbox/script", form).status_code == 302
    script = Script.objects.get()
    assert (script.times, script.parameters) == (2, {"seconds": 1, "after_work": False})
    for bad in ({"times": "x"}, {"parameters": "{"}, {"parameters": "[]"}, {"operation": "pay"}):
        response = client.post("/sandbox/script", form | bad)
        assert response.status_code == 400
        assert 'role="alert"' in response.content.decode()
    client.post(f"/sandbox/script/{script.pk}/remove")
    assert not Script.objects.exists()
