"""Scripted faults: each does what it says, as often as it says, and to nobody else."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography.exceptions import InvalidSignature

from sandbox.faults import FAULTS, SIGN_IN
from sandbox.models import Delivery, Script
from tests.merchants import wechat_sign

from .clients import AlipayClient, MerchantServer, WeChatClient, xml_fields

pytestmark = pytest.mark.django_db


def notice_of(number: str) -> Delivery:
    return Delivery.objects.get(trade__out_trade_no=number)


def read_wechat(merchant: WeChatClient, body: str, sign_type: str = "HMAC-SHA256") -> dict[str, str]:
    """A notice's fields, its signature checked."""
    fields = xml_fields(body)
    assert fields["sign"] == wechat_sign(fields, merchant.key, sign_type)
    return fields


def read_alipay(merchant: AlipayClient, body: str) -> dict[str, str]:
    """A notice's fields, its signature checked."""
    fields = dict(parse_qsl(body, keep_blank_values=True, strict_parsing=True))
    signed = {name: value for name, value in fields.items() if name not in {"sign", "sign_type"}}
    merchant.verify("&".join(f"{name}={signed[name]}" for name in sorted(signed)).encode(), fields["sign"])
    return fields


@pytest.mark.parametrize(
    "bad",
    [
        {"gateway": "stripe", "fault": "drop"},
        {"gateway": "wechat", "fault": "explode"},
        {"gateway": "wechat"},
        {"gateway": ["wechat"], "fault": {}},
        {"gateway": "wechat", "fault": "timeout"},
        {"gateway": "wechat", "operation": "explain", "fault": "timeout"},
        {"gateway": "wechat", "operation": "close", "fault": "lie_not_pay"},
        {"gateway": "wechat", "operation": ["close"], "fault": "lie_not_pay"},
        {"gateway": "wechat", "fault": "drop", "times": 0},
        {"gateway": "wechat", "fault": "drop", "times": "2"},
        {"gateway": "wechat", "fault": "drop", "times": True},
        {"gateway": "wechat", "fault": "drop", "colour": "red"},
        {"gateway": "wechat", "fault": "drop", "parameters": [1]},
        {"gateway": "wechat", "fault": "drop", "out_trade_no": 1},
        {"gateway": "wechat", "operation": "query", "fault": "timeout", "seconds": 41},
        {"gateway": "wechat", "operation": "query", "fault": "timeout", "seconds": "1"},
        {"gateway": "wechat", "operation": "query", "fault": "timeout", "after_work": 1},
        {"gateway": "wechat", "fault": "duplicate", "copies": 1},
        {"gateway": "wechat", "fault": "wrong_amount", "amount": ""},
        {"gateway": "wechat", "operation": "login", "fault": "timeout"},
        {"gateway": "weixin", "operation": "create", "fault": "timeout"},
        {"gateway": "weixin", "fault": "drop"},
        [],
    ],
)
def test_a_script_that_cannot_be_is_refused_in_words(client: Any, bad: Any) -> None:
    response = client.post("/sandbox/script", bad, content_type="application/json")
    assert response.status_code == 400
    assert len(response.json()["error"]) > 10
    assert not Script.objects.exists()


def test_a_script_that_is_not_json_is_refused(client: Any) -> None:
    for body in ("{", '"text"', "[" * 5000):
        assert client.post("/sandbox/script", body, content_type="application/json").status_code == 400


def test_every_fault_can_be_scripted_without_parameters(script: Any) -> None:
    for name, fault in FAULTS.items():
        for operation in fault.operations:
            gateway = "weixin" if operation in SIGN_IN else "alipay"
            assert script(gateway=gateway, operation=operation, fault=name).status_code == 201
    assert script(gateway="wechat", operation="unifiedorder", fault="html").json()["operation"] == "create"
    assert script(gateway="wechat", operation="pay", fault="drop").json()["operation"] == "notify"


def test_delete_removes_all_scripts(client: Any, script: Any) -> None:
    script(gateway="wechat", fault="drop")
    assert client.delete("/sandbox/script").status_code == 204
    assert not Script.objects.exists()


def test_a_fault_happens_so_often_to_that_gateway_operation_and_order(
    wechat: WeChatClient, alipay: AlipayClient, script: Any
) -> None:
    first, second = wechat.create()["out_trade_no"], wechat.create()["out_trade_no"]
    script(gateway="wechat", operation="query", fault="system_error", times=2, out_trade_no=first)
    assert alipay.state("1") == "ACQ.TRADE_NOT_EXIST"
    assert wechat.state(second) == "NOTPAY"
    assert [wechat.state(first) for _ in range(3)] == ["SYSTEMERROR", "SYSTEMERROR", "NOTPAY"]


def test_a_caller_who_is_refused_uses_up_no_script(wechat: WeChatClient, script: Any) -> None:
    script(gateway="wechat", operation="query", fault="system_error")
    assert wechat.send("orderquery", {"out_trade_no": "123456", "sign": "x"})["return_msg"] == "签名错误"
    assert wechat.state("123456") == "SYSTEMERROR"


