"""Moving quota: credit, debit, hold, capture, release. Each is one statement that decides, then the line that says so.

Admission is always the conditional UPDATE itself, never a balance that was read before. The updated row stays locked
until the caller's transaction ends, so entries of one wallet are written in the order of their ids. batch.py does holds
and settlements for many at once, by the same rules.
"""

from datetime import timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from voicehelper import clock
from voicehelper.accounts.models import User

from .models import Entry, Hold, Wallet

MAX_QUOTA = 2**62


class InsufficientQuota(Exception):
    """The wallet's available quota does not cover the amount."""


class HoldNotOpen(Exception):
    """The hold was captured, released or never made."""


class Settled(NamedTuple):
    """What came of a settlement: quota taken, quota the wallet did not cover, and whether it happened just now."""

    charged: int
    uncollected: int
    fresh: bool


def wallet_of(user: User) -> Wallet:
    """The user's wallet, made on first use."""
    return Wallet.objects.filter(user=user).first() or Wallet.objects.get_or_create(user=user)[0]


def credit(user: User, amount: int, *, kind: Entry.Kind, ref: str, actor: str, reason: str = "") -> Entry:
    """Add quota. Raises ValueError unless 0 < amount <= 2**62, IntegrityError when (kind, ref) was written before."""
    if not 0 < amount <= MAX_QUOTA:
        raise ValueError(f"A credit is between 1 and {MAX_QUOTA} quota, not {amount}.")
    with transaction.atomic():
        wallet = wallet_of(user)
        Wallet.objects.filter(pk=wallet.pk).update(balance=F("balance") + amount)
        return _write(wallet, kind, amount, ref, actor, reason)


def debit(user: User, amount: int, *, kind: Entry.Kind, ref: str, actor: str, reason: str = "") -> Entry:
    """Take quota that is not held. Raises InsufficientQuota, ValueError, or IntegrityError as `credit` does."""
    if not 0 < amount <= MAX_QUOTA:
        raise ValueError(f"A debit is between 1 and {MAX_QUOTA} quota, not {amount}.")
    with transaction.atomic():
        wallet = wallet_of(user)
        enough = Wallet.objects.filter(pk=wallet.pk, balance__gte=F("held") + amount)
        if not enough.update(balance=F("balance") - amount):
            raise InsufficientQuota
        return _write(wallet, kind, -amount, ref, actor, reason)


def hold(user: User, amount: int, *, ref: str, life: timedelta) -> Hold:
    """Set quota aside. Raises InsufficientQuota, ValueError; IntegrityError when `ref` is taken."""
    if not 0 < amount <= MAX_QUOTA:
        raise ValueError(f"A hold is between 1 and {MAX_QUOTA} quota, not {amount}.")
    with transaction.atomic():
        wallet = wallet_of(user)
        enough = Wallet.objects.filter(pk=wallet.pk, balance__gte=F("held") + amount)
        if not enough.update(held=F("held") + amount):
            raise InsufficientQuota
        return Hold.objects.create(wallet=wallet, ref=ref, amount=amount, expires_at=clock.now() + life)


def hold_up_to(user: User, amount: int, *, ref: str, life: timedelta) -> int:
    """Set aside what is available, at most `amount`; how much it was. 0: nothing was there, and there is no hold."""
    with transaction.atomic():
        wallet = Wallet.objects.select_for_update().get(pk=wallet_of(user).pk)
        some = min(amount, wallet.available)
        if some > 0:
            hold(user, some, ref=ref, life=life)
        return max(some, 0)


def capture(ref: str, amount: int, *, kind: Entry.Kind, actor: str, reason: str = "") -> Entry | None:
    """End a hold by taking `amount` of it (0 to the amount held) and releasing the rest.

    None when nothing was taken. Raises HoldNotOpen, ValueError.
    """
    with transaction.atomic():
        held = _end(ref, Hold.State.CAPTURED)
        if not 0 <= amount <= held.amount:
            raise ValueError(f"A capture is between 0 and the {held.amount} quota held, not {amount}.")
        spent = amount if kind == Entry.Kind.SPEND else 0
        Wallet.objects.filter(pk=held.wallet_id).update(
            held=F("held") - held.amount, balance=F("balance") - amount, used=F("used") + spent
        )
        return _write(held.wallet, kind, -amount, ref, actor, reason) if amount else None


def settle(ref: str, amount: int, *, actor: str, reason: str = "") -> Settled:
    """End a hold by charging what was used, 0 included, also when that is more than was held.

    Charged is at most the hold and what else is available; the rest is `uncollected`. A hold that is no longer open is
    not charged again: then the answer says what was charged before.
    """
    with transaction.atomic():
        try:
            held = _end(ref, Hold.State.CAPTURED if amount else Hold.State.RELEASED)
        except HoldNotOpen:
            before = Entry.objects.filter(kind=Entry.Kind.SPEND, ref=ref).values_list("amount", flat=True).first() or 0
            return Settled(-before, amount + before, fresh=False)
        # The row is locked by this update, so what is available is final.
        Wallet.objects.filter(pk=held.wallet_id).update(held=F("held") - held.amount)
        charge = min(amount, Wallet.objects.get(pk=held.wallet_id).available)
        if charge:
            Wallet.objects.filter(pk=held.wallet_id).update(balance=F("balance") - charge, used=F("used") + charge)
            _write(held.wallet, Entry.Kind.SPEND, -charge, ref, actor, reason)
        return Settled(charge, amount - charge, fresh=True)


def release(ref: str) -> None:
    """End a hold without taking anything. Raises HoldNotOpen."""
    with transaction.atomic():
        held = _end(ref, Hold.State.RELEASED)
        Wallet.objects.filter(pk=held.wallet_id).update(held=F("held") - held.amount)


def renew(ref: str, *, life: timedelta) -> bool:
    """Let an open hold live for `life` from now. False: it is not open."""
    return Hold.objects.filter(ref=ref, state=Hold.State.OPEN).update(expires_at=clock.now() + life) == 1


def reap_holds(limit: int = 500) -> int:
    """Release holds whose time is over; returns how many."""
    expired = Hold.objects.filter(state=Hold.State.OPEN, expires_at__lt=Now()).values_list("ref", flat=True)[:limit]
    reaped = 0
    for ref in list(expired):
        with transaction.atomic():
            try:
                # Renewed since it was read: then it is not ours.
                held = _end(ref, Hold.State.RELEASED, expires_at__lt=Now())
            except HoldNotOpen:
                continue
            Wallet.objects.filter(pk=held.wallet_id).update(held=F("held") - held.amount)
            reaped += 1
    return reaped


def _end(ref: str, state: Hold.State, **only: object) -> Hold:
    if not Hold.objects.filter(ref=ref, state=Hold.State.OPEN, **only).update(state=state):
        raise HoldNotOpen(ref)
    return Hold.objects.select_related("wallet").get(ref=ref)


def _write(wallet: Wallet, kind: Entry.Kind, amount: int, ref: str, actor: str, reason: str) -> Entry:
    """The statement line for a change just made; the wallet's row is locked by that change, so the balance is final."""
    balance = Wallet.objects.values_list("balance", flat=True).get(pk=wallet.pk)
    return Entry.objects.create(
        wallet=wallet, kind=kind, amount=amount, balance_after=balance, ref=ref, actor=actor, reason=reason
    )
