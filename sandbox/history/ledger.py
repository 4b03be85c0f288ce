"""The wallets of the history: lines are noted in any order, and written in the order of their times."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate

from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry, Hold, Wallet

from . import MARK


@dataclass(frozen=True, order=True)
class Line:
    """An entry that is yet to be written."""

    at: datetime
    ref: str
    kind: str
    amount: int
    actor: str
    reason: str = MARK


@dataclass
class Ledger:
    """What each user's wallet went through."""

    _lines: dict[int, list[Line]] = field(default_factory=lambda: defaultdict(list))
    _holds: list[tuple[int, str, int, datetime, datetime]] = field(default_factory=list)

    def note(self, user: User, line: Line) -> None:
        self._lines[user.pk].append(line)

    def hold(self, user: User, ref: str, amount: int, *, at: datetime, until: datetime) -> None:
        """Quota that is set aside to this day."""
        self._holds.append((user.pk, ref, amount, at, until))

    def budget(self, user: User) -> "Budget":
        """What may be spent besides the lines noted so far."""
        lines = sorted(self._lines[user.pk])
        balances = list(accumulate((line.amount for line in lines), initial=0))
        held = sum(amount for pk, _ref, amount, _at, _until in self._holds if pk == user.pk)
        # At each moment, the least that the balance will ever be from there on.
        least = list(accumulate(reversed(balances), min))[::-1]
        return Budget([line.at for line in lines], [balance - held for balance in least])

    def save(self) -> None:
        entries = []
        for user, lines in self._lines.items():
            wallet = Wallet.objects.get_or_create(user_id=user)[0]
            for line in sorted(lines):
                wallet.balance += line.amount
                wallet.used -= line.amount if line.kind == Entry.Kind.SPEND else 0
                facts = {"ref": line.ref, "actor": line.actor, "reason": line.reason, "created": line.at}
                entry = Entry(wallet=wallet, kind=line.kind, amount=line.amount, balance_after=wallet.balance, **facts)
                entries.append(entry)
            holds = [
                Hold(wallet=wallet, ref=ref, amount=amount, created=at, expires_at=until)
                for pk, ref, amount, at, until in self._holds
                if pk == user
            ]
            wallet.held = sum(hold.amount for hold in holds)
            wallet.save()
            Hold.objects.bulk_create(holds)
        # By time, as they would have come: the newest rows are the latest.
        Entry.objects.bulk_create(sorted(entries, key=lambda entry: entry.created))


@dataclass
class Budget:
    """How much of a wallet's balance nothing else needs; `spend` must be called in the order of time."""

    _times: list[datetime]
    _least: list[int]
    spent: int = 0

    def spend(self, amount: int, at: datetime) -> bool:
        """False: the wallet did not cover it."""
        if amount > self.left(at):
            return False
        self.spent += amount
        return True

    def left(self, at: datetime) -> int:
        return self._least[bisect_right(self._times, at)] - self.spent
