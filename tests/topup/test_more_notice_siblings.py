"""More siblings of the payments' incidents at the callbacks: content types, what else is in a message, refunds told
oddly, keys replaced. What is posted is built and signed here, past our gateway code.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.padding import PKCS7
from django.test import Client

from tests.far_side import FarSide, Seen, http
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup import services
from topup.models import Notice, Order
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

from .gateways import wechat_v3_side as v3
from .test_notice_siblings import FORM, TOTAL, V3, Form, Sealed, credited, tells, v3_notice, v3_order

__all__ = ["v3_order"]

pytestmark = pytest.mark.django_db
Changes = Mapping[str, str | None]


def post(provider: Client, address: str, body: bytes, kind: str, **headers: Any) -> Any:
    """As it is, with its content type as it is: Django's own `post` would write either anew."""
    return provider.generic("POST", address, body, content_type=kind, headers=headers)


# --- How it is delivered ---------------------------------------------------------------------------------------------
ALIPAY_KINDS = [
    "application/x-www-form-urlencoded; text/html; charset=utf-8",
    "application/x-www-form-urlencoded;charset=GBK",
    "Application/X-WWW-Form-URLEncoded",
    "application/x-www-form-urlencoded; charset=",
    'application/x-www-form-urlencoded; charset="utf-8"; boundary=x',
    " application/x-www-form-urlencoded ",
]
WECHAT_KINDS = ["text/xml;charset=utf8", "application/xml; charset=utf-8", "TEXT/XML", "text/plain", "", FORM]
ADDRESSES = ["/api/{}/notify?from=cdn", "/api/{}/webhook?", "/api/{}/notify/?x=1&x=2"]


@pytest.mark.parametrize("kind", ALIPAY_KINDS)
def test_B7_alipays_form_is_known_by_whatever_stands_behind_its_content_type(
    kind: str, provider: Client, buyer: User, alipay: AlipayMerchant
) -> None:
    order = pending_order(buyer, alipay)
    assert post(provider, "/api/alipay/notify", Form().body(alipay, order), kind).content == b"success"
    assert credited(order)


