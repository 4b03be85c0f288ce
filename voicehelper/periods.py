"""The period that a page of figures is about: calendar ones by name, or any from a day to a day; and the one before it.

Days are Beijing's, weeks begin on Monday. In an address: `?period=last_week`, `?days=30`, or `?from=…&to=…`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from voicehelper.clock import month_later

DAY = timedelta(days=1)
MOST_DAYS = 1100
SPANS = (7, 30, 90)


@dataclass(frozen=True)
class ReportPeriod:
    """From the first day to the last. `name` is what an address calls it, if it has a name; `problem` says what was
    wrong with what was asked for instead."""

    name: str
    first: date
    last: date
    problem: str = ""

    @property
    def days(self) -> list[date]:
        return [self.first + number * DAY for number in range((self.last - self.first).days + 1)]

    @property
    def query(self) -> str:
        """For addresses of the same period."""
        return urlencode({"period": self.name} if self.name else {"from": self.first, "to": self.last})

    @property
    def before(self) -> "ReportPeriod":
        """The one to compare it with: as many days of the week or month before, or just before."""
        if self.name in ("week", "last_week"):
            return self._earlier(7)
        # A day, or some days up to today, may begin on the first too and is no month.
        of_a_month = self.name in ("", "month", "last_month")
        if not of_a_month or self.first.day != 1 or self.last >= month_later(self.first, 1):
            return self._earlier((self.last - self.first).days + 1)
        end = self.first - DAY
        begin = month_later(end, 0)
        whole = self.last + DAY == month_later(self.first, 1)
        return ReportPeriod("", begin, end if whole else min(end, begin + (self.last - self.first)))

    def _earlier(self, days: int) -> "ReportPeriod":
        return ReportPeriod("", self.first - days * DAY, self.last - days * DAY)

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} – {self.last}"


@dataclass(frozen=True)
class NamedPeriod:
    """A link to a period; `current`: it is the one shown."""

    address: str
    label: str
    current: bool


def calendar_periods(today: date) -> dict[str, tuple[str, date, date]]:
    """By name: label, first day, last day."""
    monday, month = today - today.weekday() * DAY, month_later(today, 0)
    return {
        "today": (_("Today"), today, today),
        "yesterday": (_("Yesterday"), today - DAY, today - DAY),
        "week": (_("This week"), monday, today),
        "last_week": (_("Last week"), monday - 7 * DAY, monday - DAY),
        "month": (_("This month"), month, today),
        "last_month": (_("Last month"), month_later(today, -1), month - DAY),
        **{f"{days}": (_("%(days)d days") % {"days": days}, today - (days - 1) * DAY, today) for days in SPANS},
    }


def asked_period(typed: Mapping[str, str], today: date, default: str) -> ReportPeriod:
    """What an address asks for; the default where it says nothing, or nothing that makes sense (`problem`)."""
    named = calendar_periods(today)
    since, until = typed.get("from", ""), typed.get("to", "")
    name = typed.get("period") or typed.get("days") or ""
    problem = ""
    if since or until:
        try:
            return _between(since, until, today)
        except ValueError:
            problem = _("Write the first and the last day as 2026-12-01, at most %(days)d days.") % {"days": MOST_DAYS}
    name = {"1": "today"}.get(name, name)
    name = name if name in named and not problem else default
    _label, first, last = named[name]
    return ReportPeriod(name, first, last, problem)


def _between(since: str, until: str, today: date) -> ReportPeriod:
    """Raises ValueError."""
    first = date.fromisoformat(since)
    last = date.fromisoformat(until) if until else today
    if not date(2000, 1, 1) <= first <= last <= date(2100, 1, 1) or (last - first).days >= MOST_DAYS:
        raise ValueError
    return ReportPeriod("", first, last)


def named_periods(period: ReportPeriod, today: date, more: str = "") -> list[NamedPeriod]:
    """Links to the others. `more` is what else the page's address keeps, like "&by=day"."""
    return [
        NamedPeriod(f"?period={name}{more}", label, name == period.name)
        for name, (label, _first, _last) in calendar_periods(today).items()
    ]
