"""Refunds made elsewhere: told of by the provider, or found when it is asked, and mirrored here."""

import logging
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from notifications.services import raise_alert
from voicehelper.net.http import Limits
from voicehelper.wallet.services import hold_up_to

from ..gateways.base import Gateway
from ..gateways.errors import Refused, Unknown
from ..gateways.refunds import RefundState, RefundStatus
from ..models import Order, Refund
from ..money import yuan
from .gateways import gateway_for
from .refund_settling import ASK_EVERY, settle_refund
from .refund_sums import alive, next_number, ref_of, share, taken
from .refunding import HOLD_LIFE, ask_refund

log = logging.getLogger(__name__)

# What stands for the provider's word on a refund of which it has told the sum only.
ONLY_A_SUM = "refund_fee"


def refund_was_told(order: Order, refund_no: str, *, limits: Limits | None = None) -> bool:
    """Somebody says that something happened to a refund: ask. True: the provider's answer was certain."""
    gateway = gateway_for(order, limits=limits)
    if gateway is None:
        return False
    refund = alive(order).select_related("order").filter(refund_no=refund_no).first() if refund_no else None
    if refund is not None:
        status = ask_refund(refund, gateway=gateway)
        return status is not None and status.state != RefundState.ABSENT
    return find_refunds(order, [refund_no], gateway=gateway)


def find_refunds(order: Order, hints: Sequence[str] = (), *, gateway: Gateway | None = None) -> bool:
    """Look for refunds made in the provider's console, and bring what is known here up to date. False: no certain
    answer. `hints` are refund numbers to ask about, for providers that list none."""
    gateway = gateway or gateway_for(order)
    if gateway is None:
        return False
    try:
        found = refunds_there(order, hints, gateway)
    except (Unknown, Refused) as error:
        log.warning("Looking for refunds of order %s at %s: %s", order.order_no, order.gateway, error)
        return False
    for status in found:
        mirror_refund(order, status)
    return any(status.state != RefundState.ABSENT for status in found)


def refunds_there(order: Order, hints: Sequence[str], gateway: Gateway) -> Sequence[RefundStatus]:
    """The refunds of an order as its provider knows them, those that `hints` number where it lists none. Raises Refused
    and Unknown."""
    if gateway.lists_refunds:
        return gateway.refunds_of(order.order_no)
    # A refund without a number of its own has the order's.
    numbers = [hint for hint in hints if hint] or [order.order_no]
    return [gateway.query_refund(order.order_no, number) for number in numbers]


def mirror_refund(order: Order, status: RefundStatus) -> Refund | None:
    """Bring one refund that the provider knows up to date here; one made in its console becomes a row. The quota it
    takes back is what is left, at most its share. None: there is nothing to mirror, or somebody must look at it."""
    refund = _known(order, status)
    if refund is None:
        if status.state in (RefundState.ABSENT, RefundState.CLOSED):
            return None
        with transaction.atomic():
            locked = Order.objects.select_for_update(of=("self",)).select_related("user").get(pk=order.pk)
            refund = _known(locked, status) or _adopt(locked, status)
    if refund is not None:
        settle_refund(refund, status)
        refund.refresh_from_db()
    return refund


def _known(order: Order, status: RefundStatus) -> Refund | None:
    there = alive(order).select_related("order")
    if known := there.filter(refund_no=status.refund_no).first():
        return known
    # One of which only the amount had been told stands under the order's number until somebody tells its own.
    nameless = there.filter(refund_no=order.order_no, said=ONLY_A_SUM, amount_fen=status.amount_fen).first()
    if nameless is not None and status.state != RefundState.ABSENT:
        nameless.refund_no = status.refund_no
        nameless.save(update_fields=["refund_no"])
    return nameless


def _adopt(order: Order, status: RefundStatus) -> Refund | None:
    """A row for a refund made in the console, its order locked."""
    number = next_number(order)
    before = taken(alive(order))
    if before[0] + status.amount_fen > order.amount_fen:
        # Ours that are under way cannot all succeed any more.
        before = taken(alive(order).filter(Q(source=Refund.Source.CONSOLE) | Q(state=Refund.State.SUCCEEDED)))
    problem = ""
    if order.state not in Order.CREDITED:
        problem = "Refunded at the provider, never credited here."
    elif not 0 < status.amount_fen <= order.amount_fen - before[0]:
        problem = f"Refund {status.refund_no} of {status.amount_fen} fen at the provider does not fit the order."
    _report(order, status, problem)
    if problem:
        Order.objects.filter(pk=order.pk).update(review=problem[:200])
        return None
    due = share(order, status.amount_fen, before)
    ref = ref_of(order, number)
    return Refund.objects.create(
        order=order,
        number=number,
        ref=ref,
        refund_no=status.refund_no,
        source=Refund.Source.CONSOLE,
        state=Refund.State.SUBMITTED,
        amount_fen=status.amount_fen,
        quota_due=due,
        quota=hold_up_to(order.user, due, ref=ref, life=HOLD_LIFE) if due else 0,
        requested_by="console",
        submitted_at=Now(),
        next_ask_at=Now() + ASK_EVERY,
    )


def _report(order: Order, status: RefundStatus, problem: str) -> None:
    raise_alert(
        "console_refund",
        level="critical" if problem else "warning",
        title=f"Order {order.order_no}: a refund made at the provider",
        content=problem or f"{status.refund_no} gives back {yuan(status.amount_fen)} yuan; its quota is taken back.",
        key=f"console-refund:{order.order_no}:{status.refund_no}",
    )
