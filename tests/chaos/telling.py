"""The story of one order, for whoever wants to know what went wrong: both sides' rows, by time."""

from collections.abc import Iterator
from datetime import datetime

from sandbox.models import Delivery, Trade
from sandbox.models import Refund as ProviderRefund
from topup.models import GatewayCall, Notice, Order, Refund
from voicehelper.wallet.models import Entry

Event = tuple[datetime | None, str]


def story(order_no: str) -> list[str]:
    """A line each, the earliest first."""
    events = [(at, text) for at, text in _events(order_no) if at]
    return [f"  {at:%H:%M:%S.%f} {text}" for at, text in sorted(events)]


def _events(order_no: str) -> Iterator[Event]:
    for trade in Trade.objects.filter(out_trade_no=order_no).select_related("merchant"):
        yield trade.paid_at, f"there: paid, {trade.amount_fen} fen, {trade.merchant.gateway} {trade.sign_type}"
    for back in ProviderRefund.objects.filter(trade__out_trade_no=order_no):
        yield back.finished_at, f"there: {back.state} refund {back.out_refund_no}, {back.amount_fen} fen"
    for sent in Delivery.objects.filter(trade__out_trade_no=order_no):
        yield sent.acknowledged_at or sent.created_at, f"there: notice {sent.pk} {sent.faults}: {sent.last_answer}"
    for notice in Notice.objects.filter(order_no=order_no):
        yield notice.received, f"here: notice {notice.verdict} {notice.detail}"
    for call in GatewayCall.objects.filter(order_no=order_no):
        yield (
            call.created,
            f"here: {call.operation} {call.outcome} after {call.elapsed_ms} ms, {call.response[-200:]!r}",
        )
    for entry in Entry.objects.filter(ref__contains=order_no):
        yield entry.created, f"here: {entry.kind} {entry.amount} {entry.actor}"
    for refund in Refund.objects.filter(order__order_no=order_no):
        yield refund.created, f"here: {refund.state} refund {refund.refund_no}, {refund.amount_fen} fen"
    for order in Order.objects.filter(order_no=order_no):
        yield from _of_order(order)


def _of_order(order: Order) -> Iterator[Event]:
    known = f"{order.refunded_fen} fen known to have gone back ({order.refund_numbers}; {order.refund_told_by or '-'})"
    yield order.created, f"here: placed; now {order.state}, {known}, {order.review or 'nothing to look at'}"
    yield order.credited_at, f"here: credited by {order.credited_by}"
    yield order.closed_at, "here: closed"
