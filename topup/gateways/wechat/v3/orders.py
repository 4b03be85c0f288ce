"""Orders at WeChat Pay, API v3: create, query by either number, close; and the payment in an answer or a notice."""

import secrets
import time
from datetime import datetime, timedelta
from urllib.parse import quote

from voicehelper.clock import BEIJING

from ... import rsa
from ...errors import GatewayError, Implausible, Malformed, Refused, Retryable, Unknown
from ...orders import NewOrder, Offer, Receipt, Trade, TradeState
from ..trades import DESCRIPTION_BYTES, MAX_FEN, TRADE_STATES, number_in, offered, short, transaction_in
from .signing import text_of
from .wire import ABSENT, Content, WeChatV3Wire

# WeChat Pay moves an end that is less than a minute away, and holds another end for another order: a minute after our
# own is the same whenever the request is sent again.
_GRACE = timedelta(minutes=1)

# The last part of the path, and what the answer holds. An h5_url lives for five minutes only, the others for two hours.
_WAYS = {"NATIVE": ("native", "code_url"), "JSAPI": ("jsapi", "prepay_id"), "MWEB": ("h5", "h5_url")}
_CLOSE_CODES = {
    "ORDER_CLOSED": TradeState.CLOSED,
    "ORDER_PAID": TradeState.PAID,
    "ORDERPAID": TradeState.PAID,
    **dict.fromkeys(ABSENT, TradeState.ABSENT),
}
_ORDERS = "/v3/pay/transactions"


def create(wire: WeChatV3Wire, order: NewOrder) -> Offer:
    trade_type = order.trade_type or "NATIVE"
    path, wanted = _WAYS[trade_type]
    content = {
        "appid": wire.app_id,
        "mchid": wire.merchant_id,
        "description": short(order.subject, DESCRIPTION_BYTES),
        "out_trade_no": order.order_no,
        "time_expire": (order.expires_at + _GRACE).astimezone(BEIJING).isoformat(timespec="seconds"),
        "notify_url": order.notify_url,
        "amount": {"total": order.amount_fen, "currency": "CNY"},
        **_more(order, trade_type),
    }

    def read(answer: Content) -> Offer:
        value = answer.get(wanted)
        if not value or not isinstance(value, str):
            raise Unknown(f"WeChat Pay's answer holds no {wanted}.")
        return offered(trade_type, value, order.return_url)

    return wire.call("create", f"POST {_ORDERS}/{path}", read, content=content, about=order.order_no)


def _more(order: NewOrder, trade_type: str) -> Content:
    """What only this way to pay wants."""
    if trade_type == "JSAPI":
        if not order.openid:
            raise Refused("PARAM_ERROR", "JSAPI needs the buyer's openid under this app id.")
        return {"payer": {"openid": order.openid}}
    if trade_type == "MWEB":
        return {"scene_info": {"payer_client_ip": order.client_ip, "h5_info": {"type": "Wap"}}}
    return {}


def payment_arguments(wire: WeChatV3Wire, prepay_id: str) -> dict[str, str]:
    """The five arguments of wx.requestPayment. appId is signed and not passed, signType passed and not signed."""
    moment, nonce, package = str(int(time.time())), secrets.token_hex(16), f"prepay_id={prepay_id}"
    signature = rsa.sign(wire.private_key, text_of(wire.app_id, moment, nonce, package))
    return {"timeStamp": moment, "nonceStr": nonce, "package": package, "signType": "RSA", "paySign": signature}


def query(wire: WeChatV3Wire, order_no: str) -> Trade:
    def read(answer: Content) -> Trade:
        if "code" not in answer and answer.get("out_trade_no") != order_no:
            raise Unknown("WeChat Pay answered about another order.")
        return _trade(wire, answer)

    return wire.call("query", f"GET {_query_path(wire, order_no)}", read, about=order_no, expected=ABSENT)


def _query_path(wire: WeChatV3Wire, order_no: str) -> str:
    return f"{_ORDERS}/out-trade-no/{quote(order_no, safe='*')}?mchid={wire.merchant_id}"


