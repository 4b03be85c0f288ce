"""The second person: when one must agree to a refund, and what he can do.

The limit looks at what belongs together, so that nobody passes it in parts: what went back of an order ever, to its
user within a day, and on one operator's word alone within a day (docs/decisions.md). Whatever has not failed counts.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from voicehelper.accounts.models import User
from voicehelper.wallet.services import release

from ..models import Order, RechargeSettings, Refund
from .errors import RefundRefused

COUNTED_FOR = timedelta(days=1)


def needs_approval(order: Order, amount_fen: int, actor: User) -> bool:
    """Whether a refund goes above the limit, alone or with what counts together with it; a superuser's never does.

    In a transaction, of which the limit's row is locked to the end: parts that are asked for at once wait in turn.
    """
    if actor.is_superuser:
        return False
    limit_fen = RechargeSettings.locked().approve_refunds_above_fen
    return amount_fen + counted_fen(order, actor) > limit_fen


def counted_fen(order: Order, actor: User) -> int:
    """How much of the limit an operator's next refund of an order finds used up."""
    within_a_day = Q(created__gt=Now() - COUNTED_FOR)
    alone = Q(source=Refund.Source.ADMIN, requested_by=actor.get_username(), needs_approval=False)
    together = (Q(order=order), Q(order__user=order.user_id) & within_a_day, alone & within_a_day)
    alive = Refund.objects.exclude(state=Refund.State.FAILED)
    return max(alive.filter(some).aggregate(fen=Sum("amount_fen"))["fen"] or 0 for some in together)


def approve_refund(refund: Refund, *, by: User) -> None:
    """A second person agrees; the refund may be sent. Raises RefundRefused."""
    if refund.requested_by == by.get_username():
        raise RefundRefused(_("Somebody else must approve what you asked for."))
    waiting = Refund.objects.filter(pk=refund.pk, state=Refund.State.REQUESTED, needs_approval=True, approved_by="")
    if not waiting.update(approved_by=by.get_username(), next_ask_at=Now()):
        raise RefundRefused(_("It does not wait for approval any more."))
    refund.refresh_from_db()


def withdraw_refund(refund: Refund, *, by: User, reason: str) -> None:
    """Give up a refund that was never sent. Raises RefundRefused."""
    said = f"{by.get_username()}: {reason}"[:200]
    with transaction.atomic():
        unsent = refund.state == Refund.State.REQUESTED and refund.waits_for_approval
        if not unsent or not refund.move(Refund.State.FAILED, said=said, finished_at=Now(), next_ask_at=None):
            raise RefundRefused(_("It was sent already, or withdrawn."))
        if refund.quota:
            release(refund.ref)
