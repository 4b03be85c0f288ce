"""Siblings of the payments' incidents in what platforms answer: bytes around an answer, amounts written otherwise,
refunds that are only half told.

An order is asked about as the sweep does it; who answers is scripted, past our gateway code.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.far_side import FarSide, Seen, http
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup import services
from topup.models import Order
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db

Fields = Mapping[str, str | None]
Spoil = Callable[[bytes], bytes]


def asked_about(order: Order) -> int:
    """What the buyer has once the provider was asked twice, and the sweep has nothing more to do."""
    for _ in range(2):
        services.ask_provider(Order.objects.select_related("user").get(pk=order.pk), source="sweep")
    order.refresh_from_db()
    return wallet_of(order.user).balance


def known_of(order: Order, merchant: WeChatMerchant | AlipayMerchant, *names: str) -> dict[str, str]:
    values = merchant.notice_values(order)
    return {name: str(values[name]) for name in names}


# --- WeChat Pay, v2 --------------------------------------------------------------------------------------------------
@dataclass
class WeChatSays:
    """What is answered to a query, and to the question about refunds; each as it is changed, and its bytes spoilt."""

    query: Fields = field(default_factory=dict)
    refunds: Fields | None = None
    spoil: Spoil = bytes
    kind: str = ""

    def serve(self, far: FarSide, merchant: WeChatMerchant, order: Order) -> None:
        paid = known_of(order, merchant, "out_trade_no", "transaction_id", "total_fee", "cash_fee", "time_end")
        common = {"return_code": "SUCCESS", "appid": merchant.app_id, "mch_id": merchant.mch_id, "nonce_str": "n"}

        def answer(seen: Seen) -> bytes:
            about_refunds = urlsplit(seen.line.split()[1]).path == "/pay/refundquery"
            if about_refunds and self.refunds is None:
                said: Fields = common | {"result_code": "FAIL", "err_code": "REFUNDNOTEXIST"}
            else:
                told = paid | dict((self.refunds or {}) if about_refunds else {"trade_state": "SUCCESS"} | self.query)
                said = common | {"result_code": "SUCCESS"} | told
            body = merchant.xml({name: value for name, value in said.items() if value is not None})
            return http(self.spoil(body), headers=f"Connection: close\r\n{self.kind}")

        far.answer = answer


def refund(number: int, fen: int, state: str = "SUCCESS", **changes: str | None) -> dict[str, str | None]:
    facts = {"out_refund_no": f"C{number}", "refund_id": f"50{number}", "refund_fee": str(fen), "refund_status": state}
    return {f"{name}_{number}": value for name, value in (facts | changes).items() if value is not None}


REFUND = {"trade_state": "REFUND"}
DECLARED = b'<?xml version="1.0" encoding="UTF-8"?>\n'
ALL, NONE = 5_000_000, 0
LEFT = ALL - ALL * 4380 // 7300
WECHAT: dict[str, tuple[WeChatSays, int]] = {
    "W15 a mark": (WeChatSays(spoil=lambda body: b"\xef\xbb\xbf" + body), ALL),
    "B19h blank lines and a declaration": (WeChatSays(spoil=lambda body: b"\r\n\n" + DECLARED + body + b"\n"), ALL),
    "P52 said to be in GBK": (WeChatSays(kind="Content-Type: text/html;charset=GBK\r\n"), ALL),
    "an error code beside a success": (WeChatSays({"err_code": "SUCCESS", "err_code_des": "ok"}), ALL),
    "B15 an empty sub-merchant": (WeChatSays({"sub_mch_id": "", "sub_appid": ""}), ALL),
    "B15 paid to a sub-merchant": (WeChatSays({"sub_mch_id": "1600000001"}), NONE),
    "coupons paid all of it": (WeChatSays({"cash_fee": "0", "coupon_fee": "7300", "coupon_count": "1"}), ALL),
    "less is settled": (WeChatSays({"settlement_total_fee": "7000"}), ALL),
    "another amount": (WeChatSays({"total_fee": "7299"}), NONE),
    "another currency": (WeChatSays({"fee_type": "HKD"}), NONE),
    "M4 part went back": (WeChatSays(REFUND, {"refund_count": "1", **refund(0, 4380)}), LEFT),
    "M4 all of it went back": (WeChatSays(REFUND, {"refund_count": "1", **refund(0, 7300)}), NONE),
    "M4 refunds that nobody lists": (WeChatSays(REFUND), NONE),
    "M4 an empty list of refunds": (WeChatSays(REFUND, {"refund_count": "0"}), NONE),
    "M4 a refund that was closed": (WeChatSays(REFUND, {"refund_count": "1", **refund(0, 7300, "REFUNDCLOSE")}), ALL),
    "M4 a refund that failed": (WeChatSays(REFUND, {"refund_count": "1", **refund(0, 7300, "FAIL")}), ALL),
    "M4 two refunds, and one is listed": (WeChatSays(REFUND, {"refund_count": "2", **refund(0, 2380)}), NONE),
    "M4 two in all, and one is listed": (
        WeChatSays(REFUND, {"refund_count": "1", "total_refund_count": "2", **refund(0, 2380)}), NONE,
    ),
    "M4 a refund without a number of its own": (
        WeChatSays(REFUND, {"refund_count": "1", **refund(0, 4380, out_refund_no=None)}), LEFT,
    ),
    "M4 a refund with an empty number": (
        WeChatSays(REFUND, {"refund_count": "1", **refund(0, 4380, out_refund_no="")}), LEFT,
    ),
    "M4 a refund with no number at all": (
        WeChatSays(REFUND, {"refund_count": "1", **refund(0, 4380, out_refund_no="", refund_id="")}), NONE,
    ),
    "M4 a coupon was refunded too": (
        WeChatSays(REFUND, {"refund_count": "1", **refund(0, 4380, coupon_refund_fee="1000", cash_refund_fee="3380")}),
        LEFT,
    ),
    "M4 less than it is settled": (
        WeChatSays(REFUND, {"refund_count": "1", **refund(0, 4380, settlement_refund_fee="4200")}), LEFT,
    ),
    "M4 a time that is none": (
        WeChatSays(REFUND, {"refund_count": "1", **refund(0, 4380, refund_success_time="yesterday")}), LEFT,
    ),
    "M4 the count as an amount": (WeChatSays(REFUND, {"refund_count": "1.0", **refund(0, 4380)}), LEFT),
    "M4 no count": (WeChatSays(REFUND, refund(0, 4380)), LEFT),
}  # fmt: skip


@pytest.fixture
def far() -> Iterator[FarSide]:
    with FarSide() as side:
        yield side


@pytest.mark.parametrize("name", WECHAT)
def test_P_what_wechat_answers_about_an_order_credits_what_was_paid_to_us_and_not_given_back(
    name: str, far: FarSide, buyer: User, wechat: WeChatMerchant, settings: Any, books_agree: Callable[[], None]
) -> None:
    says, kept = WECHAT[name]
    order = pending_order(buyer, wechat)
    settings.WECHAT_PAY_BASE_URL = far.url
    says.serve(far, wechat, order)
    assert asked_about(order) == kept, (order.state, order.review)
    assert (order.next_ask_at is None) == bool(kept or order.given_back), "what is not certain is asked about again"
    assert sum(Entry.objects.values_list("amount", flat=True)) == kept
    books_agree()


# --- Alipay ----------------------------------------------------------------------------------------------------------
@dataclass
class AlipaySays:
    """What is answered to a query: the node, its text as it is changed before it is signed, and what is around it."""

    query: Mapping[str, Any] = field(default_factory=dict)
    write: Callable[[str], str] = str
    around: str = '{{"{name}":{node},"sign":"{sign}"}}'
    spoil: Spoil = bytes

    def serve(self, far: FarSide, merchant: AlipayMerchant, order: Order) -> None:
        paid = known_of(order, merchant, "out_trade_no", "trade_no", "total_amount")
        said = {"code": "10000", "msg": "Success", "trade_status": "TRADE_SUCCESS"} | paid | self.query
        node = self.write(json.dumps(said, ensure_ascii=False))
        sign = base64.b64encode(merchant.alipay_key.sign(node.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

        def answer(seen: Seen) -> bytes:
            name = dict(parse_qsl(seen.body.decode()))["method"].replace(".", "_") + "_response"
            return http(self.spoil(self.around.format(name=name, node=node, sign=sign).encode()))

        far.answer = answer


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


ALIPAY: dict[str, tuple[AlipaySays, int]] = {
    "W15 a mark": (AlipaySays(spoil=lambda body: b"\xef\xbb\xbf" + body), ALL),
    "B19h line breaks around it": (AlipaySays(spoil=lambda body: b"\r\n" + body + b"\r\n\r\n"), ALL),
    "the signature first": (AlipaySays(around='{{"sign":"{sign}","{name}":{node}}}'), ALL),
    "a certificate's number in key mode": (
        AlipaySays(around='{{"{name}":{node},"alipay_cert_sn":"0123456789abcdef","sign":"{sign}"}}'), ALL,
    ),
    "on lines of its own": (AlipaySays(around='{{\n  "{name}" : {node} ,\n  "sign" : "{sign}"\n}}'), ALL),
    "P51 a number": (AlipaySays(write=swap('"73.00"', "73.00")), ALL),
    "P51 a whole number": (AlipaySays(write=swap('"73.00"', "73")), ALL),
    "P51 more zeros": (AlipaySays({"total_amount": "73.0000"}), ALL),
    "P51 a tenth of a fen": (AlipaySays({"total_amount": "73.001"}), NONE),
    "P51 an exponent": (AlipaySays(write=swap('"73.00"', "7.3e1")), NONE),
    "the code as a number": (AlipaySays(write=swap('"10000"', "10000")), ALL),
    "nulls": (AlipaySays({"store_id": None, "send_pay_date": None, "refund_fee": None}), ALL),
    "a time with fractions": (AlipaySays({"send_pay_date": "2026-11-21 12:00:00.123"}), ALL),
    "everything escaped": (AlipaySays(write=lambda text: text.replace("TRADE", "\\u0054RADE")), ALL),
    "coupons": (AlipaySays({"buyer_pay_amount": "0.00", "receipt_amount": "70.00", "discount_amount": "3.00"}), ALL),
    "settled in another currency": (AlipaySays({"settle_currency": "USD", "settle_amount": "10.00"}), ALL),
    "paid in another currency": (AlipaySays({"trans_currency": "USD"}), NONE),
    "no currency": (AlipaySays({"trans_currency": ""}), ALL),
    "P33 nothing went back, in other figures": (AlipaySays({"refund_fee": "0"}), ALL),
    "P33 part went back": (AlipaySays({"refund_fee": "43.8"}), LEFT),
    "P33 part went back, more zeros": (AlipaySays({"refund_fee": "43.8000"}), LEFT),
    "P33 all went back": (AlipaySays({"refund_fee": "73"}), NONE),
    "P32 closed, and when it was paid": (
        AlipaySays({"trade_status": "TRADE_CLOSED", "send_pay_date": "2026-11-21 12:00:00"}), NONE,
    ),
    "TRADE_FINISHED": (AlipaySays({"trade_status": "TRADE_FINISHED"}), ALL),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIPAY)
def test_P_what_alipay_answers_about_an_order_credits_what_was_paid_and_not_given_back(
    name: str, far: FarSide, buyer: User, alipay: AlipayMerchant, settings: Any, books_agree: Callable[[], None]
) -> None:
    says, kept = ALIPAY[name]
    order = pending_order(buyer, alipay)
    settings.ALIPAY_GATEWAY_URL = f"{far.url}/gateway.do"
    says.serve(far, alipay, order)
    assert asked_about(order) == kept, (order.state, order.review)
    books_agree()
