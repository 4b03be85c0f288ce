"""Siblings of the payments' incidents at the callbacks: other charsets, marks and orders of events, by every protocol.

Each case stands for a kind that the field has seen; what is posted is built and signed here, past our gateway code.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from django.test import Client

from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup.models import Notice, Order
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

from .gateways import wechat_v3_side as v3

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
Fields = dict[str, str]


def credited(order: Order) -> bool:
    order.refresh_from_db()
    balance = wallet_of(order.user).balance
    assert (order.state == Order.State.PAID, balance) in ((True, order.quota), (False, 0))
    return balance > 0


# --- Alipay ----------------------------------------------------------------------------------------------------------
@dataclass
class Form:
    """A notice as it leaves Alipay: in which bytes, whatever it says of them."""

    changes: Mapping[str, str | None] = field(default_factory=dict)
    sent: str = "utf-8"
    spoil: Callable[[bytes], bytes] = bytes

    def body(self, merchant: AlipayMerchant, order: Order) -> bytes:
        values = {**merchant.notice_values(order), **self.changes}
        form = {name: value for name, value in values.items() if value is not None}
        text = "&".join(f"{name}={form[name]}" for name in sorted(form) if name not in ("sign", "sign_type"))
        signature = merchant.alipay_key.sign(text.encode(self.sent), padding.PKCS1v15(), hashes.SHA256())
        form["sign"] = base64.b64encode(signature).decode()
        return self.spoil(urlencode(form, encoding=self.sent).encode())


def said(charset: str | None, subject: str = "语音助手充值", **more: str) -> Fields:
    return {"charset": charset, "subject": subject, **more}  # type: ignore[dict-item]


ALIPAY_READ: dict[str, Form] = {
    "P51 utf8, without the dash": Form(said("utf8")),
    "P51 UTF_8": Form(said("UTF_8")),
    "P51 no charset": Form(said(None)),
    "P51 an empty charset": Form(said("")),
    "P51 GBK that calls itself GB2312": Form(said("gb2312", "朱镕基充值"), "gbk"),
    "P51 four bytes that call themselves GBK": Form(said("GBK", "充值€𠮷"), "gb18030"),
    "P51 GBK, and nobody says so": Form(said(None), "gbk"),
    "P51 GBK that calls itself UTF-8": Form(said("utf-8"), "gbk"),
    "P51 UTF-8 that calls itself GBK": Form(said("GBK"), "utf-8"),
    "P51 a charset that nobody knows": Form(said("x-alipay"), "gbk"),
    "B6 blanks as %20": Form({"subject": "a b"}, spoil=lambda body: body.replace(b"+", b"%20")),
    "B6 escapes in small letters": Form(said("utf-8"), spoil=lambda body: body.replace(b"%E8", b"%e8")),
    "B6 colons as they are": Form(spoil=lambda body: body.replace(b"%3A", b":")),
    "B19h a line break behind it": Form(spoil=lambda body: body + b"\n"),
    "B19h a line break before it": Form(spoil=lambda body: b"\r\n" + body),
    "a time that is none": Form({"gmt_payment": "yesterday"}),
    "a trade that cannot be given back any more": Form({"trade_status": "TRADE_FINISHED"}),
    "nothing went back, in other figures": Form({"refund_fee": "0"}),
    "a coupon paid all of it": Form({"receipt_amount": "0.00", "buyer_pay_amount": "0.00", "point_amount": "73.00"}),
}  # fmt: skip
ALIPAY_REFUSED: dict[str, Form] = {
    "P51 changed behind the signature": Form(said("GBK"), "gbk", lambda body: body.replace(b"73.00", b"74.00")),
    "P51 another charset behind the signature": Form(said("GBK"), "gbk", lambda body: body.replace(b"=GBK", b"=UTF-8")),
    "P51 a subject in another charset": Form(said("utf-8"), spoil=lambda body: body.replace(b"%E8%AF%AD", b"%D3%EF")),
    "bytes of no charset": Form(spoil=lambda body: body + b"&x=%FF"),
    "an amount of three decimals": Form({"total_amount": "73.000"}),
    "an amount with an exponent": Form({"total_amount": "7.3e1"}),
    "an amount in full-width digits": Form({"total_amount": "７３.００"}),
}  # fmt: skip


def tells(provider: Client, body: bytes) -> bool:
    """Whether Alipay would stop sending."""
    answer = provider.post("/api/alipay/notify", body, content_type=FORM)
    assert (answer.status_code, answer.content in (b"success", b"fail")) == (200, True)
    return bool(answer.content == b"success")


@pytest.mark.parametrize("name", ALIPAY_READ)
def test_P_a_genuine_notice_of_alipays_is_read_in_whatever_bytes_it_comes(
    name: str, provider: Client, buyer: User, alipay: AlipayMerchant
) -> None:
    order = pending_order(buyer, alipay)
    assert tells(provider, ALIPAY_READ[name].body(alipay, order))
    assert credited(order)


@pytest.mark.parametrize("name", ALIPAY_REFUSED)
def test_P_what_alipay_did_not_sign_like_that_is_no_payment(
    name: str, provider: Client, buyer: User, alipay: AlipayMerchant
) -> None:
    order = pending_order(buyer, alipay)
    assert not tells(provider, ALIPAY_REFUSED[name].body(alipay, order))
    assert not credited(order)


GIVEN_BACK: dict[str, Form] = {
    "closed after the payment, without a word of a refund": Form({"trade_status": "TRADE_CLOSED"}),
    "closed, with when": Form({"trade_status": "TRADE_CLOSED", "gmt_close": "2026-11-22 12:00:00"}),
    "refund_fee without decimals": Form({"refund_fee": "73", "gmt_refund": "2026-11-22 12:00:00.123"}),
    "still TRADE_SUCCESS": Form({"refund_fee": "73.00"}),
    "in GBK": Form(said("GBK", refund_fee="73.0", trade_status="TRADE_CLOSED"), "gbk"),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN_BACK)
def test_P34_what_was_paid_and_given_back_is_credited_by_nothing_that_comes_later(
    name: str, provider: Client, buyer: User, alipay: AlipayMerchant, books_agree: Callable[[], None]
) -> None:
    order, refund = pending_order(buyer, alipay), GIVEN_BACK[name]
    assert tells(provider, refund.body(alipay, order))
    assert tells(provider, Form().body(alipay, order))
    assert tells(provider, refund.body(alipay, order))
    assert not credited(order)
    assert "refunded" in order.review
    books_agree()


def test_P34_a_credited_order_that_was_closed_since_gives_its_quota_back(
    provider: Client, buyer: User, alipay: AlipayMerchant, books_agree: Callable[[], None]
) -> None:
    order = pending_order(buyer, alipay)
    for form in (Form(), Form({"trade_status": "TRADE_CLOSED"}), Form()):
        assert tells(provider, form.body(alipay, order))
    order.refresh_from_db()
    assert (order.state, wallet_of(buyer).balance) == (Order.State.REFUNDED, 0)
    books_agree()


def test_P34_an_order_that_only_timed_out_can_still_be_paid(
    provider: Client, buyer: User, alipay: AlipayMerchant
) -> None:
    order = pending_order(buyer, alipay)
    assert tells(provider, Form({"trade_status": "TRADE_CLOSED", "gmt_payment": None}).body(alipay, order))
    assert tells(provider, Form().body(alipay, order))
    assert credited(order)


# --- WeChat Pay, v2 --------------------------------------------------------------------------------------------------
DECLARED = b'<?xml version="1.0" encoding="UTF-8"?>\n'
WECHAT_READ: dict[str, tuple[Mapping[str, str | None], Callable[[bytes], bytes]]] = {
    "W15 a mark": ({}, lambda body: b"\xef\xbb\xbf" + body),
    "a declaration": ({}, lambda body: DECLARED + body),
    "B19h a blank line before a declaration": ({}, lambda body: b"\r\n\n" + DECLARED + body),
    "B19h a mark and a blank line": ({}, lambda body: b"\xef\xbb\xbf \n" + DECLARED + body),
    "blank lines behind it": ({}, lambda body: body + b"\r\n\r\n"),
    "a remark": ({}, lambda body: body.replace(b"<xml>", b"<xml><!-- x -->")),
    "elements on lines of their own": ({}, lambda body: body.replace(b"]]></", b"]]></").replace(b"><t", b">\n<t")),
    "no currency": ({"fee_type": None}, bytes),
    "a time that is none": ({"time_end": "2026-11-21T12:00:00+08:00"}, bytes),
    "coupons paid all of it": ({"cash_fee": "0", "coupon_fee": "7300", "coupon_count": "2", "coupon_id_0": "1"}, bytes),
    "less is settled": ({"settlement_total_fee": "7200"}, bytes),
    "fields of tomorrow, some empty": ({"promotion_detail": '{"a":["<b>"]}', "attach": "", "detail_v3": "0"}, bytes),
}  # fmt: skip
WECHAT_REFUSED: dict[str, tuple[Mapping[str, str | None], Callable[[bytes], bytes]]] = {
    "A6 fen with decimals": ({"total_fee": "7300.00"}, bytes),
    "A6 a blank before it": ({"total_fee": " 7300"}, bytes),
    "A6 a zero before it": ({"total_fee": "07300"}, bytes),
    "A6 full-width digits": ({"total_fee": "７３００"}, bytes),
    "A6 what was paid in cash only": ({"total_fee": "7200", "cash_fee": "7300"}, bytes),
    "A6 small letters": ({"fee_type": "cny"}, bytes),
    "A2 a signature in small letters": ({}, lambda body: body.replace(*_sign_of(body))),
    "an element twice": ({}, lambda body: body.replace(b"</xml>", b"<total_fee>7300</total_fee></xml>")),
    "a document within": ({}, lambda body: body.replace(b"<xml>", b"<xml><x><total_fee>1</total_fee></x>")),
}  # fmt: skip


def _sign_of(body: bytes) -> tuple[bytes, bytes]:
    found = body.rpartition(b"<sign>")[2].removeprefix(b"<![CDATA[")[:64]
    return found, found.lower()


@pytest.mark.parametrize("name", [*WECHAT_READ, *WECHAT_REFUSED])
def test_P_a_notice_of_wechats_is_read_however_it_is_written_and_refused_when_it_is_odd(
    name: str, provider: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    order = pending_order(buyer, wechat)
    changes, spoil = (WECHAT_READ | WECHAT_REFUSED)[name]
    body = spoil(wechat.notice(order, **changes))
    # Its `post` would write the body anew.
    answer = provider.generic("POST", "/api/wechat/notify", body, content_type="text/xml; charset=GBK")
    assert (answer.status_code, b"SUCCESS" in answer.content) == (200, name in WECHAT_READ)
    assert credited(order) == (name in WECHAT_READ)


# --- WeChat Pay, v3 --------------------------------------------------------------------------------------------------
V3 = WeChatMerchant(app_id=v3.CONFIG.app_id, mch_id=v3.CONFIG.mch_id)


@dataclass
class Sealed:
    """A notice of v3: what is inside, how it is written, and what happens to envelope, body and headers."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    write: Callable[[str], str] = str
    envelope: Callable[[dict[str, Any]], dict[str, Any]] = dict
    spoil: Callable[[bytes], bytes] = bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    late_s: int = 0