@pytest.mark.parametrize("kind", WECHAT_KINDS)
def test_B7_wechats_notice_is_known_by_whatever_it_calls_itself(
    kind: str, provider: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    order = pending_order(buyer, wechat)
    assert b"SUCCESS" in post(provider, "/api/wechat/notify", wechat.notice(order), kind).content
    assert credited(order)


@pytest.mark.parametrize("address", ADDRESSES)
def test_P10_what_somebody_has_put_behind_the_callback_address_is_no_matter(
    address: str, provider: Client, buyer: User, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    first, second = pending_order(buyer, wechat), pending_order(buyer, alipay)
    assert b"SUCCESS" in post(provider, address.format("wechat"), wechat.notice(first), "text/xml").content
    assert post(provider, address.format("alipay"), alipay.notice(second), FORM).content == b"success"
    assert wallet_of(buyer).balance == first.quota + second.quota


# --- Alipay ----------------------------------------------------------------------------------------------------------
ALIPAY_FIELDS: dict[str, Changes] = {
    "what a buyer paid with": {"fund_bill_list": '[{"amount":"73.00","fundChannel":"ALIPAYACCOUNT & 花呗+"}]'},
    "what we passed along": {"passback_params": "a%3D1%26b%3D2", "body": "a=1&b=2+3 %2B"},
    "a field named in Chinese": {"商户备注": "新"},
    "settled in another currency": {"settle_currency": "USD", "settle_trans_rate": "0.14", "trans_currency": "CNY"},
    "a time with fractions": {"gmt_payment": "2026-11-21 12:00:00.123"},
    "an app authorised by us": {"auth_app_id": "2021000000000009"},
    "a discount of the seller's": {"mdiscount_amount": "3.00", "receipt_amount": "70.00", "discount_amount": "0.00"},
    "an emoji in the title": {"subject": "充值🎉"},
    "no kind, no time, no id": {"notify_type": None, "notify_time": None, "notify_id": None},
    "the other form of its states": {"trade_status": "TRADE_FINISHED", "gmt_close": "2027-02-21 12:00:00"},
}  # fmt: skip


@pytest.mark.parametrize("name", ALIPAY_FIELDS)
def test_P_whatever_else_is_in_alipays_notice_is_signed_with_it_and_no_matter(
    name: str, provider: Client, buyer: User, alipay: AlipayMerchant
) -> None:
    order = pending_order(buyer, alipay)
    assert tells(provider, Form(ALIPAY_FIELDS[name]).body(alipay, order))
    assert credited(order)


ODD_NUMBERS = ["退款20261122", "R:2026/11#1", "R 2026 11", "x" * 65, "a|b*c@d", "'; --"]


class RefundSays:
    """Alipay, asked about a refund: it knows each that it is asked about by a number that a column holds."""

    def __init__(self, far: FarSide, merchant: AlipayMerchant, order: Order) -> None:
        self.far, self.merchant, self.order = far, merchant, order
        far.answer = self._answer

    def _answer(self, seen: Seen) -> bytes:
        form = dict(parse_qsl(seen.body.decode()))
        asked = json.loads(form["biz_content"])
        said = {"code": "10000", "msg": "Success", "out_trade_no": self.order.order_no, "trade_no": "20261121"}
        number = asked.get("out_request_no", "")
        if number and number != self.order.order_no:
            said |= {"out_request_no": number, "refund_amount": "73.00", "refund_status": "REFUND_SUCCESS"}
        node = json.dumps(said)
        sign = self.merchant.alipay_key.sign(node.encode(), PKCS1v15(), SHA256())
        name = form["method"].replace(".", "_") + "_response"
        return http(f'{{"{name}":{node},"sign":"{base64.b64encode(sign).decode()}"}}'.encode())


@pytest.mark.parametrize("number", ODD_NUMBERS)
@pytest.mark.parametrize("first", ["refund", "payment"])
def test_P33_a_refund_of_another_programs_is_kept_whatever_it_calls_it(
    number: str, first: str, provider: Client, buyer: User, alipay: AlipayMerchant, settings: Any,
    books_agree: Callable[[], None],
) -> None:  # fmt: skip
    """The number is whoever's who made it; how much went back is signed."""
    order = pending_order(buyer, alipay)
    told = Form({"out_biz_no": number, "refund_fee": "73.00", "gmt_refund": "2026-11-22 12:00:00.123",
                 "trade_status": "TRADE_CLOSED"})  # fmt: skip
    with FarSide() as far:
        settings.ALIPAY_GATEWAY_URL = f"{far.url}/gateway.do"
        RefundSays(far, alipay, order)
        for form in (told, Form()) if first == "refund" else (Form(), told):
            assert tells(provider, form.body(alipay, order)), Notice.objects.latest("pk").detail
    order.refresh_from_db()
    ended = Order.State.CLOSED if first == "refund" else Order.State.REFUNDED
    assert (order.state, wallet_of(buyer).balance) == (ended, 0)
    books_agree()


@pytest.mark.parametrize("parts", [("10.00", "43.80", "73.00"), ("10.00", "20.00", "30.00")])
def test_P33_parts_of_which_only_the_sum_is_told_are_taken_back_each(
    parts: tuple[str, ...], provider: Client, buyer: User, alipay: AlipayMerchant, books_agree: Callable[[], None]
) -> None:
    order = pending_order(buyer, alipay)
    assert tells(provider, Form().body(alipay, order))
    for told in (*parts, parts[0], parts[-1]):
        assert tells(provider, Form({"refund_fee": told, "gmt_refund": "2026-11-22 12:00:00"}).body(alipay, order))
    back = int(parts[-1].replace(".", ""))
    assert wallet_of(buyer).balance == order.quota - order.quota * back // 7300
    assert (order.refunds.count(), sum(order.refunds.values_list("amount_fen", flat=True))) == (3, back)
    books_agree()


# --- WeChat Pay, v2 --------------------------------------------------------------------------------------------------
WECHAT_FIELDS: dict[str, tuple[Changes, bool]] = {
    "B15 an empty sub-merchant": ({"sub_mch_id": "", "sub_appid": "", "sub_openid": ""}, True),
    "B15 a sub-merchant that is nought": ({"sub_mch_id": "0"}, True),
    "B15 paid to a sub-merchant": ({"sub_mch_id": "1600000001"}, False),
    "an attachment with XML in it": ({"attach": "<a>&amp;</a>"}, True),
    "codes beside a success": ({"err_code": "SUCCESS", "err_code_des": "OK"}, True),
    "a title with emoji": ({"attach": "🎉" * 20}, True),
    "paid on another device": ({"device_info": "WEB", "trade_type": "JSAPI"}, True),
    "another currency": ({"fee_type": "HKD"}, False),
    "cash in another currency": ({"cash_fee_type": "USD", "rate_value": "14"}, True),
    "no result": ({"result_code": None}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", WECHAT_FIELDS)
def test_P_whatever_else_is_in_wechats_notice_is_no_matter_and_anothers_money_is(
    name: str, provider: Client, buyer: User, wechat: WeChatMerchant
) -> None:
    order, (changes, ours) = pending_order(buyer, wechat), WECHAT_FIELDS[name]
    post(provider, "/api/wechat/notify", wechat.notice(order, **changes), "text/xml")
    assert credited(order) == ours


def refund_notice(merchant: WeChatMerchant, order: Order, write: Callable[[str], str], *, declared: str = "") -> bytes:
    inner = (
        f"{declared}<root><out_trade_no>{order.order_no}</out_trade_no><out_refund_no>C1</out_refund_no>"
        "<refund_status>SUCCESS</refund_status><total_fee>7300</total_fee><refund_fee>7300</refund_fee></root>"
    )
    padder = PKCS7(128).padder()
    encryptor = Cipher(AES(hashlib.md5(merchant.key.encode()).hexdigest().encode()), ECB()).encryptor()
    sealed = encryptor.update(padder.update(inner.encode()) + padder.finalize()) + encryptor.finalize()
    fields = {"return_code": "SUCCESS", "appid": merchant.app_id, "mch_id": merchant.mch_id, "nonce_str": "n"}
    fields["req_info"] = write(base64.b64encode(sealed).decode())
    return ("<xml>" + "".join(f"<{name}>{value}</{name}>" for name, value in fields.items()) + "</xml>").encode()


def lines(text: str, end: str = "\n") -> str:
    return "".join(text[at : at + 76] + end for at in range(0, len(text), 76))


SEALED: dict[str, tuple[Callable[[str], str], str]] = {
    "in lines of 76": (lines, ""),
    "in lines of Windows": (lambda text: lines(text, "\r\n"), ""),
    "with blanks around": (lambda text: f"\n  {text}\n", ""),
    "with a declaration inside": (str, '<?xml version="1.0" encoding="UTF-8"?>\n'),
    "with a mark inside": (str, "\ufeff"),
}


@pytest.mark.parametrize("address", ["/api/wechat/refund-notify", "/api/wechat/notify"])
@pytest.mark.parametrize("name", SEALED)
def test_P34_a_refund_is_heard_of_however_its_notice_is_written_and_wherever_it_is_sent(
    name: str, address: str, provider: Client, buyer: User, wechat: WeChatMerchant, settings: Any
) -> None:
    write, declared = SEALED[name]
    order = pending_order(buyer, wechat)
    common = {"return_code": "SUCCESS", "result_code": "SUCCESS", "appid": wechat.app_id, "mch_id": wechat.mch_id}
    said = common | {"out_trade_no": order.order_no, "refund_count": "1", "out_refund_no_0": "C1",
                     "refund_id_0": "50", "refund_fee_0": "7300", "refund_status_0": "SUCCESS"}  # fmt: skip
    with FarSide(answer=lambda _seen: http(wechat.xml(said))) as far:
        settings.WECHAT_PAY_BASE_URL = far.url
        answer = post(provider, address, refund_notice(wechat, order, write, declared=declared), "text/xml")
        assert b"SUCCESS" in answer.content, Notice.objects.latest("pk").detail
        assert b"SUCCESS" in post(provider, "/api/wechat/refund-notify", wechat.notice(order), "text/xml").content
    assert not credited(order)
    assert "refunded" in order.review


# --- WeChat Pay, v3 --------------------------------------------------------------------------------------------------
V3_CASES: dict[str, tuple[Sealed, bool]] = {
    "an empty currency": (Sealed({"amount": TOTAL | {"currency": ""}}), True),
    "a currency that is null": (Sealed({"amount": TOTAL | {"currency": None}}), True),
    "another currency": (Sealed({"amount": TOTAL | {"currency": "HKD"}}), False),
    "paid in another currency": (Sealed({"amount": TOTAL | {"payer_currency": "USD", "payer_total": 1000}}), True),
    "B15 of a service provider": (Sealed({"sp_mchid": V3.mch_id, "sub_mchid": "1600000001", "mchid": None}), False),
    "B15 paid to a sub-merchant": (Sealed({"sub_mchid": "1600000001"}), False),
    "an exponent": (Sealed(write=lambda text: text.replace(": 7300", ": 7.3e3")), False),
    "an emoji": (Sealed({"attach": "🎉", "promotion_detail": []}), True),
    "no kind of signature": (Sealed(headers={"Wechatpay-Signature-Type": ""}), True),
    "another kind of signature": (Sealed(headers={"Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}), False),
    "a header twice": (Sealed(headers={"Wechatpay-Serial": f"{v3.PUBLIC_KEY_ID},{v3.PUBLIC_KEY_ID}"}), False),
}  # fmt: skip


@pytest.mark.parametrize("name", V3_CASES)
def test_P_a_notice_of_v3_counts_for_what_was_paid_to_us_in_yuan(name: str, provider: Client, v3_order: Order) -> None:
    case, paid = V3_CASES[name]
    body, headers = v3_notice(v3_order, case)
    answer = post(provider, "/api/wechat/notify", body, "application/json; charset=UTF-8", **headers)
    assert (answer.status_code < 300) == paid, Notice.objects.latest("pk").detail
    assert credited(v3_order) == paid


@pytest.mark.parametrize(
    "changes",
    [
        {"WechatApiV3Key": "Another0Key123456789abcdefghijkl"},
        {"WechatPublicKeyId": "PUB_KEY_ID_0119000091912026020200000000000002"},
        {"WechatMerchantName": "x"},
    ],
    ids=["the APIv3 key", "the public key's id", "nothing of it"],
)
def test_M3_what_was_signed_or_sealed_with_keys_that_were_replaced_today_still_counts(
    changes: dict[str, Any], provider: Client, v3_order: Order
) -> None:
    if "WechatMerchantName" not in changes:
        write_options(changes)
    body, headers = v3_notice(v3_order, Sealed())
    answer = post(provider, "/api/wechat/notify", body, "application/json", **headers)
    assert answer.status_code == 204, Notice.objects.latest("pk").detail
    assert credited(v3_order)
    assert services.takes_orders("wechat")
