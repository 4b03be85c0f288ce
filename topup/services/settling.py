"""`settle_order`: the only code that credits."""

from dataclasses import dataclass
from enum import StrEnum

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from notifications.services import raise_alert
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

from ..gateways.base import Receipt
from ..models import Order

# A state has five steps at most: more swaps lost than that means something else is wrong.
SWAP_TRIES = 6


class Settlement(StrEnum):
    """What became of a receipt."""

    CREDITED = "credited"
    DUPLICATE = "duplicate"
    MISMATCH = "mismatch"
    UNKNOWN_ORDER = "unknown_order"


@dataclass(frozen=True)
class Settled:
    """The outcome of `settle_order`, with the reason in plain words when nothing was credited."""

    outcome: Settlement
    detail: str = ""


def settle_order(receipt: Receipt, *, source: str, order: Order | None = None) -> Settled:
    """Credit the order a receipt pays for, once. The only code that credits.

    Compares gateway, mode, app id, merchant, currency and amount with the order; what differs is flagged, alerted
    and credits nothing. State, entry and balance change in one transaction. `source` says who brought the receipt.
    `order` is the receipt's, when the caller has just read it; should it have changed since, it is read again.
    """
    for _ in range(SWAP_TRIES):
        if order is None or order.order_no != receipt.order_no:
            order = Order.objects.select_related("user").filter(order_no=receipt.order_no).first()
        if order is None:
            return Settled(Settlement.UNKNOWN_ORDER, f"No order {receipt.order_no}.")
        difference = _difference(order, receipt)
        if difference:
            return _flag(order, receipt, difference)
        if order.state in Order.CREDITED:
            if order.transaction_id == receipt.transaction_id:
                return Settled(Settlement.DUPLICATE)
            problem = f"Paid again with transaction {receipt.transaction_id}: one of the payments must be refunded."
            return _flag(order, receipt, problem)
        try:
            if _credit_order(order, receipt, source):
                return Settled(Settlement.CREDITED)
        except IntegrityError as error:
            if not _is_about(error, "order_transaction_once"):
                raise
            return _flag(order, receipt, f"Transaction {receipt.transaction_id} was used for another order.")
        order = None
    raise RuntimeError(f"Order {receipt.order_no} changed {SWAP_TRIES} times while it was being settled.")


def _credit_order(order: Order, receipt: Receipt, source: str) -> bool:
    """State, balance and entry together, or nothing. False: the order changed since it was read."""
    late = order.state in (Order.State.CLOSED, Order.State.FAILED)
    with transaction.atomic():
        moved = order.move(
            Order.State.PAID,
            transaction_id=receipt.transaction_id,
            paid_at=receipt.paid_at or Now(),
            credited_at=Now(),
            credited_by=source,
            paid_late=late,
            failure="",
            next_ask_at=None,
        )
        if moved:
            credit(order.user, order.quota, kind=Entry.Kind.TOPUP, ref=order.order_no, actor=source)
            if late:
                _report_late(order)
    return moved


def _is_about(error: IntegrityError, constraint: str) -> bool:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) == constraint


def _difference(order: Order, receipt: Receipt) -> str:
    """What a receipt says differently from its order, in plain words; empty when they agree."""
    pairs = {
        "gateway": (receipt.gateway, order.gateway),
        "live": (receipt.live, order.live),
        "app id": (receipt.app_id, order.app_id),
        "merchant": (receipt.merchant_id, order.merchant_id),
        "currency": (receipt.currency, "CNY"),
        "amount in fen": (receipt.amount_fen, order.amount_fen),
    }
    return "; ".join(
        f"{name} is {told}, agreed was {agreed}" for name, (told, agreed) in pairs.items() if told != agreed
    )


def _flag(order: Order, receipt: Receipt, problem: str) -> Settled:
    """Mark the order for review and tell the operators. Its state stays, so an honest notice still credits it."""
    Order.objects.filter(pk=order.pk).update(review=problem[:200])
    raise_alert(
        "notice_mismatch",
        level="critical",
        title=f"Order {order.order_no}: a payment does not match",
        content=f"{receipt.gateway} transaction {receipt.transaction_id}: {problem}",
        key=f"mismatch:{order.order_no}",
    )
    return Settled(Settlement.MISMATCH, problem)


def _report_late(order: Order) -> None:
    raise_alert(
        "late_payment",
        level="info",
        title=f"Order {order.order_no} was paid after it was closed",
        content=f"{order.quota} quota were credited to {order.user}.",
        key=f"late:{order.order_no}",
    )