def test_the_buyer_pays_in_the_moment_of_closing(wechat: WeChatClient, alipay: AlipayClient, script: Any) -> None:
    for gateway in ("wechat", "alipay"):
        script(gateway=gateway, fault="paid_on_close")
    number = wechat.create()["out_trade_no"]
    assert wechat.call("closeorder", out_trade_no=number)["err_code"] == "ORDERPAID"
    assert wechat.state(number) == "SUCCESS"
    number = alipay.create()["out_trade_no"]
    assert alipay.call("close", {"out_trade_no": number})["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert alipay.state(number) == "TRADE_SUCCESS"
    assert Delivery.objects.count() == 2


def test_an_aged_order_can_be_closed_and_then_be_paid_late(
    wechat: WeChatClient, alipay: AlipayClient, phone: Any, script: Any
) -> None:
    script(gateway="wechat", operation="close", fault="aged")
    order = wechat.create()
    assert wechat.call("closeorder", out_trade_no=order["out_trade_no"])["result_code"] == "SUCCESS"
    assert phone("pay", order["code_url"]).status_code == 409
    script(gateway="wechat", fault="late")
    assert phone("pay", order["code_url"]).status_code == 200
    assert wechat.state(order["out_trade_no"]) == "SUCCESS"
    other = alipay.create()
    phone("scan", other["qr_code"])
    alipay.call("close", {"out_trade_no": other["out_trade_no"]})
    assert phone("pay", other["qr_code"], late=True).status_code == 200
    assert alipay.state(other["out_trade_no"]) == "TRADE_SUCCESS"


def test_a_coupon_lowers_what_was_paid_in_cash_only(
    wechat: WeChatClient, alipay: AlipayClient, phone: Any, script: Any
) -> None:
    for gateway in ("wechat", "alipay"):
        script(gateway=gateway, fault="coupon", amount_fen=300)
    order, other = wechat.create(), alipay.create()
    phone("pay", order["code_url"])
    phone("pay", other["qr_code"])
    fields = read_wechat(wechat, notice_of(order["out_trade_no"]).body)
    assert (fields["total_fee"], fields["cash_fee"], fields["coupon_fee"]) == ("7300", "7000", "300")
    fields = read_alipay(alipay, notice_of(other["out_trade_no"]).body)
    assert (fields["total_amount"], fields["buyer_pay_amount"]) == ("73.00", "70.00")


@pytest.mark.parametrize(("asked", "told"), [({}, ("1", "0.01")), ({"amount": "1e2"}, ("1e2", "1e2"))])
def test_a_notice_of_another_amount_is_rightly_signed(
    wechat: WeChatClient, alipay: AlipayClient, phone: Any, asked: dict[str, str], told: tuple[str, str]
) -> None:
    order, other = wechat.create(), alipay.create()
    phone("pay", order["code_url"], fault="wrong_amount", **asked)
    phone("pay", other["qr_code"], fault="wrong_amount", **asked)
    assert read_wechat(wechat, notice_of(order["out_trade_no"]).body)["total_fee"] == told[0]
    assert read_alipay(alipay, notice_of(other["out_trade_no"]).body)["total_amount"] == told[1]
    assert wechat.call("orderquery", out_trade_no=order["out_trade_no"])["total_fee"] == "7300"


def test_a_notice_for_another_merchant_is_rightly_signed(
    wechat: WeChatClient, alipay: AlipayClient, phone: Any, script: Any
) -> None:
    script(gateway="wechat", operation="notify", fault="wrong_merchant")
    script(gateway="alipay", operation="notify", fault="wrong_merchant", merchant_id="2088")
    order, other = wechat.create(), alipay.create()
    phone("pay", order["code_url"])
    phone("pay", other["qr_code"])
    fields = read_wechat(wechat, notice_of(order["out_trade_no"]).body)
    assert fields["appid"] != wechat.app_id
    assert fields["mch_id"] != wechat.mch_id
    fields = read_alipay(alipay, notice_of(other["out_trade_no"]).body)
    assert (fields["app_id"], fields["seller_id"]) == (alipay.app_id, "2088")


def test_a_wrongly_signed_notice_is_just_that(wechat: WeChatClient, alipay: AlipayClient, phone: Any) -> None:
    order, other = wechat.create(), alipay.create()
    phone("pay", order["code_url"], fault="wrong_signature")
    phone("pay", other["qr_code"], fault="wrong_signature")
    with pytest.raises(AssertionError):
        read_wechat(wechat, notice_of(order["out_trade_no"]).body)
    with pytest.raises(InvalidSignature):
        read_alipay(alipay, notice_of(other["out_trade_no"]).body)


def test_the_notice_is_answered_before_the_create_call_is(wechat: WeChatClient, script: Any, listen: Any) -> None:
    server: MerchantServer = listen()
    script(gateway="wechat", fault="pay_inside_create")
    order = wechat.create(notify_url=server.url)
    assert len(server.got) == 1
    assert notice_of(order["out_trade_no"]).acknowledged_at
    assert wechat.state(order["out_trade_no"]) == "SUCCESS"
