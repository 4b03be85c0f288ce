"""Surplus payments: kept when one is heard of, and over when all of it has gone back or somebody has settled it."""

from django.db.models import Q, Sum
from django.db.models.functions import Now

from ..gateways.orders import Receipt
from ..models import Difference, Order, Refund, SurplusPayment

_BY_ITSELF = "VoiceHelper"


def keep_surplus(order: Order, receipt: Receipt, *, source: str) -> SurplusPayment:
    """A payment of an order that another one has paid, by the provider's signed word, whoever hears of it first."""
    facts = {"amount_fen": receipt.amount_fen, "paid_at": receipt.paid_at, "found_by": source[:16]}
    return SurplusPayment.objects.get_or_create(order=order, transaction_id=receipt.transaction_id, defaults=facts)[0]


def note_of(transaction_id: str) -> str:
    """Why somebody has to look at an order that was paid again."""
    return f"Paid again with transaction {transaction_id}: this surplus payment must be given back."


def end_if_given_back(surplus: SurplusPayment) -> None:
    """Once all of it went back nobody has to look any more. Within the caller's transaction."""
    done = given_back_fen(surplus, Q(state=Refund.State.SUCCEEDED))
    if done >= surplus.amount_fen:
        _end(surplus, SurplusPayment.State.REFUNDED, actor=_BY_ITSELF, note="")


def settle_surplus(surplus: SurplusPayment, *, by: str, note: str) -> bool:
    """Note that it was given back, or seen to, outside of this system. False: it is not open any more."""
    return _end(surplus, SurplusPayment.State.SETTLED, actor=by, note=note[:300])


def _end(surplus: SurplusPayment, state: SurplusPayment.State, **facts: str) -> bool:
    still_open = SurplusPayment.objects.filter(pk=surplus.pk, state=SurplusPayment.State.OPEN)
    if not still_open.update(state=state, ended=Now(), **facts):
        return False
    Order.objects.filter(pk=surplus.order_id, review=note_of(surplus.transaction_id)).update(review="")
    there = Difference.objects.filter(order_no=surplus.order.order_no, transaction_id=surplus.transaction_id)
    there = there.filter(kind=Difference.Kind.PAID_TWICE, state=Difference.State.OPEN)
    ended = {
        SurplusPayment.State.REFUNDED: Difference.State.REPAIRED,
        SurplusPayment.State.SETTLED: Difference.State.SETTLED,
    }
    there.update(state=ended[state], ended=Now(), **facts)
    return True


def left_of(surplus: SurplusPayment) -> int:
    """Fen of it that have neither gone back nor are under way."""
    return surplus.amount_fen - given_back_fen(surplus, ~Q(state=Refund.State.FAILED))


def given_back_fen(surplus: SurplusPayment, which: Q) -> int:
    """Fen of it in some of its refunds."""
    return surplus.refunds.filter(which).aggregate(fen=Sum("amount_fen"))["fen"] or 0
