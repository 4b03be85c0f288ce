"""Every order counted against the stand-ins' books, which are the truth: what was paid there and what went back."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.db.models import Count as CountOf
from django.db.models import Max, OuterRef, Subquery, Sum

from sandbox.models import Delivery, RefundState, Trade, TradeState
from sandbox.models import Refund as ProviderRefund
from topup.models import Order
from voicehelper.wallet.models import Entry


class Wrong(StrEnum):
    """What may be wrong with an order."""

    LOST = "lost"
    DOUBLE = "double"
    AFTER_REFUND = "credited after a full refund"
    # In all, not what was paid and not given back.
    OFF = "another sum"
    UNPAID = "credited unpaid"
    UNKNOWN = "no order here"
    # Written from a balance that was not the latest: what came between is gone.
    OVERWRITTEN = "overwritten"


@dataclass
class Fate:
    """What became of one order: there in fen, and here in quota. `credits` are the entries that credited it, `broken`
    those that do not continue the balance; `told_at` is when we had acknowledged the notices of all its refunds."""

    order_no: str
    paid_fen: int = 0
    back_fen: int = 0
    told_at: datetime | None = None
    order: Order | None = None
    credits: int = 0
    kept: int = 0
    broken: int = 0

    @property
    def fair(self) -> int:
        """What its buyer may keep."""
        if self.order is None or not self.paid_fen:
            return 0
        return self.order.quota - self.order.quota * self.back_fen // self.paid_fen

    @property
    def credited_after_refund(self) -> bool:
        """Kept although all of it went back; or taken back by now, and credited although that was known here."""
        if not (self.order and self.credits) or not 0 < self.paid_fen <= self.back_fen:
            return False
        told = self.told_at is not None and self.order.credited_at is not None and self.told_at < self.order.credited_at
        return bool(self.kept) or self.order.given_back or told

    def wrongs(self) -> Iterator[Wrong]:
        back = bool(self.paid_fen) and self.back_fen >= self.paid_fen
        if self.paid_fen and self.order is None:
            yield Wrong.UNKNOWN
        elif self.paid_fen and not back and not self.credits:
            yield Wrong.LOST
        elif self.credits > 1:
            yield Wrong.DOUBLE
        elif self.credits and not self.paid_fen:
            yield Wrong.UNPAID
        elif self.credited_after_refund:
            yield Wrong.AFTER_REFUND
        elif self.kept != self.fair:
            yield Wrong.OFF
        if self.broken:
            yield Wrong.OVERWRITTEN


@dataclass(frozen=True)
class Count:
    """All fates, and the orders of which something is wrong."""

    fates: list[Fate]
    wrong: dict[Wrong, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def facts(self) -> Counter[str]:
        """How many orders came to what."""
        said: Counter[str] = Counter()
        for fate in self.fates:
            said["paid"] += bool(fate.paid_fen)
            said["given back in full"] += 0 < fate.paid_fen <= fate.back_fen
            said["given back in part"] += 0 < fate.back_fen < fate.paid_fen
            said["credited"] += bool(fate.credits)
            said["credited and taken back whole"] += bool(fate.credits) and not fate.kept
            if fate.order is not None and fate.credits:
                said[f"credited through {fate.order.credited_by}"] += 1
                said["credited late"] += fate.order.paid_late
        return said


def counted() -> Count:
    """Now."""
    fates = _fates()
    count = Count(list(fates.values()))
    for fate in count.fates:
        for wrong in fate.wrongs():
            count.wrong[wrong].append(fate.order_no)
    return count


def lost_before_the_bill() -> list[str]:
    """Paid, of which nothing went back, and not credited although nobody is missing but the bill."""
    return [fate.order_no for fate in _fates().values() if Wrong.LOST in fate.wrongs() and not fate.back_fen]


def _fates() -> dict[str, Fate]:
    fates = {order.order_no: Fate(order.order_no, order=order) for order in Order.objects.all()}
    paid = Trade.objects.filter(state=TradeState.PAID).values_list("out_trade_no", "amount_fen")
    for number, fen in paid:
        fates.setdefault(number, Fate(number)).paid_fen += fen
    back = ProviderRefund.objects.filter(state=RefundState.SUCCEEDED).values_list("trade__out_trade_no")
    parts = {}
    for number, fen, count in back.annotate(fen=Sum("amount_fen"), count=CountOf("pk")):
        fates[number].back_fen, parts[number] = fen, count
    for number, told_at, notices in _told():
        if notices == parts[number]:
            fates[number].told_at = told_at
    _read_entries(fates, Entry.objects.order_by("wallet_id", "pk").iterator())
    return fates


def _told() -> Iterable[tuple[str, datetime, int]]:
    """By order number: when the last notice of a refund was acknowledged, and how many were. Each tells of its own part
    only; what is announced since the first refund is a refund."""
    done = ProviderRefund.objects.filter(state=RefundState.SUCCEEDED, trade=OuterRef("trade"))
    first = done.order_by("finished_at").values("finished_at")[:1]
    told = Delivery.objects.filter(acknowledged_at__isnull=False, created_at__gte=Subquery(first))
    return told.values_list("trade__out_trade_no").annotate(last=Max("acknowledged_at"), notices=CountOf("pk"))


def _read_entries(fates: dict[str, Fate], entries: Iterable[Entry]) -> None:
    balances: Counter[int] = Counter()
    for entry in entries:
        # A refund's reference is R, the order's number, and its own number in two digits.
        number = entry.ref if entry.kind == Entry.Kind.TOPUP else entry.ref[1:-2]
        fate = fates.setdefault(number, Fate(number))
        fate.credits += entry.kind == Entry.Kind.TOPUP
        fate.kept += entry.amount
        fate.broken += entry.balance_after != balances[entry.wallet_id] + entry.amount
        balances[entry.wallet_id] = entry.balance_after
