"""manage.py reconcile: a day's bills beside our books. Exit 0: they agree; 1: differences; 2: no usable bill."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from topup.gateways import GATEWAYS
from topup.models import Difference, Reconciliation
from topup.money import yuan
from topup.services.reconciliation import (
    Merchant,
    NoBill,
    ReconciliationUnderWay,
    merchants_of,
    merchants_of_day,
    reconcile,
)

_LINE_CHARS = 200


class Command(BaseCommand):
    help = (
        "Compare a payment platform's bills of a Beijing day with our books, and put right what is safe: of every"
        " merchant that had a part in the day, or of one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--gateway", required=True, choices=sorted(GATEWAYS))
        parser.add_argument("--date", required=True, help="A day of Beijing: YYYY-MM-DD.")
        parser.add_argument("--merchant", default="", help="Only the bill of this merchant number.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            day = date.fromisoformat(options["date"])
        except ValueError:
            problem = f"{options['date']!r} is no day. Write a day of Beijing like 2026-11-21."
            raise CommandError(problem, returncode=2) from None
        gateway = options["gateway"]
        with translation.override("en"):
            try:
                merchants = self._merchants(gateway, day, options["merchant"])
            except NoBill as problem:
                self.stderr.write(f"{gateway} {day}: {problem}")
                sys.exit(2)
            if code := max(self._reconcile(merchant, day) for merchant in merchants):
                sys.exit(code)

    def _merchants(self, gateway: str, day: date, number: str) -> list[Merchant]:
        if not number:
            return merchants_of_day(gateway, day)
        chosen = [merchant for merchant in merchants_of(gateway) if merchant.merchant_id == number]
        if not chosen:
            raise NoBill(f"No account of ours is of merchant {number}.")
        return chosen

    def _reconcile(self, merchant: Merchant, day: date) -> int:
        """The exit code."""
        title = f"{merchant.gateway} {merchant.merchant_id} {day}"
        try:
            found = reconcile(merchant, day, actor="manage.py")
        except (NoBill, ReconciliationUnderWay) as problem:
            self.stderr.write(f"{title}: {problem}")
            return 2
        for line in _report(found):
            self.stdout.write(line)
        if found.state == Reconciliation.State.DIFFERS:
            count = found.differences.filter(state=Difference.State.OPEN).count()
            self.stdout.write(self.style.ERROR(f"{title}: {count} differences are open."))
            return 1
        self.stdout.write(self.style.SUCCESS(f"{title}: the bill and our books agree."))
        return 0


def _report(day: Reconciliation) -> Iterable[str]:
    """The totals side by side, then each difference."""
    yield f"{'':10}{'theirs':>24}{'ours':>24}{'theirs - ours':>24}"
    for name in ("payments", "refunds"):
        theirs, ours = (getattr(day, f"{side}_{name}") for side in ("theirs", "ours"))
        theirs_fen, ours_fen = (getattr(day, f"{side}_{name}_fen") for side in ("theirs", "ours"))
        cells = [_cell(theirs, theirs_fen), _cell(ours, ours_fen), _cell(theirs - ours, theirs_fen - ours_fen)]
        yield f"{name:10}" + "".join(f"{cell:>24}" for cell in cells)
    for whose, sums in day.apart.items():
        parts = [f"{sums[name]:,} {name} / {_money(sums[f'{name}_fen'])}" for name in ("payments", "refunds")]
        yield f"not ours, {Reconciliation.Apart(whose).label.lower()}: {', '.join(parts)}"
    for label, said, found in day.remarks:
        yield f"{label} in the file: {said}; its rows add up to {found}"
    shown = day.differences.exclude(state=Difference.State.VANISHED).order_by("pk")
    for difference in shown.iterator():
        numbers = " ".join(filter(None, [difference.order_no, difference.refund_no, difference.transaction_no]))
        if difference.text:
            where = f"line {difference.line} {numbers}".rstrip()
            shown_text = " ".join(difference.text.split())[:_LINE_CHARS]
            yield f"{difference.get_state_display()}: {difference.get_kind_display()}: {where}: {shown_text}"
            continue
        sums = f"theirs {_money(difference.theirs_fen)}, ours {_money(difference.ours_fen)}"
        note = f" ({difference.note})" if difference.note else ""
        yield f"{difference.get_state_display()}: {difference.get_kind_display()}: {numbers}: {sums}{note}"


def _cell(count: int, amount_fen: int) -> str:
    return f"{count:,} / {_money(amount_fen)}"


def _money(amount_fen: int | None) -> str:
    if amount_fen is None:
        return "-"
    return f"{'-' if amount_fen < 0 else ''}{yuan(abs(amount_fen))}"
