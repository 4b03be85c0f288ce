"""manage.py reconcile: a day's bill beside our books. Exit 0: they agree; 1: differences; 2: no usable bill."""

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
from topup.services.reconciliation import NoBill, ReconciliationUnderWay, reconcile

_LINE_CHARS = 200


class Command(BaseCommand):
    help = "Compare a payment platform's bill of a Beijing day with our books, and put right what is safe."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--gateway", required=True, choices=sorted(GATEWAYS))
        parser.add_argument("--date", required=True, help="A day of Beijing: YYYY-MM-DD.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            day = date.fromisoformat(options["date"])
        except ValueError:
            problem = f"{options['date']!r} is no day. Write a day of Beijing like 2026-11-21."
            raise CommandError(problem, returncode=2) from None
        with translation.override("en"):
            self._reconcile(options["gateway"], day)

    def _reconcile(self, gateway: str, day: date) -> None:
        try:
            found = reconcile(gateway, day, actor="manage.py")
        except (NoBill, ReconciliationUnderWay) as problem:
            self.stderr.write(f"{gateway} {day}: {problem}")
            sys.exit(2)
        for line in _report(found):
            self.stdout.write(line)
        if found.state == Reconciliation.State.DIFFERS:
            count = found.differences.filter(state=Difference.State.OPEN).count()
            self.stdout.write(self.style.ERROR(f"{gateway} {day}: {count} differences are open."))
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS(f"{gateway} {day}: the bill and our books agree."))


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
