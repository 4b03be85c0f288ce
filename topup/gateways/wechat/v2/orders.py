"""Orders at WeChat Pay: unifiedorder, orderquery, closeorder, and the payment that an answer or a notice tells of."""

import json
import re
import secrets
import time
from datetime import timedelta
from urllib.parse import urlsplit

from voicehelper.clock import BEIJING

from ...errors import Implausible, Malformed, Refused, Unknown
from ...orders import NewOrder, Offer, Receipt, Trade, TradeState, beijing_time
from ..trades import DESCRIPTION_BYTES, MAX_FEN, TRADE_STATES, number_in, offered, plain, short, transaction_in
from .signing import sign
from .wire import Fields, WeChatWire

# WeChat refuses a time_expire less than five minutes away. Five minutes after our own expiry is always far enough, and
# the same whenever the request is sent again; in between it is we who close the order.
_GRACE = timedelta(minutes=5)

# What the answer holds for each way to pay. An mweb_url lives for five minutes only, the others for two hours.
_OFFERED = {"NATIVE": "code_url", "JSAPI": "prepay_id", "MWEB": "mweb_url"}

ABSENT = "ORDERNOTEXIST"
_CLOSE_CODES = {
    "ORDERCLOSED": TradeState.CLOSED,
    "ORDERPAID": TradeState.PAID,
    ABSENT: TradeState.ABSENT,
}


def create(wire: WeChatWire, order: NewOrder) -> Offer:
    trade_type = order.trade_type or "NATIVE"
    fields = {
        "out_trade_no": order.order_no,
        "body": short(order.subject, DESCRIPTION_BYTES),
        "fee_type": "CNY",
        "total_fee": str(order.amount_fen),
        "spbill_create_ip": order.client_ip,
        "time_expire": f"{(order.expires_at + _GRACE).astimezone(BEIJING):%Y%m%d%H%M%S}",
        "notify_url": order.notify_url,
        "trade_type": trade_type,
        **_more(order, trade_type),
    }
    wanted = _OFFERED[trade_type]

    def read(answer: Fields) -> Offer:
        if not answer.get(wanted):
            raise Unknown(f"WeChat Pay's answer holds no {wanted}.")
        return offered(trade_type, answer[wanted], order.return_url)

    return wire.call("create", "/pay/unifiedorder", fields, read)


def _more(order: NewOrder, trade_type: str) -> Fields:
    """What only this way to pay wants."""
    if trade_type == "JSAPI":
        if not order.openid:
            raise Refused("LACK_PARAMS", "JSAPI needs the buyer's openid under this app id.")
        return {"openid": order.openid}
    if trade_type == "MWEB":
        site = urlsplit(order.return_url or order.notify_url)
        info = {"type": "Wap", "wap_url": f"{site.scheme}://{site.netloc}", "wap_name": plain(order.subject)[:20]}
        return {"scene_info": json.dumps({"h5_info": info}, ensure_ascii=False, separators=(",", ":"))}
    return {"product_id": order.order_no}


def payment_arguments(wire: WeChatWire, prepay_id: str) -> Fields:
    """The five arguments of wx.requestPayment; appId is signed with them and not passed."""
    fields = {
        "timeStamp": str(int(time.time())),
        "nonceStr": secrets.token_hex(16),
        "package": f"prepay_id={prepay_id}",
        "signType": wire.sign_type,
    }
    return fields | {"paySign": sign({"appId": wire.app_id, **fields}, wire.key, wire.sign_type)}


def query(wire: WeChatWire, order_no: str) -> Trade:
    def read(answer: Fields) -> Trade:
        if answer.get("err_code") != ABSENT and answer.get("out_trade_no") != order_no:
            raise Unknown("WeChat Pay answered about another order.")
        return _trade(wire, answer)

    return wire.call("query", "/pay/orderquery", {"out_trade_no": order_no}, read, expected={ABSENT})


def query_transaction(wire: WeChatWire, transaction_id: str) -> Trade:
    def read(answer: Fields) -> Trade:
        if answer.get("err_code") != ABSENT and answer.get("transaction_id") != transaction_id:
            raise Unknown("WeChat Pay answered about another payment.")
        return _trade(wire, answer)

    fields = {"transaction_id": transaction_id}
    return wire.call("query", "/pay/orderquery", fields, read, expected={ABSENT}, about=transaction_id)


def _trade(wire: WeChatWire, answer: Fields) -> Trade:
    if answer.get("err_code") == ABSENT:
        return Trade(TradeState.ABSENT, ABSENT)
    word = answer.get("trade_state", "")
    state = TRADE_STATES.get(word)
    if state is None:
        raise Unknown(f"WeChat Pay's trade_state {word!r} is not known.")
    # A refunded order's answer need not hold the payment.
    paid = state is TradeState.PAID or (state is TradeState.REFUNDED and "transaction_id" in answer)
    try:
        return Trade(state, word, receipt(wire, answer) if paid else None)
    except Malformed as error:
        raise Unknown(str(error)) from error


def close(wire: WeChatWire, order_no: str) -> TradeState:
    def read(answer: Fields) -> TradeState:
        return _CLOSE_CODES[answer["err_code"]] if answer["result_code"] == "FAIL" else TradeState.CLOSED

    return wire.call("close", "/pay/closeorder", {"out_trade_no": order_no}, read, expected=_CLOSE_CODES)


def receipt(wire: WeChatWire, fields: Fields) -> Receipt:
    """The payment in a verified notice or query. total_fee is what was asked; cash_fee is less when the buyer had
    coupons. Raises Implausible."""
    amount = fields.get("total_fee", "")
    if not re.fullmatch(r"[1-9][0-9]{0,18}", amount) or int(amount) > MAX_FEN:
        raise Implausible(f"total_fee {amount[:32]!r} is not an amount in fen.")
    return Receipt(
        gateway="wechat",
        order_no=number_in(fields.get("out_trade_no", "")),
        transaction_id=transaction_in(fields.get("transaction_id", "")),
        amount_fen=int(amount),
        currency=fields.get("fee_type") or "CNY",
        app_id=fields["appid"],
        merchant_id=fields["mch_id"],
        live=wire.live,
        paid_at=beijing_time(fields.get("time_end", ""), "%Y%m%d%H%M%S"),
    )
