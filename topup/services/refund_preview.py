"""What a refund would do, for the second look before it is asked for."""

from dataclasses import dataclass

from django.db import transaction

from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

from ..models import Order, Refund, SurplusPayment
from .refund_sums import refundable_fen
from .refunding import request_refund
from .surplus import left_of


@dataclass(frozen=True)
class Preview:
    """A refund as it would be written down, and what would stay then: money of the order, quota of the user. `known`:
    it is there already, from an earlier try."""

    refund: Refund
    stays_fen: int
    stays_quota: int
    known: bool


def preview_refund(
    order: Order,
    amount_fen: int,
    *,
    number: int,
    actor: User,
    reason: str,
    take_what_is_left: bool = False,
    surplus: SurplusPayment | None = None,
) -> Preview:
    """`request_refund`, taken back at once: what is shown is what would be done. Raises RefundRefused as that does."""
    with transaction.atomic():
        refund = request_refund(
            order,
            amount_fen,
            number=number,
            actor=actor,
            reason=reason,
            take_what_is_left=take_what_is_left,
            surplus=surplus,
        )
        stays_fen = left_of(surplus) if surplus else refundable_fen(order)
        stays_quota = wallet_of(order.user).available
        transaction.set_rollback(True)
    known = Refund.objects.filter(pk=refund.pk).exists()
    return Preview(refund, stays_fen, stays_quota, known)
