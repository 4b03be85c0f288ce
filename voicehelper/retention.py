"""Tables that grow with every call and payment, and how long their rows are kept.

An app registers its logs when it is ready; storage_backends/archiving.py writes a finished month of one into a file,
and only then deletes it. Months are Beijing's, and whole: one goes when so many months have passed since its end.
Books (orders, entries, refunds, …) are never registered: they are kept for ever.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Model, QuerySet

from voicehelper import clock


@dataclass(frozen=True)
class GrowingLog:
    """A table of which old months may go.

    `moment` is the field that its rows are dated by (indexed), `months` how many are kept unless an operator says
    otherwise, `least` how many always are, and `why` says so. `spared` takes away what stays whatever its age: rows
    that something unfinished refers to. `delete` is given ids, within a transaction, and returns how many rows it
    deleted; a log whose rows are added up by pages keeps their sums there.
    """

    model: type[Model]
    moment: str
    months: int
    least: int
    why: Any
    spared: "Callable[[QuerySet[Any]], QuerySet[Any]]"
    delete: Callable[[Sequence[int]], int]

    @property
    def name(self) -> str:
        """Like "llm.usage"."""
        return self.model._meta.label_lower

    def rows(self, month: date) -> "QuerySet[Any]":
        """The rows of a month that may go."""
        begin, end = bounds(month)
        of_month = {f"{self.moment}__gte": begin, f"{self.moment}__lt": end}
        return self.spared(self.model._default_manager.filter(**of_month))

    def oldest(self, before: datetime) -> date | None:
        """The first month with rows that may go, of those that end at `before` or earlier."""
        rows = self.spared(self.model._default_manager.filter(**{f"{self.moment}__lt": before}))
        found = rows.order_by(self.moment).values_list(self.moment, flat=True).first()
        return None if found is None else month_of(found)


_registered: dict[str, GrowingLog] = {}


def register(*logs: GrowingLog) -> None:
    """Let these be kept so long; apps do it when they are ready."""
    _registered.update({log.name: log for log in logs})


def log_named(name: str) -> GrowingLog | None:
    return _registered.get(name)


def every_log() -> Iterator[GrowingLog]:
    yield from _registered.values()


# --- Months ----------------------------------------------------------------------------------------------------------
def month_of(moment: datetime) -> date:
    """The first day of its month in Beijing."""
    return clock.month_later(moment.astimezone(clock.BEIJING).date(), 0)


def bounds(month: date) -> tuple[datetime, datetime]:
    """When a month begins and when it is over."""
    return clock.midnight(month), clock.midnight(clock.month_later(month, 1))


def kept_since(months: int, today: date) -> date:
    """The first day that is kept when so many whole months after a month's end have to pass."""
    return clock.month_later(today, -months)
