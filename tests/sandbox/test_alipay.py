"""Alipay's stand-in, as a merchant meets it."""

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives import hashes
from django.utils import timezone

from sandbox.models import Merchant, Trade

from .clients import NOTIFY_URL, AlipayClient, beijing, new_number

PRECREATE = "alipay.trade.precreate"


def unsigned(body: bytes) -> dict[str, str]:
    """The node of an answer that must carry no signature."""
    answer = json.loads(body)
    assert "sign" not in answer
    assert len(answer) == 1
    node: dict[str, str] = next(iter(answer.values()))
    return node


@pytest.mark.parametrize("in_query", [True, False])
def test_an_order_is_answered_with_a_signed_code(alipay: AlipayClient, in_query: bool) -> None:
    order = alipay.order()
    body = alipay.send(PRECREATE, order, in_query=in_query, notify_url=NOTIFY_URL)
    answer = alipay.verified(PRECREATE, body)
    assert answer["out_trade_no"] == order["out_trade_no"]
    assert answer["qr_code"].startswith("https://qr.alipay.com/")
    assert rb"https:\/\/qr.alipay.com\/" in body


@pytest.mark.parametrize("change", [{"total_amount": "1.00"}, {"subject": "else"}, {"body": "new"}])
def test_other_parameters_under_one_number_are_refused(alipay: AlipayClient, change: dict[str, str]) -> None:
    order = alipay.order()
    assert len({alipay.call("precreate", order)["qr_code"] for _ in range(2)}) == 1
    assert alipay.call("precreate", order | change)["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    assert alipay.call("precreate", order, notify_url=NOTIFY_URL)["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"


def test_no_trade_exists_until_somebody_scans(alipay: AlipayClient, phone: Any) -> None:
    order = alipay.create()
    number = order["out_trade_no"]
    assert alipay.state(number) == "ACQ.TRADE_NOT_EXIST"
    assert alipay.call("close", {"out_trade_no": number})["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    scanned = phone("scan", order["qr_code"])
    assert (scanned.status_code, scanned.json()["state"]) == (200, "waiting")
    assert alipay.state(number) == "WAIT_BUYER_PAY"


def test_a_paid_trade_says_how_much_and_takes_no_second_payment(alipay: AlipayClient, phone: Any) -> None:
    order = alipay.create()
    paid = phone("pay", order["qr_code"])
    assert paid.json()["state"] == "paid"
    answer = alipay.call("query", {"trade_no": paid.json()["transaction_id"]})
    assert (answer["trade_status"], answer["total_amount"]) == ("TRADE_SUCCESS", "73.00")
    assert answer["out_trade_no"] == order["out_trade_no"]
    again = phone("pay", order["qr_code"])
    assert (again.status_code, again.json()["state"]) == (409, "paid")
    again = alipay.call("precreate", alipay.order(out_trade_no=order["out_trade_no"]))
    assert again["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"
    assert alipay.call("close", {"out_trade_no": order["out_trade_no"]})["sub_code"] == "ACQ.TRADE_STATUS_ERROR"


def test_a_scanned_trade_can_be_closed_once(alipay: AlipayClient, phone: Any) -> None:
    order = alipay.create()
    phone("scan", order["qr_code"])
    content = {"out_trade_no": order["out_trade_no"]}
    assert alipay.call("close", content)["code"] == "10000"
    assert alipay.call("close", content)["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert alipay.state(order["out_trade_no"]) == "TRADE_CLOSED"
    assert phone("pay", order["qr_code"]).status_code == 409
    again = alipay.call("precreate", alipay.order(out_trade_no=order["out_trade_no"]))
    assert again["sub_code"] == "ACQ.TRADE_HAS_CLOSE"


def test_a_trade_is_closed_by_time_counted_from_the_scan(alipay: AlipayClient, phone: Any) -> None:
    order = alipay.create(timeout_express="30m")
    with time_machine.travel(timezone.now() + timedelta(minutes=60)):
        phone("scan", order["qr_code"])
    with time_machine.travel(timezone.now() + timedelta(minutes=89)):
        assert alipay.state(order["out_trade_no"]) == "WAIT_BUYER_PAY"
    with time_machine.travel(timezone.now() + timedelta(minutes=91)):
        assert alipay.state(order["out_trade_no"]) == "TRADE_CLOSED"
        assert phone("pay", order["qr_code"]).json()["state"] == "closed"


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [({}, 120), ({"qr_code_timeout_express": "10m"}, 10), ({"timeout_express": "1d"}, 120)],
)
def test_an_old_code_cannot_be_scanned(alipay: AlipayClient, phone: Any, limit: dict[str, str], minutes: int) -> None:
    order = alipay.create(**limit)
    with time_machine.travel(timezone.now() + timedelta(minutes=minutes, seconds=5)):
        assert phone("scan", order["qr_code"]).json()["state"] == "closed"
        assert phone("pay", order["qr_code"]).status_code == 409
        assert alipay.state(order["out_trade_no"]) == "ACQ.TRADE_NOT_EXIST"


def test_an_absolute_expiry_ends_the_trade(alipay: AlipayClient, phone: Any) -> None:
    order = alipay.create(time_expire=f"{beijing(minutes=10):%Y-%m-%d %H:%M:%S}", timeout_express="1h")
    phone("scan", order["qr_code"])
    with time_machine.travel(timezone.now() + timedelta(minutes=10, seconds=1)):
        assert alipay.state(order["out_trade_no"]) == "TRADE_CLOSED"


BAD: dict[str, list[Any]] = {
    "out_trade_no": ["", "with-dash", "x" * 65, 123456],
    "total_amount": ["0.00", "0.001", "1e2", "-1.00", "100000000.01", "１.00", 73.0, None],
    "subject": ["", "x" * 257, "a/b", "a&b", "a=b"],
    "body": ["x" * 129, ["x"]],
    "seller_id": ["2088999999999999"],
    "timeout_express": ["1.5h", "16d", 30],
    "qr_code_timeout_express": ["0m"],
    "time_expire": ["yesterday", "2020-01-01 00:00:00"],
}


def test_an_order_is_refused_with_a_signed_reason(alipay: AlipayClient) -> None:
    for name, value in [(name, value) for name, values in BAD.items() for value in values]:
        answer = alipay.call("precreate", alipay.order(**{name: value}))
        assert (answer["code"], answer["sub_code"]) == ("40004", "ACQ.INVALID_PARAMETER"), (name, value)
    assert not Trade.objects.exists()


@pytest.mark.parametrize("url", ["https://pay.example.com/notify", "http://127.0.0.1/n?a=1", "nonsense"])
def test_notices_go_to_loopback_only(alipay: AlipayClient, url: str) -> None:
    answer = alipay.call("precreate", alipay.order(), notify_url=url)
    assert "notify_url" in answer["sub_msg"]


@pytest.mark.parametrize(
    ("changes", "sub_code"),
    [
        ({"app_id": None}, "isv.missing-app-id"),
        ({"app_id": "2021000000000000"}, "isv.invalid-app-id"),
        ({"method": None}, "isv.missing-method"),
        ({"method": "alipay.trade.cancel"}, "isv.invalid-method"),
        ({"sign_type": "RSA"}, "isv.invalid-signature-type"),
        ({"sign_type": None}, "isv.missing-signature-type"),
        ({"charset": "gbk"}, "isv.invalid-charset"),
        ({"charset": None}, "isv.invalid-charset"),
        ({"format": "XML"}, "isv.invalid-format"),
        ({"version": "2.0"}, "isv.invalid-parameter"),
        ({"timestamp": None}, "isv.missing-timestamp"),
        ({"timestamp": "2026-01-01T00:00:00Z"}, "isv.invalid-timestamp"),
        ({"timestamp": "utc"}, "isv.invalid-timestamp"),
        ({"timestamp": "early"}, "isv.invalid-timestamp"),
        ({"biz_content": "[]"}, "isv.invalid-parameter"),
        ({"biz_content": "{"}, "isv.invalid-parameter"),
        ({"biz_content": '{"a":NaN}'}, "isv.invalid-parameter"),
        ({"biz_content": '{"a":"\\u0000"}'}, "isv.invalid-parameter"),
        ({"biz_content": '{"a":"\\ud800"}'}, "isv.invalid-parameter"),
    ],
)
def test_the_gateway_refuses_without_a_signature(
    alipay: AlipayClient, changes: dict[str, str | None], sub_code: str
) -> None:
    moments = {"utc": beijing(hours=-8), "early": beijing(minutes=-16)}
    if changes.get("timestamp") in moments:
        changes = {"timestamp": f"{moments[str(changes['timestamp'])]:%Y-%m-%d %H:%M:%S}"}
    node = unsigned(alipay.send(PRECREATE, alipay.order(), **changes))
    assert node["sub_code"] == sub_code
    assert node["code"] == ("40001" if "missing" in sub_code else "40002")


def test_an_unknown_method_is_answered_in_an_error_node(alipay: AlipayClient) -> None:
    assert "error_response" in json.loads(alipay.send("alipay.trade.unknown", {}))


@pytest.mark.parametrize("how", ["none", "nonsense", "sha1", "wrong key", "changed after"])
def test_a_wrong_signature_is_refused(alipay: AlipayClient, accounts: dict[str, Any], how: str) -> None:
    values = alipay.common(PRECREATE, alipay.order())
    sign = alipay.sign(values)
    if how == "none":
        sign = ""
    elif how == "nonsense":
        sign = "not base64 充"
    elif how == "sha1":
        sign = alipay.sign(values, hash_=hashes.SHA1())
    elif how == "wrong key":
        sign = alipay.sign(values, Merchant.objects.get(gateway="alipay").alipay_private_key)
    else:
        values["biz_content"] = json.dumps(alipay.order(total_amount="0.01"))
    node = unsigned(alipay.post(values | {"sign": sign}))
    assert node["sub_code"] == ("isv.missing-signature" if how == "none" else "isv.invalid-signature")


def test_a_parameter_that_is_given_twice_is_refused(alipay: AlipayClient) -> None:
    values = alipay.common(PRECREATE, alipay.order())
    values["sign"] = alipay.sign(values)
    body = alipay.http.post(f"/sandbox/alipay/gateway.do?app_id={alipay.app_id}", data=values).content
    assert unsigned(body)["sub_code"] == "isv.invalid-parameter"


def test_a_query_needs_a_number(alipay: AlipayClient) -> None:
    assert alipay.call("query", {})["sub_code"] == "ACQ.INVALID_PARAMETER"
    assert alipay.state(new_number()) == "ACQ.TRADE_NOT_EXIST"
