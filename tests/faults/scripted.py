"""A provider at an address of its own that answers truthfully, rightly signed, and lets a test act in between.

Written from the protocols, without our gateway code. `before` runs when a request has come and before it is judged;
that is where buyers pay in the very moment, callbacks overtake answers and clocks run out.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from django.db import connection

from tests.far_side import FarSide, Seen, http
from tests.merchants import AlipayMerchant, WeChatMerchant
from topup.models import Order

Merchant = WeChatMerchant | AlipayMerchant
Act = Callable[[str], object]

WECHAT_STATES = {"waiting": "NOTPAY", "paid": "SUCCESS", "closed": "CLOSED", "refunded": "REFUND"}
ALIPAY_STATES = {"waiting": "WAIT_BUYER_PAY", "paid": "TRADE_SUCCESS", "closed": "TRADE_CLOSED"}
OPERATIONS = {
    "/pay/unifiedorder": "create",
    "/pay/orderquery": "query",
    "/pay/closeorder": "close",
    "alipay.trade.precreate": "create",
    "alipay.trade.query": "query",
    "alipay.trade.close": "close",
}


def gateway_of(merchant: Merchant) -> str:
    return "wechat" if isinstance(merchant, WeChatMerchant) else "alipay"


@dataclass
class Call:
    """One request as it came: create, query or close; which order; its parameters."""

    operation: str
    order_no: str
    fields: dict[str, str]


@dataclass
class ScriptedProvider:
    """`states` maps order numbers to absent, waiting, paid, closed or refunded; `lies` answers queries instead, and
    what they say of a payment is changed by `told`. New orders are refused with `refusal`, if it is a code."""

    merchant: Merchant
    settings: Any
    states: dict[str, str] = field(default_factory=dict)
    lies: list[str] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    before: dict[str, list[Act]] = field(default_factory=dict)
    answers: list[bytes] = field(default_factory=list)
    refusal: str = ""
    # Spares looking it up.
    known: dict[str, Order] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._server = FarSide(answer=self._answer).__enter__()
        self.settings.WECHAT_PAY_BASE_URL = self._server.url
        self.settings.ALIPAY_GATEWAY_URL = f"{self._server.url}/gateway.do"
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    def pay(self, order: Order) -> None:
        self.states[order.order_no] = "paid"

    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]

    def _answer(self, seen: Seen) -> bytes:
        call = self._wechat_call(seen) if gateway_of(self.merchant) == "wechat" else self._alipay_call(seen)
        self.calls.append(call)
        try:
            acts = self.before.get(call.operation)
            if acts:
                acts.pop(0)(call.order_no)
            if self.answers:
                return http(self.answers.pop(0))
            fields = self._judge(call)
            return http(
                self._wechat(fields) if isinstance(self.merchant, WeChatMerchant) else self._alipay(call, fields)
            )
        finally:
            connection.close()

    def _judge(self, call: Call) -> dict[str, str]:
        state = self.states.get(call.order_no, "absent")
        wechat = gateway_of(self.merchant) == "wechat"
        if call.operation == "create":
            if self.refusal:
                return {"error": self.refusal}
            if wechat:
                self.states[call.order_no] = "waiting" if state == "absent" else state
                return {"code_url": f"weixin://wxpay/bizpayurl?pr={call.order_no[-8:]}", "trade_type": "NATIVE"}
            return {"out_trade_no": call.order_no, "qr_code": f"https://qr.alipay.com/{call.order_no}"}
        if call.operation == "query" and self.lies:
            state = self.lies.pop(0)
        if state == "absent":
            return {"error": "ORDERNOTEXIST" if wechat else "ACQ.TRADE_NOT_EXIST"}
        if call.operation == "close":
            if state == "waiting":
                self.states[call.order_no] = "closed"
                return {} if wechat else {"out_trade_no": call.order_no}
            wechat_code = "ORDERPAID" if state == "paid" else "ORDERCLOSED"
            return {"error": wechat_code if wechat else "ACQ.TRADE_STATUS_ERROR"}
        return self._trade(self.known.get(call.order_no) or Order.objects.get(order_no=call.order_no), state)

    def _trade(self, order: Order, state: str) -> dict[str, str]:
        """What a query says of an order."""
        notice = self.merchant.notice_values(order)
        if isinstance(self.merchant, WeChatMerchant):
            shown = {"out_trade_no": order.order_no, "trade_state": WECHAT_STATES[state]}
            names = ["transaction_id", "total_fee", "cash_fee", "fee_type", "time_end"] if state == "paid" else []
        else:
            shown = {"out_trade_no": order.order_no, "trade_status": ALIPAY_STATES[state]}
            names = ["trade_no", "total_amount"]
        return shown | {name: str(notice[name]) for name in names} | self.told

    def _wechat_call(self, seen: Seen) -> Call:
        fields = {element.tag: element.text or "" for element in ElementTree.fromstring(seen.body)}
        path = urlsplit(seen.line.split()[1]).path
        return Call(OPERATIONS[path], fields["out_trade_no"], fields)

    def _wechat(self, fields: dict[str, str]) -> bytes:
        merchant = self.merchant
        assert isinstance(merchant, WeChatMerchant)
        error = fields.pop("error", "")
        told = {"return_code": "SUCCESS", "appid": merchant.app_id, "mch_id": merchant.mch_id, "nonce_str": "n"}
        told |= {"result_code": "FAIL", "err_code": error} if error else {"result_code": "SUCCESS"}
        return merchant.xml(told | fields)

    def _alipay_call(self, seen: Seen) -> Call:
        form = dict(parse_qsl(seen.body.decode()))
        content = json.loads(form["biz_content"])
        return Call(OPERATIONS[form["method"]], content["out_trade_no"], form | content)

    def _alipay(self, call: Call, fields: dict[str, str]) -> bytes:
        merchant = self.merchant
        assert isinstance(merchant, AlipayMerchant)
        error = fields.pop("error", "")
        said = (
            {"code": "40004", "msg": "Business Failed", "sub_code": error} if error else {"code": "10000", "msg": "ok"}
        )
        node = json.dumps(said | fields, ensure_ascii=False).replace("/", "\\/")
        signature = base64.b64encode(merchant.alipay_key.sign(node.encode(), padding.PKCS1v15(), hashes.SHA256()))
        name = call.fields["method"].replace(".", "_") + "_response"
        return f'{{"{name}":{node},"sign":"{signature.decode()}"}}'.encode()
