"""Credit is what was paid and not given back.

Whoever hears of money that went back before anything was credited keeps it with the order. From then on nothing is
credited on a notice's word alone: the provider is asked how much went back. All of it: nothing is credited, ever. A
part: the order is credited, and in the same transaction what went back is taken back by mirrored refunds.
"""

import logging
from collections.abc import Sequence

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper import clock
from voicehelper.net.http import Limits

from ..gateways.base import Gateway
from ..gateways.errors import Refused, Unknown
from ..gateways.orders import Receipt, Trade, TradeState
from ..gateways.refunds import RefundHint, RefundState, RefundStatus
from ..models import Order
from ..models.orders import GIVEN_BACK, GIVEN_BACK_SOME
from ..money import yuan
from .gateways import gateway_for
from .refund_finding import find_refunds, refund_was_told
from .refund_mirroring import refunds_there, take_back
from .refund_sums import refundable_fen
from .settling import SettledOrder, Settlement, settle_order

log = logging.getLogger(__name__)

# Refunds for which money has left us, or will.
_ALIVE = (RefundState.SUCCEEDED, RefundState.PROCESSING, RefundState.ABNORMAL)


_KEPT = ("refund_numbers", "refunded_fen", "refund_told_by")


# --- Hearing of it ---------------------------------------------------------------------------------------------------
def keep_refund(order: Order, *, source: str, fen: int = 0, refund_no: str = "") -> bool:
    """Keep what is said of a refund with an order that is not credited, in the row and in this instance. `fen` is what
    went back of it in all, for certain. False: it is credited by now, and its refunds are mirrored."""
    with transaction.atomic():
        row = Order.objects.select_for_update().get(pk=order.pk)
        if row.state in Order.CREDITED:
            return False
        before = row.refunds_known, row.refund_told_by
        numbers = row.refund_numbers.split()
        row.refund_numbers = " ".join(numbers if not refund_no or refund_no in numbers else [*numbers, refund_no])
        row.refunded_fen = max(row.refunded_fen, fen)
        row.refund_told_by = row.refund_told_by or source[:16]
        if before != (row.refunds_known, row.refund_told_by):
            _write_down(row)
    for name in _KEPT:
        setattr(order, name, getattr(row, name))
    return True


def _write_down(row: Order) -> None:
    """News: ask how much it was, or end the order when it was all. The row is locked."""
    row.next_ask_at = None if row.given_back else clock.now()
    row.review = GIVEN_BACK if row.given_back else row.review or GIVEN_BACK_SOME
    row.save(update_fields=[*_KEPT, "next_ask_at", "review"])
    if row.given_back:
        row.move(Order.State.CLOSED, closed_at=Now())
        _report(row)


def hear_of_refund(order: Order, hint: RefundHint, *, source: str, limits: Limits | None = None) -> bool:
    """A notice speaks of a refund. What a signature stands behind is believed, the rest makes us ask. True: what there
    is to know of it is known here."""
    if keep_refund(order, source=source, fen=hint.refunded_fen, refund_no=hint.refund_no):
        return bool(hint.refunded_fen) or _ask_how_much(order, gateway_for(order, limits=limits), source) is not None
    if refund_was_told(order, hint.refund_no, limits=limits):
        return True
    if hint.refunded_fen and not hint.refund_no:
        take_back(order, (), hint.refunded_fen)
        return True
    return False


# --- Deciding --------------------------------------------------------------------------------------------------------
def settle_trade(
    order: Order, trade: Trade, gateway: Gateway, *, source: str, receipt: Receipt | None = None
) -> SettledOrder | None:
    """Make of a provider's answer about an order what it is. `receipt` is a notice's, in case the answer holds none.
    None: it is not paid, or it is not certain how much went back; then it is asked again."""
    receipt = trade.receipt or receipt
    closed = trade.state == TradeState.CLOSED and gateway.closes_refunded
    if order.state in Order.CREDITED:
        return _settle_credited(order, trade, gateway, source=source)
    if closed and (receipt or order.refund_told_by):
        # It was paid, and a paid trade is closed by giving all of it back.
        back = order.amount_fen
    elif trade.state in (TradeState.PAID, TradeState.REFUNDED):
        back = trade.refunded_fen
    else:
        return None
    went_back = closed or trade.state == TradeState.REFUNDED or back > 0
    if went_back and not keep_refund(order, source=source, fen=back):
        return _settle_credited(order, trade, gateway, source=source)
    if order.refund_told_by:
        return _settle_the_rest(order, receipt, gateway, source, some=trade.state == TradeState.REFUNDED)
    return settle_order(receipt, source=source) if receipt else None


