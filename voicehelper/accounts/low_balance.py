"""Telling a user by mail, once, that the balance fell to a threshold of theirs.

Nothing is added to what moves quota: the clock compares. A notice is armed while the balance is above its threshold;
the mail is written down in the transaction that disarms it, so there is one for each fall, whoever looks and whatever
dies. What falls and rises again between two looks is not told.
"""

from decimal import Decimal
from fractions import Fraction

from django.db import transaction
from django.db.models import F, QuerySet

from voicehelper.wallet.services import MAX_QUOTA, wallet_of
from voicehelper.wallet.worth import list_price

from . import letters
from .models import LowBalanceNotice, User


class NoAddress(Exception):
    """The user has no confirmed address that a notice could be mailed to."""


class ThresholdRefused(Exception):
    """It is not an amount that a balance can have."""


def quota_for(yuan: Decimal) -> int:
    """How much quota costs so much at today's list price, rounded down. Raises ThresholdRefused."""
    rate = list_price().yuan_per_quota
    if not rate:
        raise ThresholdRefused
    return int(Fraction(yuan) / rate)


def notice_of(user: User) -> LowBalanceNotice | None:
    """What the user asked for; None: nothing."""
    return LowBalanceNotice.objects.filter(user=user).first()


def ask_for_notice(user: User, threshold: int) -> None:
    """Tell the user from now on when the balance falls to `threshold` quota. Raises NoAddress, ThresholdRefused."""
    if not 0 <= threshold <= MAX_QUOTA:
        raise ThresholdRefused
    if not (user.email and user.email_verified_at):
        raise NoAddress
    armed = wallet_of(user).balance > threshold
    LowBalanceNotice.objects.update_or_create(user=user, defaults={"threshold": threshold, "armed": armed})


def end_notice(user: User) -> None:
    LowBalanceNotice.objects.filter(user=user).delete()


def tell() -> int:
    """Mail those whose balance fell to their threshold, and arm what rose above. Returns how many mails."""
    LowBalanceNotice.objects.filter(armed=False, user__wallet__balance__gt=F("threshold")).update(armed=True)
    told = 0
    while _tell_one():
        told += 1
    return told


def _due() -> QuerySet[LowBalanceNotice]:
    return LowBalanceNotice.objects.filter(
        armed=True,
        user__wallet__balance__lte=F("threshold"),
        user__email_verified_at__isnull=False,
        user__is_active=True,
    ).exclude(user__email="")


@transaction.atomic
def _tell_one() -> bool:
    """Disarmed and written down together."""
    due = _due().select_related("user__wallet").select_for_update(of=("self",), skip_locked=True).first()
    if due is None:
        return False
    LowBalanceNotice.objects.filter(pk=due.pk).update(armed=False)
    letters.low_balance(due.user, due.user.wallet.balance, due.threshold)
    return True
