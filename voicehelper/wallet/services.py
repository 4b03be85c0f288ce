"""Moving quota: credit, adjust, hold, capture, release. Each is one of the statements in statements.py, for one caller.

What is locked stays locked until the caller's transaction ends, so entries of one wallet are written in the order of
their ids.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError

from .models import Entry, Hold, Wallet
from .statements import HOLD, POST, REAP, SETTLE, run

MAX_QUOTA = 2**62
# After so many seconds what was counted in one of them is more than a minute ago.
WINDOW_S = 61


class InsufficientQuota(Exception):
    """The wallet's available quota does not cover the amount."""


class BudgetSpent(Exception):
    """A budget does not cover the call: its `limit`, which is quota, rpm or tpm. `room` is what HOLD says of it."""

    def __init__(self, limit: str, tokens: int, room: Mapping[str, Any]) -> None:
        super().__init__(limit)
        self.limit = limit
        self.rpm, self.calls_left = room["rpm"], room["calls_left"]
        self.tpm, self.tokens_left = room["tpm"], room["tokens_left"]
        self.tokens = tokens
        self.wait_s = _wait_s(limit, tokens, room)


def _wait_s(limit: str, tokens: int, room: Mapping[str, Any]) -> int:
    """Seconds until it would be covered; 0: waiting does not help."""
    if limit == "quota":
        return max(1, int(room["ends_s"]) - int(room["now_s"])) if room["ends_s"] else 0
    counted, missing = ("c", 1 - room["calls_left"]) if limit == "rpm" else ("t", tokens - room["tokens_left"])
    if limit == "tpm" and tokens > room["tpm"]:
        return 0
    for second in room["lately"]:
        missing -= second[counted]
        if missing <= 0:
            return max(1, int(second["s"]) + WINDOW_S - int(room["now_s"]))
    return WINDOW_S


class KeyRoom(NamedTuple):
    """What the limits of a budget leave for the next minute: calls and tokens it may have (None: any number), and how
    many of them are left."""

    rpm: int | None
    tpm: int | None
    calls_left: int | None
    tokens_left: int | None


class HoldNotOpen(Exception):
    """The hold was captured, released or never made."""


class AlreadyWritten(IntegrityError):
    """The reference is used: what is asked for was done before."""


class Settled(NamedTuple):
    """What came of a settlement: quota taken, quota the wallet did not cover, and whether it happened just now."""

    charged: int
    uncollected: int
    fresh: bool


# How entries call the owner of their wallet.
OWNER = "user:"


def as_actor(user_id: int) -> str:
    """What entries call a user who spends or redeems what is theirs: a number. Entries stay as they are for ever, and
    accounts may be deleted."""
    return f"{OWNER}{user_id}"


def wallet_of(user: AbstractUser) -> Wallet:
    """The user's wallet, made on first use."""
    if wallet := Wallet.objects.filter(user_id=user.pk).first():
        return wallet
    # Two who make it at once both find it.
    Wallet.objects.bulk_create([Wallet(user_id=user.pk)], ignore_conflicts=True)
    return Wallet.objects.get(user_id=user.pk)


def credit(user: AbstractUser, amount: int, *, kind: Entry.Kind, ref: str, actor: str, reason: str = "") -> Entry:
    """Add quota. Raises ValueError unless 0 < amount <= 2**62, AlreadyWritten when (kind, ref) was written before."""
    if not 0 < amount <= MAX_QUOTA:
        raise ValueError(f"A credit is between 1 and {MAX_QUOTA} quota, not {amount}.")
    return _post(user, amount, kind, ref, actor, reason)


def adjust(user: AbstractUser, amount: int, *, ref: str, actor: str, reason: str) -> Entry:
    """Give quota, or take it (amount < 0), at most what is available. Raises InsufficientQuota; else as `credit`."""
    if not 0 < abs(amount) <= MAX_QUOTA:
        raise ValueError(f"An adjustment is between 1 and {MAX_QUOTA} quota, not {amount}.")
    return _post(user, amount, Entry.Kind.ADJUST, ref, actor, reason)


def _post(user: AbstractUser, amount: int, kind: Entry.Kind, ref: str, actor: str, reason: str) -> Entry:
    wallet = wallet_of(user)
    asked = {"user_id": wallet.user_id, "amount": amount, "kind": kind, "ref": ref, "actor": actor, "reason": reason}
    return _entry(run(POST, asked), kind, ref)


def _entry(told: dict[str, Any], kind: Entry.Kind, ref: str) -> Entry:
    if told["known"]:
        raise AlreadyWritten(f"{kind} {ref} was written before.")
    if told["entry"] is None:
        raise InsufficientQuota
    return Entry.objects.get(pk=told["entry"])


def hold(user: AbstractUser, amount: int, *, ref: str, life: timedelta) -> Hold:
    """Set quota aside. Raises InsufficientQuota, ValueError; AlreadyWritten when `ref` is taken."""
    if not 0 < amount <= MAX_QUOTA:
        raise ValueError(f"A hold is between 1 and {MAX_QUOTA} quota, not {amount}.")
    if not _set_aside(user, amount, ref, life, up_to=False):
        raise InsufficientQuota
    return Hold.objects.get(ref=ref)


def hold_up_to(user: AbstractUser, amount: int, *, ref: str, life: timedelta) -> int:
    """Set aside what is available, at most `amount`; how much it was. 0: nothing was there, and there is no hold."""
    return _set_aside(user, amount, ref, life, up_to=True)


def _set_aside(user: AbstractUser, amount: int, ref: str, life: timedelta, *, up_to: bool) -> int:
    asked = {"n": 0, "user_id": wallet_of(user).user_id, "ref": ref, "amount": amount, "up_to": up_to}
    ((_n, some, _remaining, fresh),) = run(HOLD, [{**asked, "life_s": int(life.total_seconds())}])
    if not fresh:
        raise AlreadyWritten(f"Hold {ref} was made before.")
    return int(some)


def capture(ref: str, amount: int, *, kind: Entry.Kind, actor: str, reason: str = "") -> Entry | None:
    """End a hold by taking `amount` of it (0 to the amount held) and releasing the rest.

    None when nothing was taken. Raises HoldNotOpen, ValueError.
    """
    if amount < 0 or not _end(ref, amount, kind, actor, reason):
        held = Hold.objects.filter(ref=ref, state=Hold.State.OPEN).first()
        if held is None:
            raise HoldNotOpen(ref)
        raise ValueError(f"A capture is between 0 and the {held.amount} quota held, not {amount}.")
    return Entry.objects.get(kind=kind, ref=ref) if amount else None


def release(ref: str) -> None:
    """End a hold without taking anything. Raises HoldNotOpen."""
    if not _end(ref, 0, Entry.Kind.SPEND, "", ""):
        raise HoldNotOpen(ref)


def _end(ref: str, amount: int, kind: Entry.Kind, actor: str, reason: str) -> bool:
    """False: it is not open, or smaller than the amount."""
    asked = {"n": 0, "ref": ref, "amount": amount, "kind": kind, "actor": actor, "reason": reason, "within": True}
    ((_n, _charged, _uncollected, fresh),) = run(SETTLE, [asked])
    return bool(fresh)


def reap_holds(limit: int = 500) -> int:
    """Release holds whose time is over; returns how many."""
    return int(run(REAP, {"limit": limit}))
