"""Stacked bars of quota by day and model, as whole numbers that templates/llm/chart.html draws: no script."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.utils.translation import gettext as _

from .display import grouped

# Units of the drawing; CSS scales it.
WIDTH, HEIGHT, RIGHT, BOTTOM, TOP = 960, 260, 72, 28, 12
# As many models have a colour of their own; the others share the last one.
COLOURS = 6
_LABELS = 8


@dataclass(frozen=True)
class Bar:
    """A rectangle of one model's colour; the title is read when hovering."""

    x: int
    y: int
    width: int
    height: int
    colour: int
    title: str


@dataclass(frozen=True)
class Mark:
    """A label beside an axis; those of the amounts are at the right, where the newest days are."""

    x: int
    y: int
    text: str


@dataclass(frozen=True)
class Series:
    """A model, its colour, and its quota in all and by day."""

    name: str
    colour: int
    total: str
    by_day: Sequence[int]


@dataclass(frozen=True)
class Chart:
    """The drawing. `table` has the same figures by day, for those who cannot see it; days without any are left out."""

    bars: Sequence[Bar]
    lines: Sequence[Mark]
    days: Sequence[Mark]
    series: Sequence[Series]
    table: Sequence[tuple[date, Sequence[str]]]
    width: int = WIDTH
    height: int = HEIGHT
    right: int = WIDTH - RIGHT


def by_day_and_model(sums: Iterable[Mapping[str, Any]], days: int, today: date) -> Chart:
    """A chart of `usage.summary_of`: the last so many days, the models that cost most first."""
    dates = [today - timedelta(days=days - 1 - number) for number in range(days)]
    place = {day.isoformat(): number for number, day in enumerate(dates)}
    amounts: dict[str, list[int]] = defaultdict(lambda: [0] * days)
    for row in sums:
        if row["day"] in place:
            amounts[row["model"]][place[row["day"]]] += row["quota"]
    series = _series(amounts)
    top = ceiling(max(map(sum, zip(*(each.by_day for each in series), strict=True)), default=0))
    room = HEIGHT - TOP - BOTTOM
    lines = [
        Mark(WIDTH - RIGHT + 12, HEIGHT - BOTTOM - room * part // 4, grouped(top * part // 4)) for part in range(5)
    ]
    every = -(-days // _LABELS)
    step = (WIDTH - RIGHT) // days
    marks = [
        Mark(number * step + step // 2, HEIGHT - 6, f"{day:%m-%d}")
        for number, day in enumerate(dates)
        if (days - 1 - number) % every == 0
    ]
    table = [
        (day, [grouped(each.by_day[number]) for each in series])
        for number, day in enumerate(dates)
        if any(each.by_day[number] for each in series)
    ]
    return Chart(_bars(series, dates, top), lines, marks, series, table)


def _series(amounts: Mapping[str, list[int]]) -> list[Series]:
    used = sorted(((sum(row), name) for name, row in amounts.items() if any(row)), key=lambda pair: (-pair[0], pair[1]))
    found = [Series(name, n, grouped(total), amounts[name]) for n, (total, name) in enumerate(used[: COLOURS - 1])]
    rest = used[COLOURS - 1 :]
    if rest:
        together = [sum(day) for day in zip(*(amounts[name] for _total, name in rest), strict=True)]
        name = rest[0][1] if len(rest) == 1 else _("Others")
        found.append(Series(name, COLOURS - 1, grouped(sum(together)), together))
    return found


def _bars(series: Sequence[Series], dates: Sequence[date], top: int) -> list[Bar]:
    room, step = HEIGHT - TOP - BOTTOM, (WIDTH - RIGHT) // len(dates)
    gap = max(2, min(24, step // 4))
    bars = []
    for number, day in enumerate(dates):
        y = HEIGHT - BOTTOM
        for each in series:
            height = -(-each.by_day[number] * room // top)
            if height:
                y -= height
                title = f"{day:%m-%d} {each.name} {grouped(each.by_day[number])}"
                bars.append(Bar(number * step + gap // 2, y, step - gap, height, each.colour, title))
    return bars


def ceiling(quota: int) -> int:
    """The next round amount that can be divided by four; at least 4."""
    size: int = 10 ** (len(str(max(1, quota))) - 1)
    return max(4, next(part * size for part in (1, 2, 4, 6, 8, 10) if part * size >= quota))
