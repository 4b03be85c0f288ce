"""What operators get wrong with WeChat Pay v3, and how they are told: before anything is sent, or by the answer."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa as keys

from sandbox.management.commands.open_sandbox_accounts import client_certificate
from tests.far_side import FarSide
from tests.topup.gateways.wechat_v3_side import CONFIG, PUBLIC_KEY_ID, answer, certificate_entry, pem
from topup.gateways.errors import NotConfigured
from topup.gateways.wechat.v3 import WeChatPayV3

OTHER_KEY, OTHER_CERTIFICATE = pem("other_merchant.key.pem"), pem("other_merchant.cert.pem")
OWN_PUBLIC = pem("merchant.pub.pem")


@lru_cache
def expired() -> tuple[str, str]:
    """A certificate that is over, and its key."""
    key = keys.generate_private_key(65537, 2048)
    with time_machine.travel("2019-01-01"):
        return client_certificate(CONFIG.mch_id, key)


# The number in the table of mistakes, what is entered, the field that is marked, and words of what is said.
LOCAL: list[tuple[str, dict[str, Any], str, str]] = [
    ("2", {"client_cert": pem("platform_new.cert.pem")}, "client_cert", "platform certificate"),
    ("3", {"client_key": OTHER_KEY}, "client_key", "does not belong to this key"),
    ("4", {"client_key": pem("merchant.cert.pem")}, "client_key", "This is a certificate"),
    ("4", {"client_key": OWN_PUBLIC}, "client_key", "This is a public key"),
    ("4", {"client_cert": pem("merchant.key.pem")}, "client_cert", "This is a private key"),
    ("6", {"client_cert": ""}, "client_cert", "not a certificate"),
    ("6", {"api_v3_key": ""}, "api_v3_key", "Enter the APIv3 key"),
    ("7", {"api_v3_key": CONFIG.api_v3_key[:-1]}, "api_v3_key", "31 characters"),
    ("7", {"api_v2_key": CONFIG.api_v3_key}, "api_v3_key", "This is the API v2 key"),
    ("7", {"api_v3_key": "a" * 31 + "b"}, "api_v3_key", "easily guessed"),
    ("8", {"public_key_id": "0119000091912026010200000000000001"}, "public_key_id", "PUB_KEY_ID_"),
    ("8", {"public_key_id": ""}, "public_key_id", "Enter the public key's id"),
    ("9", {"public_key": OWN_PUBLIC}, "public_key", "merchant's own public key"),
    ("9", {"public_key": pem("platform_new.cert.pem")}, "public_key", "This is a certificate"),
    ("9", {"public_key": pem("wechatpay_public.key.pem")}, "public_key", "This is a private key"),
    ("9", {"public_key": ""}, "public_key", "Enter the key"),
    ("10", {"platform_certs": pem("merchant.cert.pem")}, "platform_certs", "merchant's own certificate"),
    ("10", {"platform_certs": OWN_PUBLIC}, "platform_certs", "not a certificate"),
    ("10", {"public_key": "", "public_key_id": "", "platform_certs": ""}, "public_key", "be fetched"),
    ("12", {"mch_id": "1900007291"}, "client_cert", "is merchant 1900009191's"),
    ("12", {"client_cert": OTHER_CERTIFICATE, "client_key": OTHER_KEY}, "client_cert", "is merchant 1900007291's"),
    ("18", {"base_url": "api.mch.weixin.qq.com"}, "base_url", "https://"),
]


@pytest.mark.parametrize(("number", "changes", "field", "words"), LOCAL, ids=lambda value: str(value)[:40])
def test_a_mistake_is_told_at_its_field_before_anything_is_sent(
    number: str, changes: dict[str, Any], field: str, words: str
) -> None:
    config = replace(CONFIG, **changes)
    found = {problem.field: problem.message for problem in config.problems()}
    assert words in found[field], number
    assert list(found) == [field]
    with pytest.raises(NotConfigured):
        WeChatPayV3(config)


def test_a_right_configuration_has_no_problems_in_any_form() -> None:
    for changes in (
        {},
        {"platform_certs": ""},
        {"public_key": "", "public_key_id": ""},
        {"public_key": "", "public_key_id": "", "platform_certs": "", "fetch_certs": True},
        {"client_key": pem("merchant_pkcs1.key.pem")},
        {"public_key": CONFIG.public_key.replace("\n", "\r\n")},
    ):
        assert replace(CONFIG, **changes).problems() == []
    assert WeChatPayV3(CONFIG).why_no_refunds == ""


def test_an_expired_certificate_is_told_and_notices_are_heard_all_the_same() -> None:
    certificate, key = expired()
    pay = WeChatPayV3(replace(CONFIG, client_cert=certificate, client_key=key))
    assert "expired on 2023" in pay.why_no_refunds


@pytest.fixture
def side() -> Iterator[FarSide]:
    with FarSide() as far_side:
        yield far_side


SIGN, NOBODY = {"sign": True}, {"sign": False}
# The same of what the gateway answers: status, code and text, how it is signed; and what the hint must speak of.
ANSWERED: list[tuple[str, int, str, str, dict[str, Any], str]] = [
    ("1", 401, "SIGN_ERROR", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟", NOBODY, "clock is wrong"),
    ("2", 401, "SIGN_ERROR", "商户证书序列号有误。请使用签名私钥匹配的证书序列号", NOBODY, "present one"),
    ("3", 401, "SIGN_ERROR", "签名错误", NOBODY, "does not belong to the certificate"),
    ("3", 401, "SIGN_ERROR", "错误的签名，验签失败", NOBODY, "does not belong to the certificate"),
    ("5", 401, "SIGN_ERROR", "商户证书已过期", NOBODY, "no longer good"),
    ("5", 401, "SIGN_ERROR", "商户证书已作废", NOBODY, "no longer good"),
    ("5", 401, "SIGN_ERROR", "已更换证书，请使用新证书", NOBODY, "no longer good"),
    ("6", 401, "SIGN_ERROR", "商户未申请过证书。", NOBODY, "no API certificate"),
    ("6", 401, "SIGN_ERROR", "商户未设置APIv3密钥。", NOBODY, "No APIv3 key is set"),
    ("8", 500, "SYSTEM_ERROR", "未知错误", NOBODY, "another merchant's"),
    ("8", 404, "ORDER_NOT_EXIST", "订单不存在", {"serial": f"{PUBLIC_KEY_ID[:-1]}2"}, "another id"),
    ("9", 404, "ORDER_NOT_EXIST", "订单不存在", {"key": "other_wechatpay_public.key.pem"}, "pub_key.pem"),
    ("10", 404, "ORDER_NOT_EXIST", "订单不存在", {"serial": "7A11"}, "start the switch"),
    ("11", 400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配，请检查后再试", SIGN, "not bound"),
    ("12", 400, "MCH_NOT_EXISTS", "商户号不存在", SIGN, "merchant number"),
    ("12", 400, "PARAM_ERROR", "http header中的mchid与post payload中的mchid不匹配", SIGN, "merchant number"),
    ("13", 403, "NO_AUTH", "商户号该产品权限未开通，请前往商户平台>产品中心检查后重试", SIGN, "applied for one by one"),
    ("14", 403, "NO_AUTH", "此商家的收款功能已被限制，暂无法支付。", SIGN, "merchant assistant"),
    ("15", 400, "PARAM_ERROR", "appid和openid不匹配", SIGN, "another app id"),
    ("16", 403, "NO_AUTH", "异常IP请求不予受理", SIGN, "may refund"),
    (
        "17",
        401,
        "SIGN_ERROR",
        "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》",
        NOBODY,
        "changes requests",
    ),
    ("17", 200, "", "", NOBODY, "Wechatpay-"),
    ("18", 404, "", "", NOBODY, "Leave it empty"),
    ("18", 405, "", "", NOBODY, "Leave it empty"),
    ("21", 403, "OUT_TRADE_NO_USED", "商户订单号重复", SIGN, "API v2"),
]


@pytest.mark.parametrize(("number", "status", "code", "text", "how", "words"), ANSWERED)
def test_the_test_of_the_connection_says_how_to_mend_it(
    number: str, status: int, code: str, text: str, how: dict[str, Any], words: str, side: FarSide
) -> None:
    body = json.dumps({"code": code, "message": text}, ensure_ascii=False).encode() if code else b""
    side.answer = lambda _seen: answer(body, status, **how)
    probe = WeChatPayV3(replace(CONFIG, base_url=side.url, platform_certs="")).probe()
    assert (probe.ok, words in probe.hint) == (False, True), (number, probe)
    assert "Our clock" in probe.details


def test_7_another_api_v3_key_is_told_where_certificates_are_fetched(side: FarSide) -> None:
    entries = {"data": [certificate_entry("platform_new.cert.pem")]}
    absent = {"code": "ORDER_NOT_EXIST", "message": "订单不存在"}
    side.answer = lambda seen: answer(entries) if "certificates" in seen.line else answer(absent, 404)
    wrong = replace(CONFIG, base_url=side.url, fetch_certs=True, api_v3_key=secrets.token_hex(16))
    assert "Enter it once more" in WeChatPayV3(wrong).probe().hint
    assert WeChatPayV3(replace(wrong, api_v3_key=CONFIG.api_v3_key)).probe().ok


def test_8_a_public_keys_id_that_holds_another_merchants_number_is_pointed_out(side: FarSide) -> None:
    side.answer = lambda _seen: answer(None, 502, sign=False)
    other = replace(CONFIG, base_url=side.url, public_key_id="PUB_KEY_ID_0119000072912026010200000000000001")
    assert "1900007291" in WeChatPayV3(other).probe().details["Public key id"]
    assert "Public key id" not in WeChatPayV3(replace(CONFIG, base_url=side.url)).probe().details
