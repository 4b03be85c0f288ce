"""What a change of prices means for whoever pays them: said in a table before it is saved; saving again agrees to it.

A page of prices names the prices of its row as it is and as it would be (`CardAdmin.prices_of`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

# What the form sends back: the mark of what was shown, and that a great change is meant.
SEEN, SURE = "seen_effects", "sure"
# Above this a change is great: a slip of the decimal point is tenfold, a wrong unit a thousandfold.
GREAT = Fraction(1, 2)
MOST_ROWS = 60


@dataclass(frozen=True)
class ShownPrice:
    """What somebody pays, in words, and how much that is, in whatever unit the page counts in."""

    shown: str
    rate: Fraction


@dataclass(frozen=True)
class Effect:
    """One price that changes; None: there is none then. `change` is the part of the old price it rises by."""

    label: str
    old: ShownPrice | None
    new: ShownPrice | None

    @property
    def change(self) -> Fraction | None:
        return self.new.rate / self.old.rate - 1 if self.old and self.new and self.old.rate else None

    @property
    def great(self) -> bool:
        """Also when what was free is not free any more."""
        rate = self.change
        freed = rate is None and self.old is not None and self.new is not None
        return freed or (rate is not None and abs(rate) > GREAT)

    @property
    def percent(self) -> str:
        return "" if self.change is None else percent(self.change)


@dataclass(frozen=True)
class Effects:
    """All prices that a save changes, in the page's order."""

    changed: Sequence[Effect]

    @property
    def rows(self) -> Sequence[Effect]:
        """Those that are shown; the greatest changes first when there are too many."""
        if len(self.changed) <= MOST_ROWS:
            return self.changed
        return sorted(self.changed, key=lambda effect: abs(effect.change or Fraction(0)), reverse=True)[:MOST_ROWS]

    @property
    def great(self) -> bool:
        return any(effect.great for effect in self.changed)

    @property
    def mark(self) -> str:
        """Stands for exactly these, so that nobody agrees to others."""
        told = repr([(each.label, each.old, each.new) for each in self.changed])
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        count = len(self.changed)
        rates = sorted(each.change for each in self.changed if each.change is not None)
        facts = {"count": count, "least": percent(rates[0]), "most": percent(rates[-1])} if rates else {"count": count}
        if not rates:
            return ngettext("%(count)d price comes or goes.", "%(count)d prices come or go.", count) % facts
        if facts["least"] == facts["most"]:
            return ngettext("%(count)d price by %(most)s.", "%(count)d prices by %(most)s.", count) % facts
        return _("%(count)d prices by %(least)s to %(most)s.") % facts


def effects_of(before: Mapping[str, ShownPrice], after: Mapping[str, ShownPrice]) -> Effects:
    """What differs between two lists of prices by label."""
    labels = dict.fromkeys([*before, *after])
    pairs = [Effect(label, before.get(label), after.get(label)) for label in labels]
    return Effects([effect for effect in pairs if effect.old != effect.new])


def percent(part: Fraction) -> str:
    """A part as a percentage with its sign: "+9,900 %", "−5 %", "+0.4 %"."""
    hundredths = abs(part) * 100
    text = f"{round(hundredths):,}" if hundredths >= 10 or hundredths == int(hundredths) else f"{float(hundredths):.1f}"
    return f"{'−' if part < 0 else '+'}{text} %"