def _resource(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """With nothing but the key sealed: the associated data is empty, null, or not there."""

    def change(envelope: dict[str, Any]) -> dict[str, Any]:
        plain = envelope.pop("plain")
        resource = v3.sealed(plain, "") | changes
        return envelope | {"resource": {name: value for name, value in resource.items() if value != "-"}}

    return change


TOTAL = {"total": 7300, "payer_total": 7200, "currency": "CNY", "payer_currency": "CNY"}
V3_READ: dict[str, Sealed] = {
    "as documented": Sealed(),
    "W15 a mark": Sealed(spoil=lambda body: b"\xef\xbb\xbf" + body),
    "W15 a mark inside": Sealed(write=lambda text: f"\ufeff{text}"),
    "blank lines around what is inside": Sealed(write=lambda text: f"\r\n {text}\n"),
    "B19h a line break behind it": Sealed(spoil=lambda body: body + b"\r\n"),
    "no associated data": Sealed(envelope=_resource(associated_data="-")),
    "associated data that is null": Sealed(envelope=_resource(associated_data=None)),
    "no currency": Sealed({"amount": {"total": 7300}}),
    "a time with fractions": Sealed({"success_time": "2026-11-21T12:00:00.123+08:00"}),
    "a time that is none": Sealed({"success_time": "20261121120000"}),
    "coupons paid all of it": Sealed({"amount": TOTAL | {"payer_total": 0}, "promotion_detail": [{"amount": 7300}]}),
    "members of tomorrow": Sealed({"new": {"a": [1.5, None, True]}, "attach": ""}),
    "nearly too late": Sealed(late_s=290),
}  # fmt: skip
V3_REFUSED: dict[str, tuple[Sealed, int]] = {
    "A6 fen with a fraction": (Sealed({"amount": TOTAL | {"total": 7300.0}}), 500),
    "A6 fen as text": (Sealed({"amount": TOTAL | {"total": "7300"}}), 500),
    "A6 true is no amount": (Sealed({"amount": TOTAL | {"total": True}}), 500),
    "A6 what the buyer paid only": (Sealed({"amount": TOTAL | {"total": 7200, "payer_total": 7300}}), 500),
    "A5 another app": (Sealed({"appid": "wx9999999999999999"}), 500),
    "A5 another merchant": (Sealed({"mchid": "1900009192"}), 500),
    "too late": (Sealed(late_s=310), 401),
    "from tomorrow": (Sealed(late_s=-310), 401),
    "a name twice inside": (Sealed(write=lambda text: text.replace('"amount"', '"amount":{"total":1},"amount"')), 400),
    "another key's number": (Sealed(headers={"Wechatpay-Serial": "PUB_KEY_ID_0"}), 401),
    "changed behind the signature": (Sealed(spoil=lambda body: body), 401),
    "C11 given back by now": (Sealed({"trade_state": "REFUND"}), 204),
    "not paid": (Sealed({"trade_state": "NOTPAY"}), 204),
}  # fmt: skip


def v3_notice(order: Order, case: Sealed) -> tuple[bytes, dict[str, str]]:
    content: dict[str, Any] = {
        "mchid": V3.mch_id, "appid": V3.app_id, "out_trade_no": order.order_no, "trade_type": "NATIVE",
        "transaction_id": f"42000{order.pk:023d}", "trade_state": "SUCCESS", "trade_state_desc": "支付成功",
        "bank_type": "OTHERS", "success_time": "2026-11-21T12:00:00+08:00", "payer": {"openid": "o"}, "amount": TOTAL,
    } | dict(case.changes)  # fmt: skip
    plain = case.write(json.dumps(content, ensure_ascii=False)).encode()
    envelope = {"id": "n", "create_time": "2026-11-21T12:00:01+08:00", "resource_type": "encrypt-resource",
                "event_type": "TRANSACTION.SUCCESS", "summary": "支付成功", "plain": plain}  # fmt: skip
    whole = {"resource": v3.sealed(plain, "transaction")} | case.envelope(envelope)
    whole.pop("plain", None)
    body = case.spoil(json.dumps(whole, ensure_ascii=False).encode())
    return body, v3.signed(body) | dict(case.headers)


@pytest.fixture
def v3_order(buyer: User, settings: Any) -> Order:
    settings.WECHAT_PAY_BASE_URL = "http://127.0.0.1:9"
    write_options({
        "WechatAppId": V3.app_id, "WechatMchId": V3.mch_id, "WechatApiVersion": "v3", "WechatEnabled": True,
        "WechatApiV3Key": v3.API_V3_KEY, "WechatClientCert": v3.CONFIG.client_cert,
        "WechatClientKey": v3.CONFIG.client_key, "WechatPublicKeyId": v3.PUBLIC_KEY_ID,
        "WechatPublicKey": v3.CONFIG.public_key,
    })  # fmt: skip
    return pending_order(buyer, V3)


@pytest.mark.parametrize("name", [*V3_READ, *V3_REFUSED])
def test_P_a_notice_of_v3_is_read_however_it_is_written_and_refused_when_it_is_odd(
    name: str, provider: Client, v3_order: Order
) -> None:
    case, status = V3_REFUSED.get(name) or (V3_READ[name], 204)
    body, headers = v3_notice(v3_order, case)
    if name == "changed behind the signature":
        body = body.replace(b"TRANSACTION.SUCCESS", b"TRANSACTION.SUCCESz")
    now = datetime.fromtimestamp(int(headers["Wechatpay-Timestamp"]) + case.late_s, UTC)
    with time_machine.travel(now, tick=False):
        answer = provider.post("/api/wechat/notify", body, content_type="application/json", headers=headers)
    assert answer.status_code == status, Notice.objects.latest("pk").detail
    assert credited(v3_order) == (name in V3_READ)
