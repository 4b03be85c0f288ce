"""WeChat Pay v2: signatures and notices, against published vectors, and what a configuration must hold."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests import vectors
from tests.topup.gateways.wechat_side import (
    CONFIG,
    GATEWAY,
    KEY,
    ORDER_NO,
    RECEIPT,
    document,
    notice,
    opened,
    paid,
)
from topup.gateways.errors import BadSignature, Implausible, Malformed, NotConfigured, NoticeRefused, WrongRecipient
from topup.gateways.notices import OpenedNotice
from topup.gateways.wechat.v2 import WeChatPayV2, sign, string_to_sign
from topup.gateways.wechat.v2.orders import _GRACE


# --- Signatures ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "vector", vectors.load("wechat_v2_sign")["vectors"], ids=lambda v: f"{v['name']}-{v['sign_type']}"
)
def test_a_published_signature_is_ours(vector: dict[str, Any]) -> None:
    assert string_to_sign(vector["params"], vector["key"]) == vector["string_to_sign"]
    assert sign(vector["params"], vector["key"], vector["sign_type"]) == vector["sign"]


@pytest.mark.parametrize("vector", vectors.load("wechat_v2_paysign")["vectors"], ids=lambda v: v["name"])
def test_the_published_second_signature_is_ours(vector: dict[str, Any]) -> None:
    assert sign(vector["params"], vector["key"], vector["params"]["signType"]) == vector["paySign"]


@pytest.mark.parametrize("vector", vectors.load("wechat_v2_sign")["negatives"], ids=lambda v: v["name"])
def test_a_published_forgery_is_refused(vector: dict[str, Any]) -> None:
    gateway = WeChatPayV2(replace(CONFIG, api_key=vector["key"], sign_type=vector["sign_type"]))
    with pytest.raises(BadSignature):
        paid(document({**vector["params"], "sign": vector["sign"]}), by=gateway)


def test_names_are_sorted_as_ascii() -> None:
    names = ["B", "_a", "a1", "aB", "a_1", "ab"]
    assert string_to_sign(dict.fromkeys(reversed(names), "1"), "k") == "B=1&_a=1&a1=1&aB=1&a_1=1&ab=1&key=k"


def test_an_empty_key_and_an_unknown_algorithm_sign_nothing() -> None:
    for key, sign_type in (("", "MD5"), ("", "HMAC-SHA256"), (KEY, ""), (KEY, "SHA1"), (KEY, "hmac-sha256")):
        with pytest.raises(ValueError, match=r"nothing|not an algorithm"):
            sign({"a": "1"}, key, sign_type)


# --- Notices ---------------------------------------------------------------------------------------------------------
def test_a_notice_for_another_app_of_ours_is_believed_and_names_that_app() -> None:
    mini_program = "wx1111111111111111"
    gateway = WeChatPayV2(replace(CONFIG, other_app_ids=(mini_program, "")))
    assert paid(notice(appid=mini_program), by=gateway) == replace(RECEIPT, app_id=mini_program)
    assert paid(notice(), by=gateway) == RECEIPT
    for changes in ({"appid": "wx2222222222222222"}, {"appid": None}, {"appid": mini_program, "mch_id": "1900000110"}):
        with pytest.raises(WrongRecipient):
            paid(notice(**changes), by=gateway)


@pytest.mark.parametrize("vector", vectors.load("wechat_v2_notify_bodies")["vectors"], ids=lambda v: v["name"])
def test_a_published_notice_is_judged_rightly(vector: dict[str, Any]) -> None:
    gateway = WeChatPayV2(replace(CONFIG, api_key=vector["key"]))
    body = vector["xml"].encode()
    if vector["expected_valid"]:
        assert opened(body, sign_type=vector["sign_type"], by=gateway) == OpenedNotice(ORDER_NO, RECEIPT)
    else:
        with pytest.raises(NoticeRefused):
            paid(body, sign_type=vector["sign_type"], by=gateway)


@pytest.mark.parametrize(
    "number", [None, "", "short", "x" * 33, "20260102-150405", "20260102 150405", "２０２６０１０２"]
)
def test_an_order_number_that_is_none_of_ours_is_refused(number: str | None) -> None:
    with pytest.raises(Malformed):
        opened(notice(out_trade_no=number))


@pytest.mark.parametrize("number", [None, "", "x" * 65, "42 00", "'; --"])
def test_a_transaction_id_that_is_none_is_refused(number: str | None) -> None:
    with pytest.raises(Implausible):
        paid(notice(transaction_id=number))


def test_a_genuine_notice_that_nobody_paid_is_no_receipt() -> None:
    assert paid(notice(result_code="FAIL", err_code="SYSTEMERROR")) is None
    assert paid(notice(result_code=None)) is None


@pytest.mark.parametrize("state", ["NOTPAY", "REFUND", "CLOSED", ""])
def test_the_answer_to_a_query_cannot_pass_for_a_notice(state: str) -> None:
    assert paid(notice(trade_state=state)) is None


def test_a_notice_that_says_return_code_fail_is_refused() -> None:
    for code in ("FAIL", "", "success"):
        with pytest.raises(Malformed):
            paid(notice(return_code=code))


def test_the_acknowledgement_is_exactly_the_published_one() -> None:
    reply = GATEWAY.acknowledge(True)
    assert reply.body == vectors.load("wechat_v2_notify_bodies")["reply_ok"]
    assert (reply.status, reply.content_type) == (200, "text/xml; charset=utf-8")
    refusal = GATEWAY.acknowledge(False, "签名验证失败\x00")
    assert "<return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[签名验证失败 ]]>" in refusal.body


# --- Configuration ---------------------------------------------------------------------------------------------------
WRONG: dict[str, list[str]] = {
    "app_id": ["", "wx", "8888888888888888", "wx88888888888888889", " wx8888888888888888", "wx_8888888888888888"],
    "mch_id": ["", "请输入商户号", "1900000109 ", "19000001O9", "１９００００１０９", "0000000000", "12"],
    "api_key": [
        *("", " ", "\t\n", "请输入微信支付API v2密钥", "your-api-key", "xxx", "x" * 32, "0" * 32, "ab" * 16),
        *(KEY[:31], KEY + "0", KEY[:31] + " ", KEY[:31] + "-", KEY[:31] + "密"),
    ],
    "sign_type": ["", "RSA2", "md5"],
    "base_url": ["api.mch.weixin.qq.com", "ftp://a", "https://", "http://["],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_A1_a_configuration_that_cannot_work_makes_no_gateway(field: str, value: str) -> None:
    config = replace(CONFIG, **{field: value})
    assert [problem.field for problem in config.problems()] == [field]
    with pytest.raises(NotConfigured, match=field) as caught:
        WeChatPayV2(config)
    assert field != "api_key" or len(value) < 5 or value not in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    problems = WeChatPayV2.problems({"app_id": "", "mch_id": "", "api_key": ""})
    assert [problem.field for problem in problems] == ["app_id", "mch_id", "api_key"]
    assert all(type(problem.message) is str for problem in problems)


@pytest.mark.parametrize(
    ("base_url", "live"),
    [
        ("", True),
        ("https://api.mch.weixin.qq.com", True),
        ("https://api2.mch.weixin.qq.com/", True),
        ("http://127.0.0.1:8000/sandbox/wechat", False),
        ("https://api.mch.weixin.qq.com.evil.example", False),
    ],
)
def test_A10_only_the_real_gateway_is_live(base_url: str, live: bool) -> None:
    gateway = WeChatPayV2.from_values(
        {"app_id": CONFIG.app_id, "mch_id": CONFIG.mch_id, "api_key": KEY, "base_url": base_url}
    )
    assert gateway.live is live
    assert (gateway.name, gateway.app_id, gateway.merchant_id) == ("wechat", CONFIG.app_id, CONFIG.mch_id)


def test_an_order_is_still_payable_for_five_minutes_at_wechat_when_it_ends_here() -> None:
    """WeChat refuses a shorter time_expire; a request repeated in the last second must not be refused for it."""
    assert timedelta(minutes=5) <= _GRACE
