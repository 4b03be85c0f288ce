"""Quota by an operator's word: asked for with a reason, agreed to by a second person above the limit, then one entry.

The limit looks at what belongs together, so that nobody passes it in parts: what was given to and taken from one wallet
within a day, and what one operator did alone within a day. Whatever was not withdrawn counts, in either direction.
"""

from datetime import timedelta

from django.contrib.auth.models import AbstractUser
from django.db import transaction
from django.db.models import Max, Q, Sum
from django.db.models.functions import Abs, Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text

from .models import Adjustment, Wallet, WalletSettings
from .services import MAX_QUOTA, InsufficientQuota, adjust, as_actor

COUNTED_FOR = timedelta(days=1)


class AdjustmentRefused(Exception):
    """It cannot be done; the text says why, to the operator."""


def next_number(wallet: Wallet) -> int:
    """The number of a wallet's next adjustment: what a form carries, so that sending it twice adjusts once."""
    return (wallet.adjustments.aggregate(last=Max("number"))["last"] or 0) + 1


def counted_quota(wallet: Wallet, actor: AbstractUser) -> int:
    """How much of the limit an operator's next adjustment of a wallet finds used up."""
    lately = Adjustment.objects.filter(created__gt=Now() - COUNTED_FOR).exclude(state=Adjustment.State.WITHDRAWN)
    together = (Q(wallet=wallet), Q(requested_by=actor.get_username(), needs_approval=False))
    return max(lately.filter(some).aggregate(quota=Sum(Abs("amount")))["quota"] or 0 for some in together)


def request_adjustment(wallet: Wallet, amount: int, *, number: int, actor: AbstractUser, reason: str) -> Adjustment:
    """Give `amount` of quota, or take it (below 0); above the limit a second person must agree first, unless a
    superuser asks. Raises AdjustmentRefused.

    `number` is `next_number` as the operator saw it: the same request twice is one, and what somebody else did
    meanwhile is noticed.
    """
    reason = reason.strip()[:200]
    if not reason:
        raise AdjustmentRefused(_("Say why: the reason is kept with the record."))
    if not 0 < abs(amount) <= MAX_QUOTA:
        raise AdjustmentRefused(_("Write how much quota as a whole number above 0."))
    with transaction.atomic():
        # Locked to the end: what is asked for at once waits in turn, and finds numbers and sums as they are then.
        limit = WalletSettings.locked().approve_adjustments_above
        known = wallet.adjustments.filter(number=number).first()
        if known and (known.amount, known.requested_by, known.reason) == (amount, actor.get_username(), reason):
            return known
        if number != next_number(wallet):
            raise AdjustmentRefused(_("Something changed meanwhile: look at the wallet again."))
        _check_available(wallet, amount)
        waits = not actor.is_superuser and abs(amount) + counted_quota(wallet, actor) > limit
        made = Adjustment.objects.create(
            wallet=wallet,
            number=number,
            amount=amount,
            reason=reason,
            state=Adjustment.State.WAITING if waits else Adjustment.State.DONE,
            requested_by=actor.get_username(),
            needs_approval=waits,
        )
        if not waits:
            _carry_out(made)
    return made


def approve_adjustment(adjustment: Adjustment, *, by: AbstractUser) -> None:
    """A second person agrees: it is done. Raises AdjustmentRefused."""
    if adjustment.requested_by == by.get_username():
        raise AdjustmentRefused(_("Somebody else must approve what you asked for."))
    with transaction.atomic():
        _decide(adjustment, Adjustment.State.DONE, by)
        _carry_out(adjustment)


def withdraw_adjustment(adjustment: Adjustment, *, by: AbstractUser) -> None:
    """Give up one that still waits. Raises AdjustmentRefused."""
    _decide(adjustment, Adjustment.State.WITHDRAWN, by)


def give_up(wallet: Wallet, *, reason: str) -> Adjustment | None:
    """Take all that is available, because its owner gives it up; None: there is nothing. In a transaction."""
    # Locked: nothing comes or goes until it is done.
    row = Wallet.objects.select_for_update(no_key=True).get(pk=wallet.pk)
    if not row.available:
        return None
    facts = {"reason": reason, "requested_by": as_actor(row.user_id), "needs_approval": False}
    made = Adjustment.objects.create(
        wallet=row, number=next_number(row), amount=-row.available, state=Adjustment.State.DONE, **facts
    )
    adjust(row.user, made.amount, ref=made.ref, actor=made.requested_by, reason=reason)
    return made


def _decide(adjustment: Adjustment, state: Adjustment.State, by: AbstractUser) -> None:
    waiting = Adjustment.objects.filter(pk=adjustment.pk, state=Adjustment.State.WAITING)
    if not waiting.update(state=state, decided_by=by.get_username()):
        raise AdjustmentRefused(_("It does not wait for approval any more."))
    adjustment.refresh_from_db()


def _carry_out(adjustment: Adjustment) -> None:
    """The entry, and the alert that tells the others."""
    facts = {"ref": adjustment.ref, "actor": adjustment.requested_by, "reason": adjustment.reason}
    try:
        adjust(adjustment.wallet.user, adjustment.amount, **facts)
    except InsufficientQuota:
        _check_available(Wallet.objects.get(pk=adjustment.wallet_id), adjustment.amount)
        raise
    who = {"who": adjustment.requested_by, "reason": adjustment.reason}
    alone = Text(gettext_noop("By %(who)s: %(reason)s"), **who)
    agreed = Text(gettext_noop("By %(who)s, approved by %(other)s: %(reason)s"), **who, other=adjustment.decided_by)
    amount = f"{adjustment.amount:+,}"
    raise_alert(
        "quota_adjusted",
        title=Text(gettext_noop("%(wallet)s: %(amount)s quota by hand"), wallet=adjustment.wallet, amount=amount),
        content=agreed if adjustment.decided_by else alone,
        key=adjustment.ref,
        about=adjustment.wallet,
    )


def _check_available(wallet: Wallet, amount: int) -> None:
    available = Wallet.objects.get(pk=wallet.pk).available
    if available + amount < 0:
        text = _("No more can be taken than the %(available)s quota that are available.")
        raise AdjustmentRefused(text % {"available": f"{available:,}"})
