"""A statement as people read it: what it is worth first, the quota beside it; Beijing time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import groupby

from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.numbers import grouped
from voicehelper.periods import calendar_periods

from .account_statement import LineKind, PeriodSums, StatementLine
from .models import Hold, Wallet
from .origins import LineOrigin, calls_of, origins_of
from .worth import change_in_yuan, in_yuan

_NO_ORIGIN = LineOrigin()


@dataclass(frozen=True)
class ShownAmount:
    """`yuan` with its sign, if it is a change; `quota` likewise."""

    yuan: str
    quota: str
    loss: bool = False


@dataclass(frozen=True)
class ShownLine:
    """A line of the table. `url` opens what it is about: the calls of a day, an order."""

    line: StatementLine
    kind: str
    text: str
    note: str
    url: str
    receipt: str
    number: str
    change: ShownAmount
    balance: ShownAmount


@dataclass(frozen=True)
class ShownPeriod:
    """A day, week or month; `url` opens its changes."""

    label: str
    url: str
    opening: ShownAmount
    changes: Sequence[tuple[str, ShownAmount]]
    closing: ShownAmount


@dataclass(frozen=True)
class ShownHold:
    """Quota that is set aside, and for what."""

    hold: Hold
    text: str
    url: str
    amount: ShownAmount


def balance(quota: int, rate: Fraction) -> ShownAmount:
    return ShownAmount(f"¥{in_yuan(quota, rate)}", grouped(quota))


def change(quota: int, rate: Fraction) -> ShownAmount:
    return ShownAmount(change_in_yuan(quota, rate), f"{quota:+,}".replace("-", "−"), loss=quota < 0)


def changes(found: Mapping[LineKind, int], rate: Fraction) -> list[tuple[str, ShownAmount]]:
    return [(str(kind.label), change(quota, rate)) for kind, quota in found.items()]


def lines(found: Sequence[StatementLine], rate: Fraction) -> list[ShownLine]:
    """Lines with what they are about, asked for once per kind."""
    origins: dict[tuple[LineKind, str], LineOrigin] = {}
    for kind, members in groupby(sorted(found, key=lambda line: line.kind), key=lambda line: line.kind):
        named = origins_of(kind, {line.ref for line in members if line.ref})
        origins |= {(kind, ref): origin for ref, origin in named.items()}
    return [_line(line, origins.get((line.kind, line.ref), _NO_ORIGIN), rate) for line in found]


def _line(line: StatementLine, origin: LineOrigin, rate: Fraction) -> ShownLine:
    spent = line.kind == LineKind.SPEND
    calls = _("%(count)s calls") % {"count": grouped(line.calls)} if spent else ""
    return ShownLine(
        line=line,
        kind=str(line.kind.label),
        text=line.model if spent else origin.text,
        note=calls,
        url=calls_of(line.day, line.model) if spent else origin.url,
        receipt=origin.receipt if line.kind == LineKind.TOPUP else "",
        number=origin.number,
        change=change(line.amount, rate),
        balance=balance(line.balance, rate),
    )


def periods(found: Sequence[PeriodSums], by: str, rate: Fraction) -> list[ShownPeriod]:
    return [
        ShownPeriod(
            label=_label(each, by),
            url=f"?from={each.first}&to={each.last}",
            opening=balance(each.opening, rate),
            changes=changes(each.changes, rate),
            closing=balance(each.closing, rate),
        )
        for each in found
    ]


def _label(sums: PeriodSums, by: str) -> str:
    if by == "month":
        return f"{sums.first:%Y-%m}"
    return f"{sums.first}" if by == "day" else f"{sums.first} – {sums.last:%m-%d}"


def holds(wallet: Wallet, rate: Fraction, most: int) -> list[ShownHold]:
    """What is set aside of the balance, newest first: for calls that run, and refunds that are on their way."""
    found = list(wallet.holds.filter(state=Hold.State.OPEN).order_by("-pk")[:most]) if wallet.held else []
    refunds = origins_of(LineKind.REFUND, {hold.ref for hold in found})
    running = LineOrigin(_("A call that is running"))
    named = [(hold, refunds.get(hold.ref, running)) for hold in found]
    return [ShownHold(hold, origin.text, origin.url, balance(hold.amount, rate)) for hold, origin in named]


def quick_periods(today: date) -> list[tuple[str, str, str]]:
    """Periods to choose with a click: label, first and last day."""
    named = calendar_periods(today)
    return [
        *((label, f"{first}", f"{last}") for label, first, last in (named["30"], named["month"], named["last_month"])),
        (_("This year"), f"{today.replace(month=1, day=1)}", f"{today}"),
        (_("Everything"), "", ""),
    ]


def moment(line: StatementLine) -> str:
    """For files and programs: Beijing time where it is known, else the day."""
    return clock.beijing_iso(line.at) or f"{line.day}"
