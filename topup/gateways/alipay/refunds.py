"""Refunds at Alipay: trade.refund and fastpay.refund.query.

"10000" of a refund means that it was accepted; `fund_change` says whether money moved.
"""

import re
from collections.abc import Sequence

from topup.money import fen_loosely, yuan

from ..errors import NotSupported, Unknown
from ..orders import beijing_time
from ..refunds import NewRefund, RefundState, RefundStatus
from .failures import ABSENT
from .wire import TIME, AlipayWire, Fields

REFUND_NO = re.compile(r"\S{1,64}")
_REASON_CHARS = 256


def refund(wire: AlipayWire, new: NewRefund) -> RefundStatus:
    fields = {
        **({"trade_no": new.transaction_id} if new.transaction_id else {"out_trade_no": new.order_no}),
        "out_request_no": new.refund_no,
        "refund_amount": yuan(new.amount_fen),
        "refund_reason": "".join(c if c.isprintable() else " " for c in new.reason)[:_REASON_CHARS],
    }

    def read(answer: Fields) -> RefundStatus:
        # refund_fee is what was given back of this trade in all, so it does not tell about this refund.
        moved = answer.get("fund_change", "")
        state = RefundState.SUCCEEDED if moved == "Y" else RefundState.PROCESSING
        at = beijing_time(answer.get("gmt_refund_pay", ""), TIME) if state is RefundState.SUCCEEDED else None
        return RefundStatus(new.order_no, new.refund_no, state, f"fund_change={moved}", new.amount_fen, succeeded_at=at)

    return wire.call("refund", "AlipayTradeRefund", fields, read, about=new.order_no)


def query_refund(wire: AlipayWire, order_no: str, refund_no: str, transaction_id: str = "") -> RefundStatus:
    def read(answer: Fields) -> RefundStatus:
        if answer.get("sub_code") == ABSENT or not answer.get("out_request_no"):
            # A bare 10000 says no more than that the question was understood.
            return RefundStatus(order_no, refund_no, RefundState.ABSENT, answer.get("sub_code", "") or "10000")
        said = (answer.get("out_trade_no"), answer["out_request_no"])
        if said != (order_no, refund_no):
            raise Unknown("Alipay answered about another refund.")
        word = answer.get("refund_status", "")
        # Older answers have no refund_status, and name everything of a refund that succeeded.
        succeeded = word == "REFUND_SUCCESS" or (not word and answer.get("trade_no") and answer.get("refund_amount"))
        state = RefundState.SUCCEEDED if succeeded else RefundState.PROCESSING
        at = beijing_time(answer.get("gmt_refund_pay", ""), TIME)
        return RefundStatus(order_no, refund_no, state, word, _amount(answer), succeeded_at=at)

    of = {"trade_no": transaction_id} if transaction_id else {"out_trade_no": order_no}
    fields = {**of, "out_request_no": refund_no, "query_options": "gmt_refund_pay"}
    name = "AlipayTradeFastpayRefundQuery"
    return wire.call("refund query", name, fields, read, expected={ABSENT}, about=order_no, named=False)


def refunds_of(_wire: AlipayWire, order_no: str) -> Sequence[RefundStatus]:
    raise NotSupported(f"Alipay lists no refunds of {order_no}: ask with their numbers, or read the bill.")


def _amount(answer: Fields) -> int:
    """What was given back, in fen; 0 when the answer does not say. Raises Unknown for what is no amount."""
    try:
        return fen_loosely(answer["refund_amount"]) if answer.get("refund_amount") else 0
    except ValueError as error:
        raise Unknown(f"refund_amount: {error}") from error