def _settle_credited(order: Order, trade: Trade, gateway: Gateway, *, source: str) -> SettledOrder | None:
    """Money that went back since is looked for. Some close what was refunded in full, and do not say by
    which refunds."""
    if trade.state == TradeState.PAID and trade.receipt:
        return settle_order(trade.receipt, source=source)
    of_surplus = trade.receipt and order.surplus_payments.filter(transaction_id=trade.receipt.transaction_id).exists()
    if trade.state in (TradeState.REFUNDED, TradeState.CLOSED) and not of_surplus:
        find_refunds(order, order.refund_numbers.split(), gateway=gateway)
        if not gateway.lists_refunds and (missing := _missing(order, gateway)):
            Order.objects.filter(pk=order.pk, review="").update(review=missing)
    return None


def _missing(order: Order, gateway: Gateway) -> str:
    """What the provider says went back and has no refund here. Not every provider tells all from some."""
    left_fen = refundable_fen(order)
    if gateway.closes_refunded and left_fen > 0:
        return "Refunded in full at the provider, not all of it here: its bill has the number of the refund."
    if left_fen == order.amount_fen:
        return "Refunded at the provider, and not here: its bill has the number of the refund."
    return ""


def _settle_the_rest(
    order: Order, receipt: Receipt | None, gateway: Gateway, source: str, *, some: bool
) -> SettledOrder | None:
    """Nothing, when all of it went back; else the whole order, and at once what went back is taken again. `some`: the
    provider says that there are refunds."""
    found = () if order.given_back else _ask_how_much(order, gateway, source)
    if order.given_back:
        return SettledOrder(Settlement.GIVEN_BACK, GIVEN_BACK)
    if found is None or receipt is None:
        return None
    # One that was closed explains it only where all are listed.
    told = found if gateway.lists_refunds else [each for each in found if each.state in _ALIVE]
    if some and not told and not order.refunded_fen:
        # Their numbers are not known yet: a notice or the bill will tell.
        return None
    with transaction.atomic():
        settled = settle_order(receipt, source=source, knowing=order.refunds_known)
        if settled.outcome in (Settlement.CREDITED, Settlement.DUPLICATE):
            take_back(order, found, order.refunded_fen)
    return settled


def _ask_how_much(order: Order, gateway: Gateway | None, source: str) -> Sequence[RefundStatus] | None:
    """The refunds of an order that is not credited, as the provider knows them, closed ones too; the sum of the others
    is kept. None: no certain answer, or somebody told of one more meanwhile, which nobody was asked about."""
    if gateway is None:
        return None
    asked = order.refund_numbers
    try:
        there = refunds_there(order, asked.split(), gateway)
        found = [each for each in there if each.state != RefundState.ABSENT]
    except (Unknown, Refused) as error:
        log.warning("Asking %s how much of order %s went back: %s", order.gateway, order.order_no, error)
        return None
    if not all(each.amount_fen for each in found if each.state in _ALIVE):
        return None
    done = sum(each.amount_fen for each in found if each.state == RefundState.SUCCEEDED)
    keep_refund(order, source=source, fen=done)
    return found if order.refund_numbers == asked else None


def _report(order: Order) -> None:
    raise_alert(
        "console_refund",
        level="warning",
        title=Text(gettext_noop("Order %(order)s: paid and refunded at the provider"), order=order.order_no),
        content=Text(
            gettext_noop("¥%(yuan)s went back before anything was credited; nothing will be."),
            yuan=yuan(order.amount_fen),
        ),
        key=f"given-back:{order.order_no}",
        about=order,
        platform=order.gateway,
    )
