"""Alipay: signatures and notices, against published vectors, and what a configuration must hold."""

import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from tests import vectors
from tests.topup.gateways.alipay_side import (
    ALIPAY,
    CONFIG,
    GATEWAY,
    NOTICE,
    NOTICES,
    ORDER_NO,
    RECEIPT,
    notice,
    opened,
    paid,
)
from topup.gateways import rsa
from topup.gateways.alipay import Alipay, string_to_sign
from topup.gateways.errors import BadSignature, Malformed, NotConfigured
from topup.gateways.notices import IncomingNotice


# --- Signatures ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("vector", vectors.load("alipay_request_sign")["vectors"], ids=lambda v: v["name"])
def test_a_published_request_signature_is_ours(vector: dict[str, Any]) -> None:
    text = string_to_sign(vector["params"], without={"sign"})
    assert text == vector["string_to_sign"]
    for form in ("app_private_pkcs1.pem", "app_private_pkcs8.b64"):
        assert rsa.sign(rsa.private_key(vectors.key(form)), text.encode()) == vector["sign"]


def test_names_are_sorted_as_ascii() -> None:
    names = ["B", "_a", "a1", "aB", "a_1", "ab"]
    assert string_to_sign(dict.fromkeys(reversed(names), ""), without=()) == "B=&_a=&a1=&aB=&a_1=&ab="


# --- Notices ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("vector", NOTICES["vectors"] + NOTICES["negatives"], ids=lambda v: v["name"])
def test_a_published_notice_is_judged_rightly(vector: dict[str, Any]) -> None:
    body = vector["form_body_urlencoded"].encode()
    if not vector["expected_valid"]:
        claimed: list[str] = []
        with pytest.raises(BadSignature):
            GATEWAY.open(IncomingNotice(body), lambda order_no: claimed.append(order_no) or "")
        assert claimed == [ORDER_NO]
    elif "refund_fee" in vector["form"]:
        assert paid(body) is None
    else:
        assert paid(body) == RECEIPT
        assert string_to_sign(vector["form"], without={"sign", "sign_type"}) == vector["string_to_verify"]


@pytest.mark.parametrize("charset", ["GBK", "gb2312", "GB18030", "UTF-8"])
def test_P51_a_notice_is_verified_and_read_in_the_charset_that_it_names(charset: str) -> None:
    form = NOTICE | {"charset": charset, "subject": "语音助手充值"}
    text = string_to_sign(form, without={"sign", "sign_type"})
    body = urlencode(form | {"sign": rsa.sign(ALIPAY, text.encode(charset))}, encoding=charset).encode()
    assert paid(body) == RECEIPT
    assert Alipay.notice_fields(body)["subject"] == "语音助手充值"
    with pytest.raises(BadSignature):
        paid(body.replace(b"total_amount=19.90", b"total_amount=19.91"))


@pytest.mark.parametrize("name", ["trade_no", "out_trade_no"])
@pytest.mark.parametrize("number", [None, "", "a b c d e f", "x" * 65, "'; --"])
def test_a_number_that_is_none_is_refused(name: str, number: str | None) -> None:
    with pytest.raises(Malformed):
        paid(notice({name: number}))


@pytest.mark.parametrize("amount", ["0.01", "0.29", "19.99", "693.50", "100000000.00"])
def test_amounts_are_exact(amount: str) -> None:
    found = paid(notice({"total_amount": amount}))
    assert found is not None
    assert found.amount_fen == int(amount.replace(".", ""))


@pytest.mark.parametrize("status", ["WAIT_BUYER_PAY", "TRADE_CLOSED", "TRADE_PENDING", "trade_success", "", None])
def test_any_other_state_is_no_receipt(status: str | None) -> None:
    assert paid(notice({"trade_status": status})) is None


def test_empty_refund_marks_are_none_and_empty_values_are_signed() -> None:
    changes: dict[str, str | None] = {
        "refund_fee": "0.00",
        "gmt_refund": "",
        "out_biz_no": "",
        "a_field_of_tomorrow": "新",
    }
    assert paid(notice(changes)) == RECEIPT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"&",
        b"nothing",
        b"{}",
        b"<xml/>",
        b"a=%FF",
        b"a=\xff",
        notice() + b"&total_amount=0.01",
        notice() + b"&sign=x",
        notice() + b"&",
        notice() + b"&x",
        notice({"body": "x" * 65536}),
        b"&".join(b"a%d=1" % number for number in range(300)),
    ],
    ids=lambda body: str(len(body)),
)
def test_bytes_that_are_no_such_form_are_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        opened(body)


# --- Configuration ---------------------------------------------------------------------------------------------------
WRONG: dict[str, list[str]] = {
    "app_id": [
        "", "请输入应用ID", "202100000000000", "2088102146225135", "2021000000000001 ",
        "２０２１０００００００００００１",
    ],
    "seller_id": ["", " ", "2088", "2021000000000001", "2088102146225135\n"],
    "private_key": ["", "请输入应用私钥", "xxx", "your-key", "A" * 400, vectors.key("app_public_spki.pem")],
    "public_key": [
        *("", "xxx", "A" * 400, vectors.key("app_private_pkcs1.pem")),
        # The commonest mistake: the application's own public key.
        vectors.key("app_public_spki.pem"),
    ],
    "gateway_url": ["openapi.alipay.com", "ftp://a", "https://"],
}  # fmt: skip


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_A1_a_configuration_that_cannot_work_makes_no_gateway(field: str, value: str) -> None:
    config = replace(CONFIG, **{field: value})  # type: ignore[arg-type]
    assert [problem.field for problem in config.problems()] == [field]
    with pytest.raises(NotConfigured, match=field):
        Alipay(config)


def test_all_problems_are_told_at_once() -> None:
    problems = Alipay.problems({"app_id": "", "private_key": "", "public_key": "", "seller_id": ""})
    assert [problem.field for problem in problems] == ["app_id", "seller_id", "private_key", "public_key"]
    assert all(type(problem.message) is str for problem in problems)


@pytest.mark.parametrize(
    ("gateway_url", "sandbox", "address", "live"),
    [
        ("", False, "https://openapi.alipay.com/gateway.do", True),
        ("", True, "https://openapi-sandbox.dl.alipaydev.com/gateway.do", False),
        ("https://openapi.alipay.com/gateway.do", True, "https://openapi.alipay.com/gateway.do", True),
        ("http://127.0.0.1:8000/gateway.do", False, "http://127.0.0.1:8000/gateway.do", False),
    ],
)
def test_A10_only_the_real_gateway_is_live(gateway_url: str, sandbox: bool, address: str, live: bool) -> None:
    gateway = Alipay(replace(CONFIG, gateway_url=gateway_url, sandbox=sandbox))
    assert (gateway.address, gateway.live) == (address, live)
    assert (gateway.name, gateway.sign_type, gateway.merchant_id) == ("alipay", "RSA2", CONFIG.seller_id)


def test_building_a_gateway_again_is_cheap() -> None:
    """Gateways are built for every notice; proving the private key's primes takes 60 ms."""
    started = time.process_time()
    for _ in range(20):
        Alipay(CONFIG)
    assert time.process_time() - started < 0.2
