"""What models did in thirty days or the last hour: one statement feeds every chart and the table. Days come out of
their sums (usage_days.py), so that they cost the same however many calls there were; minutes out of the hour's rows.

Percentiles come from a histogram whose steps are five per cent wide, so that nothing has to be sorted: what is shown is
within three per cent of the exact value. Days are Beijing's.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.charts import Chart, Scale, Series, Words, ceiling, curves, stacked
from voicehelper.clock import BEIJING
from voicehelper.numbers import grouped, percent
from voicehelper.sums import Sums, percentile

from .. import usage_days
from . import words
from .prices import margin

# So many are told apart by colour; the rest is drawn as one.
COLOURS = 6
_STEP = usage_days.STEPS_PER_E
# Seconds, characters and pictures are not added to tokens. What is told apart by slot and name needs no latencies.
_SUMS = """
    SELECT slot, name, step, GROUPING(slot), GROUPING(name), SUM(calls), SUM(failures),
        SUM(CASE WHEN operation IN ('chat', 'embeddings') THEN input_tokens + output_tokens ELSE 0 END),
        SUM(quota), SUM(costed), SUM(cost), SUM(answered)
    FROM (SELECT day AS slot, {by} AS name, cell.* FROM ({source}) cell) each
    GROUP BY GROUPING SETS ((slot, name), (slot, step), (name, step))