def query_transaction(wire: WeChatV3Wire, transaction_id: str) -> Trade:
    def read(answer: Content) -> Trade:
        if "code" not in answer and answer.get("transaction_id") != transaction_id:
            raise Unknown("WeChat Pay answered about another payment.")
        return _trade(wire, answer)

    path = f"{_ORDERS}/id/{quote(transaction_id, safe='')}?mchid={wire.merchant_id}"
    return wire.call("query", f"GET {path}", read, about=transaction_id, expected=ABSENT)


def _trade(wire: WeChatV3Wire, answer: Content) -> Trade:
    if "code" in answer:
        return Trade(TradeState.ABSENT, answer["code"])
    word = answer.get("trade_state")
    state = TRADE_STATES.get(word) if isinstance(word, str) else None
    if state is None:
        raise Unknown(f"WeChat Pay's trade_state {word!r} is not known.")
    if payee_in(answer) != wire.merchant_id or answer.get("appid", wire.app_id) not in wire.app_ids:
        raise Unknown(f"WeChat Pay answered for {answer.get('appid')} / {payee_in(answer)}.")
    # REFUND: it was paid, and at least a part went back; how much, the query does not say.
    paid = state is TradeState.PAID or (state is TradeState.REFUNDED and "transaction_id" in answer)
    try:
        return Trade(state, str(word), receipt(wire, answer) if paid else None)
    except Malformed as error:
        raise Unknown(str(error)) from error


def close(wire: WeChatV3Wire, order_no: str) -> TradeState:
    def read(answer: Content) -> TradeState:
        return _CLOSE_CODES[answer["code"]] if "code" in answer else TradeState.CLOSED

    line, content = f"POST {_ORDERS}/out-trade-no/{quote(order_no, safe='*')}/close", {"mchid": wire.merchant_id}
    try:
        return wire.call("close", line, read, content=content, about=order_no, expected=_CLOSE_CODES)
    except Retryable:
        raise
    except (Refused, Unknown) as error:
        # Which code a paid order's refusal has is not certain: what became of it, the query says.
        state = _state_now(wire, order_no)
        if state in (TradeState.PAID, TradeState.CLOSED):
            return state
        raise error from None


def _state_now(wire: WeChatV3Wire, order_no: str) -> TradeState | None:
    try:
        state = query(wire, order_no).state
    except GatewayError:
        return None
    return TradeState.PAID if state is TradeState.REFUNDED else state


def receipt(wire: WeChatV3Wire, content: Content) -> Receipt:
    """The payment in a verified notice or query. amount.total is what was asked; payer_total is less when the buyer had
    coupons. Raises Implausible."""
    order_no = number_in(content.get("out_trade_no"))
    amount = content.get("amount")
    total = amount.get("total") if isinstance(amount, dict) else None
    # A bool is an int to Python, and a fraction came as text.
    if type(total) is not int or not 0 < total <= MAX_FEN:
        raise Implausible(f"amount.total {str(total)[:32]!r} is not an amount in fen.")
    currency = (amount.get("currency") or "CNY") if isinstance(amount, dict) else ""
    if currency != "CNY":
        raise Implausible(f"The currency is {str(currency)[:8]!r}, not CNY.")
    return Receipt(
        gateway="wechat",
        order_no=order_no,
        transaction_id=transaction_in(content.get("transaction_id")),
        amount_fen=total,
        currency="CNY",
        app_id=str(content.get("appid")),
        merchant_id=str(content.get("mchid")),
        live=wire.live,
        paid_at=moment(content.get("success_time")),
    )


def payee_in(content: Content) -> str:
    """Who was paid: the merchant, or with his number before it a sub-merchant, whose money that is."""
    sub_merchant = content.get("sub_mchid")
    return f"{content.get('mchid')}/{sub_merchant}" if sub_merchant else str(content.get("mchid"))


def moment(text: object) -> datetime | None:
    """A time with its zone (RFC 3339). None when it is not one: a broken time must not keep a payment from being
    credited."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo and found.year >= 2000 else None
