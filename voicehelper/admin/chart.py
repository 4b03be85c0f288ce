"""Charts as SVG, in whole numbers, drawn on the server: no script, and crisp in both colour schemes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

# Units of the drawing; CSS scales it.
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 900, 240, 64, 24, 10


@dataclass(frozen=True)
class Series:
    """Values for each label, None where there is none. `name` is the CSS class that colours it; `total` its sum in
    words, if it has one."""

    name: str
    title: Any
    values: Sequence[int | None]
    total: str = ""


@dataclass(frozen=True)
class Bar:
    """A rectangle: the series colours it, the title is read by hovering and by screen readers."""

    x: int
    y: int
    width: int
    height: int
    series: str
    title: str


@dataclass(frozen=True)
class Line:
    """A stretch of a curve, "x,y x,y …"."""

    series: str
    points: str


@dataclass(frozen=True)
class Mark:
    """A label beside an axis."""

    x: int
    y: int
    text: str


@dataclass(frozen=True)
class Chart:
    """What templates/admin/parts/chart.html draws. `table` holds the same figures for those who cannot see."""

    caption: str
    nothing: str
    bars: Sequence[Bar]
    curves: Sequence[Line]
    lines: Sequence[Mark]
    labels: Sequence[Mark]
    legend: Sequence[tuple[str, Any, str]]
    table: Sequence[tuple[Any, Sequence[str]]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT

    @property
    def empty(self) -> bool:
        return not self.bars and not self.curves


@dataclass(frozen=True)
class Scale:
    """How values are worded, at the axis and elsewhere, and where the axis ends."""

    show: Callable[[int], str]
    at_axis: Callable[[int], str]
    top: Callable[[int], int]


@dataclass(frozen=True)
class Words:
    """What the chart is about, what to say when it is empty, and how a label is written at the axis."""

    caption: str
    nothing: str
    label: Callable[[Any], str]


def stacked(labels: Sequence[Any], series: Sequence[Series], scale: Scale, words: Words) -> Chart:
    """A bar per label, the series on top of each other."""
    top = scale.top(
        max((sum(v or 0 for v in values) for values in zip(*(s.values for s in series), strict=True)), default=0)
    )
    room, step = HEIGHT - TOP - BOTTOM, _step(labels)
    gap = 8 if step > 20 else 3
    bars = []
    for number, label in enumerate(labels):
        y = HEIGHT - BOTTOM
        for one in series:
            value = one.values[number] or 0
            height = -(-value * room // top)
            if height:
                y -= height
                title = f"{words.label(label)} {one.title} {scale.show(value)}"
                bars.append(Bar(LEFT + number * step + gap // 2, y, step - gap, height, one.name, title))
    return _chart(labels, series, scale, words, top, bars=bars)


def curves(labels: Sequence[Any], series: Sequence[Series], scale: Scale, words: Words) -> Chart:
    """A curve per series, broken where a value is missing; each value can be pointed at."""
    top = scale.top(max((value for one in series for value in one.values if value is not None), default=0))
    room, step = HEIGHT - TOP - BOTTOM, _step(labels)
    drawn, dots = [], []
    for one in series:
        spots = [
            (LEFT + number * step + step // 2, HEIGHT - BOTTOM - value * room // top, number, value)
            if value is not None
            else None
            for number, value in enumerate(one.values)
        ]
        for there, stretch in groupby(spots, key=lambda spot: spot is not None):
            if there:
                drawn.append(Line(one.name, " ".join(f"{spot[0]},{spot[1]}" for spot in stretch if spot)))
        dots += [
            Bar(
                spot[0] - 2,
                spot[1] - 2,
                4,
                4,
                one.name,
                f"{words.label(labels[spot[2]])} {one.title} {scale.show(spot[3])}",
            )
            for spot in spots
            if spot
        ]
    return _chart(labels, series, scale, words, top, bars=dots, curves=drawn)


def _chart(
    labels: Sequence[Any],
    series: Sequence[Series],
    scale: Scale,
    words: Words,
    top: int,
    *,
    bars: Sequence[Bar],
    curves: Sequence[Line] = (),
) -> Chart:
    room, step = HEIGHT - TOP - BOTTOM, _step(labels)
    every = max(1, len(labels) // 6)
    shown = [(n, label) for n, label in enumerate(labels) if n % every == every - 1]
    return Chart(
        caption=words.caption,
        nothing=words.nothing,
        bars=bars,
        curves=curves,
        lines=[Mark(LEFT - 8, HEIGHT - BOTTOM - room * part // 4, scale.at_axis(top * part // 4)) for part in range(5)],
        labels=[Mark(LEFT + n * step + step // 2, HEIGHT - 6, words.label(label)) for n, label in shown],
        legend=[(one.name, one.title, one.total) for one in series],
        table=[
            (label, [scale.show(v) if (v := one.values[n]) is not None else "—" for one in series])
            for n, label in enumerate(labels)
        ],
    )


def _step(labels: Sequence[Any]) -> int:
    return (WIDTH - LEFT) // max(1, len(labels))


def ceiling(value: int) -> int:
    """The next round number that four equal whole steps lead to; at least 4."""
    value = max(4, value)
    size = int("1".ljust(len(str(value)), "0"))
    step = next(step for step in (1, 2, 4, 6, 8, 10) if step * size >= value)
    return max(4, step * size)