"""


@dataclass(frozen=True)
class Span:
    """A stretch of time cut into slots of a day or a minute."""

    kind: str
    slots: Sequence[datetime]

    @property
    def words(self) -> Callable[[datetime], str]:
        return lambda slot: f"{slot:%m-%d}" if self.kind == "day" else f"{slot:%H:%M}"


@dataclass
class UsageSums(Sums):
    """What some calls came to. `steps` counts answered calls by the logarithm of their latency."""

    calls: int = 0
    failures: int = 0
    tokens: int = 0
    quota: int = 0
    # Of the calls whose cost is known: what they were charged, and what they cost.
    costed: int = 0
    cost: int = 0
    steps: Counter[int] = field(default_factory=Counter)

    def latency_ms(self, per_cent: int) -> int | None:
        """The latency that so many per cent of the answered calls did not exceed; None without any."""
        step = percentile(self.steps, per_cent)
        return None if step is None else round(math.exp((step + 0.5) / _STEP))

    @property
    def margin(self) -> int:
        """What remains of the calls whose cost is known."""
        return self.costed - self.cost

    @property
    def failure_permille(self) -> int | None:
        return (2000 * self.failures + self.calls) // (2 * self.calls) if self.calls else None


@dataclass
class CallTable:
    """Sums by slot and name, without latencies; and those of each slot and each name, with them."""

    cells: dict[tuple[datetime, str], UsageSums] = field(default_factory=dict)
    slots: dict[datetime, UsageSums] = field(default_factory=dict)
    names: dict[str, UsageSums] = field(default_factory=dict)

    @property
    def total(self) -> UsageSums:
        return UsageSums.together(self.names.values())


def span_of(name: str) -> Span:
    """The last hour by minutes, else thirty days."""
    now = clock.now().astimezone(BEIJING)
    if name == "hour":
        minute = now.replace(second=0, microsecond=0)
        return Span("minute", [minute - timedelta(minutes=59 - number) for number in range(60)])
    today = clock.midnight(now.date())
    return Span("day", [today - timedelta(days=29 - number) for number in range(30)])


def sums(span: Span, by: str) -> CallTable:
    """Sums by slot and model or provider ("model_name" or "provider"), in one statement."""
    table = CallTable()
    for slot, name, step, no_slot, no_name, *counted, answered in _summed(span, by):
        calls, failures, tokens, quota, costed, cost = map(int, counted)
        steps = Counter({step: int(answered)} if answered and step is not None and step >= 0 else {})
        found = UsageSums(calls, failures, tokens, quota, costed, cost, steps)
        if no_slot:
            table.names.setdefault(name, UsageSums()).add(found)
        elif no_name:
            table.slots.setdefault(_slot(slot), UsageSums()).add(found)
        else:
            table.cells[_slot(slot), name] = found
    return table


def _summed(span: Span, by: str) -> Iterable[tuple[Any, ...]]:
    asked = usage_days.cells_of(span.slots[0].date(), clock.today()) | {"begin": span.slots[0]}
    source = usage_days.CELLS if span.kind == "day" else usage_days.MINUTES
    summed = _SUMS.format(by=by, source=source)
    with connection.cursor() as cursor:
        cursor.execute(summed, asked)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _slot(found: date) -> datetime:
    """A day is told by its beginning, a minute by itself."""
    return found if isinstance(found, datetime) else clock.midnight(found)


@dataclass(frozen=True)
class ModelRow:
    """A model or provider in the table."""

    name: str
    calls: str
    tokens: str
    quota: str
    cost: str
    margin: str
    failures: str
    p50: str
    p95: str


def page_context(typed: Mapping[str, str]) -> dict[str, Any]:
    """What templates/admin/llm/statistics.html shows."""
    span_name = "hour" if typed.get("span") == "hour" else "days"
    by = "provider" if typed.get("by") == "provider" else "model_name"
    span = span_of(span_name)
    table = sums(span, by)
    names = sorted(table.names, key=lambda name: (-table.names[name].calls, name))
    return {
        "title": _("Statistics of models"),
        "span": span_name,
        "by": by,
        "charts": _charts(span, table, names),
        "rows": [_row(_name(name, by), table.names[name]) for name in names],
        "all": _row(_("Together"), table.total) if len(names) > 1 else None,
    }


def _name(name: str, by: str) -> str:
    return (words.provider(name) if by == "provider" else name) or _("none reached")


def _row(name: str, found: UsageSums) -> ModelRow:
    return ModelRow(
        name,
        grouped(found.calls),
        grouped(found.tokens),
        grouped(found.quota),
        grouped(found.cost) if found.costed or found.cost else "—",
        _margin(found),
        percent(found.failures, found.calls),
        _ms(found.latency_ms(50)),
        _ms(found.latency_ms(95)),
    )


def _margin(found: UsageSums) -> str:
    if not (found.costed or found.cost):
        return "—"
    return f"{grouped(found.margin)} ({margin(found.costed, found.cost)})"


def _ms(value: int | None) -> str:
    return "—" if value is None else f"{value:,} ms"


def _charts(span: Span, table: CallTable, names: Sequence[str]) -> list[tuple[str, Chart]]:
    whole = [table.slots.get(slot, _NONE) for slot in span.slots]
    nothing = _("No calls in this time.")
    found = []
    for title, what in ((_("Calls"), "calls"), (_("Tokens"), "tokens"), (_("Quota charged"), "quota")):
        series = _stack(span, table, names, what)
        found.append(
            (title, stacked(span.slots, series, Scale(grouped, _short, ceiling), Words(title, nothing, span.words)))
        )
    failing = [Series("s-bad", _("Failed"), [one.failure_permille for one in whole])]
    latency = [
        Series(f"s{number}", f"p{per_cent}", [one.latency_ms(per_cent) for one in whole])
        for number, per_cent in enumerate((50, 95))
    ]
    # At least a tenth is drawn: a single failure should not look like the end of the world.
    per_cent = Scale(
        lambda permille: percent(permille, 1000),
        lambda permille: f"{permille / 10:g}%",
        lambda most: min(1000, ceiling(max(100, most))),
    )
    title = _("Failure rate")
    found.append((title, curves(span.slots, failing, per_cent, Words(title, nothing, span.words))))
    title = _("Latency of answered calls")
    scale = Scale(_ms, lambda ms: f"{ms:,}", ceiling)
    found.append((title, curves(span.slots, latency, scale, Words(title, nothing, span.words))))
    return found


def _stack(span: Span, table: CallTable, names: Sequence[str], what: str) -> list[Series]:
    """A series for each of the busiest names, and one for all the others."""
    groups = [(f"s{number}", name, {name}) for number, name in enumerate(names[:COLOURS])]
    if len(names) > COLOURS:
        groups.append(("s-rest", _("Others"), set(names[COLOURS:])))
    found = []
    for colour, title, members in groups:
        values = [sum(getattr(table.cells.get((slot, name), _NONE), what) for name in members) for slot in span.slots]
        shown = words.provider(title) or _("none reached")
        found.append(Series(colour, shown, values, grouped(sum(values))))
    return found


_NONE = UsageSums()


def _short(number: int) -> str:
    """For an axis: 1,500,000 → "1.5M"."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= 10 * size or (number >= size and number % (size // 10) == 0):
            return f"{number / size:g}{letter}"
    return str(number)
