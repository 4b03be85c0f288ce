"""`settle_order`: the only code that credits."""

from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text

from ..gateways.orders import Receipt
from ..models import Order, SurplusPayment
from ..models.orders import GIVEN_BACK, GIVEN_BACK_SOME
from ..money import yuan
from .crediting import credit_order
from .surplus import keep_surplus, note_of

# A state has five steps at most: more swaps lost than that means something else is wrong.
SWAP_TRIES = 6


class Settlement(StrEnum):
    """What became of a receipt."""

    CREDITED = "credited"
    DUPLICATE = "duplicate"
    MISMATCH = "mismatch"
    UNKNOWN_ORDER = "unknown_order"
    # Paid, and all of it went back before anything was credited.
    GIVEN_BACK = "given_back"
    # More went back than the caller knows of: ask the provider first.
    UNSURE = "unsure"


@dataclass(frozen=True)
class SettledOrder:
    """The outcome of `settle_order`, with the reason in plain words when nothing was credited."""

    outcome: Settlement
    detail: str = ""
    # Whether the notice that brought the receipt says so already.
    noted: bool = False


def settle_order(
    receipt: Receipt,
    *,
    source: str,
    order: Order | None = None,
    knowing: tuple[int, str] = (0, ""),
    actor: str = "",
    reason: str = "",
    notice: int | None = None,
) -> SettledOrder:
    """Credit the order a receipt pays for, once. The only code that credits.

    Compares gateway, mode, app id, merchant, currency and amount with the order; what differs is flagged, alerted
    and credits nothing. State, entry and balance change in one transaction. `source` says who brought the receipt.
    `order` is the receipt's, when the caller has just read it; should it have changed since, it is read again.
    `notice` is the id of a stored one that brought the receipt: its verdict changes with the order. `knowing` is
    `Order.refunds_known` as far as the caller sees to it that what went back is taken back. `actor` and `reason` are
    for the ledger, when a person decides.
    """
    for _ in range(SWAP_TRIES):
        if order is None or order.order_no != receipt.order_no:
            order = Order.objects.select_related("user").filter(order_no=receipt.order_no).first()
        if order is None:
            return SettledOrder(Settlement.UNKNOWN_ORDER, f"No order {receipt.order_no}.")
        if problem := difference(order, receipt):
            return _flag(order, receipt, problem)
        try:
            if order.state in Order.CREDITED:
                settled = _known_already(order, receipt, source)
            else:
                facts: Any = {"actor": actor, "reason": reason, "notice": notice}
                settled = _why_not(order, knowing) or _credit_order(order, receipt, source, **facts)
        except IntegrityError as error:
            if not _is_about(error, "order_transaction_once"):
                raise
            return _flag(order, receipt, f"Transaction {receipt.transaction_id} was used for another order.")
        if settled is not None:
            return settled
        order = None
    raise RuntimeError(f"Order {receipt.order_no} changed {SWAP_TRIES} times while it was being settled.")


def _why_not(order: Order, knowing: tuple[int, str]) -> SettledOrder | None:
    """What went back before is not credited; and what the caller does not know to have gone back is found out first."""
    if order.given_back:
        return SettledOrder(Settlement.GIVEN_BACK, GIVEN_BACK)
    return SettledOrder(Settlement.UNSURE, GIVEN_BACK_SOME) if order.refunds_known != knowing else None


def _credit_order(
    order: Order, receipt: Receipt, source: str, *, actor: str, reason: str, notice: int | None
) -> SettledOrder | None:
    """State, balance, entry and notice together, or nothing. None: the order changed since it was read."""
    by_hand = receipt.transaction_id == order.manual_mark
    late = order.state in (Order.State.CLOSED, Order.State.FAILED) and not by_hand
    # What somebody is told of it is written with it.
    with transaction.atomic() if late or by_hand else nullcontext():
        facts: Any = {"source": source, "actor": actor, "reason": reason, "notice": notice}
        if not credit_order(order, receipt, late=late, by_hand=by_hand, **facts):
            return None
        if late:
            _report_late(order)
        if by_hand:
            _report_manual(order, actor, reason)
    return SettledOrder(Settlement.CREDITED, noted=notice is not None)


def _known_already(order: Order, receipt: Receipt, source: str) -> SettledOrder | None:
    """For an order that is credited: the payment that did it, one more payment, which is kept to be given back, or the
    payment of what was completed by hand, which takes the place of its mark. None: the order changed since it was
    read."""
    if receipt.transaction_id in (order.transaction_id, order.manual_mark):
        return SettledOrder(Settlement.DUPLICATE)
    if not order.without_proof:
        surplus = keep_surplus(order, receipt, source=source)
        if surplus.state != SurplusPayment.State.OPEN:
            return SettledOrder(Settlement.DUPLICATE, "A surplus payment that has been given back or settled.")
        return _flag(order, receipt, note_of(receipt.transaction_id))
    unproven = Order.objects.filter(pk=order.pk, transaction_id=order.manual_mark)
    with transaction.atomic():
        if not unproven.update(transaction_id=receipt.transaction_id, paid_at=receipt.paid_at or Now()):
            return None
        _report_proven(order, receipt)
    return SettledOrder(Settlement.DUPLICATE, "Completed by hand before; this is its payment.")


def _is_about(error: IntegrityError, constraint: str) -> bool:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) == constraint


def difference(order: Order, receipt: Receipt) -> str:
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


def _flag(order: Order, receipt: Receipt, problem: str) -> SettledOrder:
    """Mark the order for review and tell the operators. Its state stays, so an honest notice still credits it."""
    Order.objects.filter(pk=order.pk).update(review=problem[:200])
    told = {"transaction": receipt.transaction_id}
    raise_alert(
        "notice_mismatch",
        level="critical",
        title=Text(gettext_noop("Order %(order)s: a payment does not match"), order=order.order_no),
        content=Text(gettext_noop("Transaction %(transaction)s: %(problem)s"), **told, problem=problem),
        key=f"mismatch:{order.order_no}",
        about=order,
        platform=receipt.gateway,
    )
    return SettledOrder(Settlement.MISMATCH, problem)


def _report_manual(order: Order, actor: str, reason: str) -> None:
    facts = {"who": actor, "quota": f"{order.quota:,}", "user": order.user, "yuan": yuan(order.amount_fen)}
    told = gettext_noop("%(who)s credited %(quota)s quota to %(user)s for ¥%(yuan)s: %(reason)s")
    title = gettext_noop("Order %(order)s was completed by hand, without proof of payment")
    raise_alert(
        "manual_completion",
        title=Text(title, order=order.order_no),
        content=Text(told, **facts, reason=reason),
        key=f"manual:{order.order_no}",
        about=order,
        platform=order.gateway,
    )


def _report_proven(order: Order, receipt: Receipt) -> None:
    raise_alert(
        "manual_confirmed",
        title=Text(gettext_noop("Order %(order)s, completed by hand, was paid"), order=order.order_no),
        content=Text(
            gettext_noop("Transaction %(transaction)s; nothing was credited again."), transaction=receipt.transaction_id
        ),
        key=f"manual-confirmed:{order.order_no}",
        about=order,
        platform=receipt.gateway,
    )


def _report_late(order: Order) -> None:
    raise_alert(
        "late_payment",
        level="info",
        title=Text(gettext_noop("Order %(order)s was paid after it was closed"), order=order.order_no),
        content=Text(
            gettext_noop("%(quota)s quota were credited to %(user)s."), quota=f"{order.quota:,}", user=order.user
        ),
        key=f"late:{order.order_no}",
        about=order,
        platform=order.gateway,
    )
