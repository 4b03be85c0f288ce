"""Refunds at WeChat Pay, API v3: made and asked about, one by one. No client certificate on the line; and no list of an
order's refunds: those made in the console are known from their notices, or from the bill.
"""

from urllib.parse import quote

from ...errors import Unknown
from ...refunds import NewRefund, RefundState, RefundStatus
from ..trades import MAX_FEN, REASON_BYTES, REFUND_NO, short
from .orders import moment
from .wire import ABSENT, Content, WeChatV3Wire

_REFUNDS = "/v3/refund/domestic/refunds"
STATES = {
    "PROCESSING": RefundState.PROCESSING,
    "SUCCESS": RefundState.SUCCEEDED,
    "CLOSED": RefundState.CLOSED,
    "ABNORMAL": RefundState.ABNORMAL,
}


def refund(wire: WeChatV3Wire, new: NewRefund) -> RefundStatus:
    content = {
        **({"transaction_id": new.transaction_id} if new.transaction_id else {"out_trade_no": new.order_no}),
        "out_refund_no": new.refund_no,
        "notify_url": new.notify_url,
        "amount": {"refund": new.amount_fen, "total": new.total_fen, "currency": "CNY"},
    }
    if reason := short(new.reason, REASON_BYTES):
        content["reason"] = reason

    def read(answer: Content) -> RefundStatus:
        status = _status(answer, new.order_no, new.refund_no)
        other = new.transaction_id and answer.get("transaction_id") != new.transaction_id
        if other or status.amount_fen != new.amount_fen:
            raise Unknown("WeChat Pay answered about another refund.")
        return status

    return wire.call("refund", f"POST {_REFUNDS}", read, content=content, about=new.order_no)


def query_refund(wire: WeChatV3Wire, order_no: str, refund_no: str, _transaction_id: str = "", /) -> RefundStatus:
    def read(answer: Content) -> RefundStatus:
        if "code" in answer:
            return RefundStatus(order_no, refund_no, RefundState.ABSENT, answer["code"])
        return _status(answer, order_no, refund_no)

    line = f"GET {_REFUNDS}/{quote(refund_no, safe='*')}"
    return wire.call("refund query", line, read, about=order_no, expected=ABSENT)


def _status(answer: Content, order_no: str, refund_no: str) -> RefundStatus:
    if (answer.get("out_trade_no"), answer.get("out_refund_no")) != (order_no, refund_no):
        raise Unknown("WeChat Pay answered about another refund.")
    word, amount = answer.get("status"), answer.get("amount")
    state = STATES.get(word) if isinstance(word, str) else None
    fen = amount.get("refund") if isinstance(amount, dict) else None
    if state is None or type(fen) is not int or not 0 < fen <= MAX_FEN or not REFUND_NO.fullmatch(refund_no):
        raise Unknown(f"WeChat Pay's status {str(word)[:32]!r}, or what stands beside it, is not known.")
    at = moment(answer.get("success_time")) if state is RefundState.SUCCEEDED else None
    return RefundStatus(order_no, refund_no, state, str(word), fen, str(answer.get("refund_id", ""))[:64], at)
