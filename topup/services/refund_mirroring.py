"""Refunds made elsewhere become rows here: the provider's word on them, and the quota that they take back."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper.wallet.services import hold_up_to

from ..gateways.base import Gateway
from ..gateways.refunds import RefundState, RefundStatus
from ..models import Order, Refund
from ..money import yuan
from .refund_settling import ASK_EVERY, HOLD_LIFE, settle_refund
from .refund_sums import alive, next_number, of_payment, ref_of, share, taken

# What stands for the provider's word on a refund of which it has told the sum only.
ONLY_A_SUM = "refund_fee"


def refunds_there(order: Order, hints: Sequence[str], gateway: Gateway) -> Sequence[RefundStatus]:
    """The refunds of an order as its provider knows them, those that `hints` number where it lists none. Raises Refused
    and Unknown."""
    if gateway.lists_refunds:
        return gateway.refunds_of(order.order_no)
    # A refund without a number of its own has the order's.
    numbers = [hint for hint in hints if hint] or [order.order_no]
    return [gateway.query_refund(order.order_no, number) for number in numbers]


def mirror_refund(order: Order, status: RefundStatus, transaction_id: str = "") -> Refund | None:
    """Bring one refund that the provider knows up to date here; one made in its console becomes a row. The quota it
    takes back is what is left, at most its share; none, when `transaction_id` is that of a surplus payment. None: there
    is nothing to mirror, or somebody must look at it."""
    refund = _known(order, status)
    if refund is None:
        if status.state in (RefundState.ABSENT, RefundState.CLOSED):
            return None
        with transaction.atomic():
            locked = Order.objects.select_for_update(of=("self",)).select_related("user").get(pk=order.pk)
            refund = _known(locked, status) or _adopt(locked, status, transaction_id)
    if refund is not None:
        settle_refund(refund, status)
        refund.refresh_from_db()
    return refund


def take_back(order: Order, found: Sequence[RefundStatus], told_fen: int) -> None:
    """Mirror what went back; also what the provider has told the sum of only, until its number is known."""
    for status in found:
        mirror_refund(order, status)
    mirrored = dict(of_payment(order).values_list("refund_no", "amount_fen"))
    rest_fen = told_fen - sum(mirrored.values())
    if rest_fen > 0:
        nameless = order.order_no if order.order_no not in mirrored else f"{order.order_no}_{len(mirrored)}"
        number = next((told for told in order.refund_numbers.split() if told not in mirrored), nameless)
        mirror_refund(order, RefundStatus(order.order_no, number, RefundState.SUCCEEDED, ONLY_A_SUM, rest_fen))


def _known(order: Order, status: RefundStatus) -> Refund | None:
    there = alive(order).select_related("order")
    if known := there.filter(refund_no=status.refund_no).first():
        return known
    # One of which only the amount had been told stands under the order's number until somebody tells its own.
    if status.raw_state == ONLY_A_SUM:
        return None
    sums = there.filter(refund_no__startswith=order.order_no, said=ONLY_A_SUM)
    nameless = sums.filter(amount_fen=status.amount_fen).first()
    if nameless is not None and status.state != RefundState.ABSENT:
        nameless.refund_no = status.refund_no
        nameless.save(update_fields=["refund_no"])
    return nameless


def _adopt(order: Order, status: RefundStatus, transaction_id: str) -> Refund | None:
    """A row for a refund made in the console, its order locked."""
    surplus = order.surplus_payments.filter(transaction_id=transaction_id).first() if transaction_id else None
    number = next_number(order)
    siblings = alive(order).filter(surplus=surplus) if surplus else of_payment(order)
    before, most = taken(siblings), surplus.amount_fen if surplus else order.amount_fen
    if before[0] + status.amount_fen > most:
        # Ours that are under way cannot all succeed any more.
        before = taken(siblings.filter(Q(source=Refund.Source.CONSOLE) | Q(state=Refund.State.SUCCEEDED)))
    problem = ""
    if order.state not in Order.CREDITED:
        problem = "Refunded at the provider, never credited here."
    elif not 0 < status.amount_fen <= most - before[0]:
        problem = f"Refund {status.refund_no} of {status.amount_fen} fen at the provider does not fit the order."
    _report(order, status, problem)
    if problem:
        Order.objects.filter(pk=order.pk).update(review=problem[:200])
        return None
    due = 0 if surplus else share(order, status.amount_fen, before)
    ref = ref_of(order, number)
    return Refund.objects.create(
        order=order,
        surplus=surplus,
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
    facts = {"refund": status.refund_no, "yuan": yuan(status.amount_fen)}
    raise_alert(
        "console_refund",
        level="critical" if problem else "warning",
        title=Text(gettext_noop("Order %(order)s: a refund made at the provider"), order=order.order_no),
        content=problem or Text(gettext_noop("%(refund)s gives back ¥%(yuan)s; its quota is taken back."), **facts),
        key=f"console-refund:{order.order_no}:{status.refund_no}",
        about=order,
        platform=order.gateway,
    )
