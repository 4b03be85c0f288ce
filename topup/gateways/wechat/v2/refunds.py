"""Refunds at WeChat Pay: refund (which wants a client certificate), and refundquery.

"Success" of a refund call means that it was accepted; what became of it is the query's to say.
"""

import re
from collections.abc import Container, Sequence

from ...errors import Malformed, NotConfigured, Refused, Unknown
from ...orders import Receipt, beijing_time
from ...refunds import NewRefund, RefundState, RefundStatus
from ..trades import REASON_BYTES, REFUND_NO, short
from .orders import receipt
from .wire import Fields, WeChatWire

_ABSENT = "REFUNDNOTEXIST"
_STATES = {
    "SUCCESS": RefundState.SUCCEEDED,
    "PROCESSING": RefundState.PROCESSING,
    "REFUNDCLOSE": RefundState.CLOSED,
    # What bills say, and answers of old.
    "FAIL": RefundState.CLOSED,
    "CHANGE": RefundState.ABNORMAL,
    # What the documents of other versions call it.
    "ABNORMAL": RefundState.ABNORMAL,
}
_PAGE = 10
_MOST = 50


def refund(wire: WeChatWire, new: NewRefund) -> RefundStatus:
    if obstacle := wire.why_no_refunds:
        raise NotConfigured(obstacle)
    fields = {
        **({"transaction_id": new.transaction_id} if new.transaction_id else {"out_trade_no": new.order_no}),
        "out_refund_no": new.refund_no,
        "total_fee": str(new.total_fen),
        "refund_fee": str(new.amount_fen),
        "refund_desc": short(new.reason, REASON_BYTES),
        "notify_url": new.notify_url,
    }

    def read(answer: Fields) -> RefundStatus:
        said = (answer.get("out_trade_no"), answer.get("out_refund_no"), _fen(answer.get("refund_fee", "")))
        other = new.transaction_id and answer.get("transaction_id") != new.transaction_id
        if other or said != (new.order_no, new.refund_no, new.amount_fen):
            raise Unknown("WeChat Pay answered about another refund.")
        return RefundStatus(
            new.order_no,
            new.refund_no,
            RefundState.PROCESSING,
            "accepted",
            new.amount_fen,
            answer.get("refund_id", "")[:64],
        )

    certificate = wire.config.certificate()
    return wire.call("refund", "/secapi/pay/refund", fields, read, about=new.order_no, certificate=certificate)


def query_refund(wire: WeChatWire, order_no: str, refund_no: str, _transaction_id: str = "") -> RefundStatus:
    def read(answer: Fields) -> RefundStatus:
        if answer.get("err_code") == _ABSENT:
            return RefundStatus(order_no, refund_no, RefundState.ABSENT, _ABSENT)
        found = [status for status in _statuses(answer, order_no) if status.refund_no == refund_no]
        if len(found) != 1:
            raise Unknown("WeChat Pay answered about another refund.")
        return found[0]

    fields = {"out_refund_no": refund_no}
    return wire.call("refund query", "/pay/refundquery", fields, read, expected={_ABSENT}, about=order_no)


def refunds_of(wire: WeChatWire, order_no: str) -> Sequence[RefundStatus]:
    """All of them: the query answers ten at a time."""

    def read(answer: Fields) -> tuple[list[RefundStatus], int]:
        if answer.get("err_code") == _ABSENT:
            return [], 0
        total = re.match(r"[0-9]{1,4}", answer.get("total_refund_count") or answer.get("refund_count", ""))
        return _statuses(answer, order_no), int(total[0]) if total else 0

    found: dict[str, RefundStatus] = {}
    expected: Container[str] = {_ABSENT}
    for offset in range(0, _MOST, _PAGE):
        fields = {"out_trade_no": order_no} | ({"offset": str(offset)} if offset else {})
        page, total = wire.call("refund query", "/pay/refundquery", fields, read, expected=expected)
        found |= {status.refund_no: status for status in page}
        if not page or offset + _PAGE >= total:
            break
    if len(found) < total:
        raise Unknown(f"WeChat Pay counts {total} refunds and lists {len(found)}.")
    return list(found.values())


def payment_of(wire: WeChatWire, order_no: str) -> Receipt | None:
    """The payment that an order's refunds are of; None when nobody says."""

    def read(answer: Fields) -> Receipt | None:
        if answer.get("err_code") == _ABSENT or answer.get("out_trade_no") != order_no:
            return None
        return receipt(wire, answer)

    try:
        return wire.call("refund query", "/pay/refundquery", {"out_trade_no": order_no}, read, expected={_ABSENT})
    except (Unknown, Refused, Malformed):
        # What the order's own query said counts without it.
        return None


def _statuses(answer: Fields, order_no: str) -> list[RefundStatus]:
    """The numbered elements of a query's answer, out_refund_no_0 and so on. Raises Unknown."""
    if answer.get("out_trade_no") != order_no:
        raise Unknown("WeChat Pay answered about another order.")
    found = (re.fullmatch(r"(?:out_refund_no|refund_id|refund_fee)_([0-9]{1,3})", name) for name in answer)
    return [_status(answer, order_no, number) for number in sorted({each[1] for each in found if each}, key=int)]


def _status(answer: Fields, order_no: str, number: str) -> RefundStatus:
    word = answer.get(f"refund_status_{number}", "")
    state = _STATES.get(word)
    amount = _fen(answer.get(f"refund_fee_{number}", ""))
    # One that was made in the console may have none of its own.
    refund_no = answer.get(f"out_refund_no_{number}") or answer.get(f"refund_id_{number}", "")
    if state is None or not amount or not REFUND_NO.fullmatch(refund_no):
        raise Unknown(f"WeChat Pay's refund_status {word[:32]!r}, or what stands beside it, is not known.")
    return RefundStatus(
        order_no,
        refund_no,
        state,
        word,
        amount,
        answer.get(f"refund_id_{number}", "")[:64],
        beijing_time(answer.get(f"refund_success_time_{number}", ""), "%Y-%m-%d %H:%M:%S"),
    )


def _fen(text: str) -> int:
    """A whole number of fen; 0 when it is none."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,17}", text) else 0
