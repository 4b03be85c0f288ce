"""Charts as SVG, in whole numbers, drawn on the server: no script, and crisp in both colour schemes.

`stacked` and `curves` compute what a template draws (templates/admin/parts/chart.html, templates/llm/chart.html); a
`Canvas` is what they draw on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any


@dataclass(frozen=True)
class Canvas:
    """The drawing, in units that CSS scales: its size, its margins, and where the amounts are written beside the axis.
    About `labels` of the labels are; a gap of `gaps` (least, most) parts the bars."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    axis_x: int
    labels: int
    gaps: tuple[int, int]

    @property
    def end(self) -> int:
        """Where the drawing ends, and the right margin begins."""
        return self.width - self.right

    @property
    def ground(self) -> int:
        return self.height - self.bottom

    @property
    def room(self) -> int:
        return self.ground - self.top

    def step(self, count: int) -> int:
        """How wide each of so many labels is."""
        return (self.end - self.left) // max(1, count)


OPERATORS = Canvas(900, 240, left=64, right=0, top=10, bottom=24, axis_x=56, labels=6, gaps=(3, 8))
# The amounts are at the right, where the newest days are.
USERS = Canvas(960, 260, left=0, right=72, top=12, bottom=28, axis_x=900, labels=7, gaps=(2, 24))


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
    """What a template draws. `table` holds the same figures for those who cannot see."""

    caption: str
    nothing: str
    canvas: Canvas
    bars: Sequence[Bar]
    curves: Sequence[Line]
    lines: Sequence[Mark]
    labels: Sequence[Mark]
    legend: Sequence[tuple[str, Any, str]]
    table: Sequence[tuple[Any, Sequence[str]]]

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


def stacked(
    labels: Sequence[Any], series: Sequence[Series], scale: Scale, words: Words, canvas: Canvas = OPERATORS
) -> Chart:
    """A bar per label, the series on top of each other."""
    sums = (sum(v or 0 for v in values) for values in zip(*(s.values for s in series), strict=True))
    top, step = scale.top(max(sums, default=0)), canvas.step(len(labels))
    gap = min(max(step * 3 // 10, canvas.gaps[0]), canvas.gaps[1])
    bars = []
    for number, label in enumerate(labels):
        y = canvas.ground
        for one in series:
            value = one.values[number] or 0
            # Rounded up: the smallest is seen, too.
            height = -(-value * canvas.room // top)
            if height:
                y -= height
                title = f"{words.label(label)} {one.title} {scale.show(value)}"
                bars.append(Bar(canvas.left + number * step + gap // 2, y, step - gap, height, one.name, title))
    return _chart(labels, series, scale, words, canvas, top, bars=bars)


def curves(
    labels: Sequence[Any], series: Sequence[Series], scale: Scale, words: Words, canvas: Canvas = OPERATORS
) -> Chart:
    """A curve per series, broken where a value is missing; each value can be pointed at."""
    top = scale.top(max((value for one in series for value in one.values if value is not None), default=0))
    step = canvas.step(len(labels))
    drawn, dots = [], []
    for one in series:
        spots = [
            (canvas.left + number * step + step // 2, canvas.ground - value * canvas.room // top, label, value)
            if value is not None
            else None
            for number, (label, value) in enumerate(zip(labels, one.values, strict=True))
        ]
        for there, stretch in groupby(spots, key=lambda spot: spot is not None):
            if there:
                drawn.append(Line(one.name, " ".join(f"{spot[0]},{spot[1]}" for spot in stretch if spot)))
        for x, y, label, value in filter(None, spots):
            title = f"{words.label(label)} {one.title} {scale.show(value)}"
            dots.append(Bar(x - 2, y - 2, 4, 4, one.name, title))
    return _chart(labels, series, scale, words, canvas, top, bars=dots, curves=drawn)


def _chart(
    labels: Sequence[Any],
    series: Sequence[Series],
    scale: Scale,
    words: Words,
    canvas: Canvas,
    top: int,
    *,
    bars: Sequence[Bar],
    curves: Sequence[Line] = (),
) -> Chart:
    step, every = canvas.step(len(labels)), max(1, len(labels) // canvas.labels)
    # Every so many, and always the last.
    shown = [(n, label) for n, label in enumerate(labels) if (len(labels) - 1 - n) % every == 0]
    return Chart(
        caption=words.caption,
        nothing=words.nothing,
        canvas=canvas,
        bars=bars,
        curves=curves,
        lines=[
            Mark(canvas.axis_x, canvas.ground - canvas.room * part // 4, scale.at_axis(top * part // 4))
            for part in range(5)
        ],
        labels=[Mark(canvas.left + n * step + step // 2, canvas.height - 6, words.label(label)) for n, label in shown],
        legend=[(one.name, one.title, one.total) for one in series],
        table=[
            (label, [scale.show(v) if (v := one.values[n]) is not None else "—" for one in series])
            for n, label in enumerate(labels)
        ],
    )


def ceiling(value: int) -> int:
    """The next round number that four equal whole steps lead to; at least 4."""
    value = max(4, value)
    size = int("1".ljust(len(str(value)), "0"))
    step = next(step for step in (1, 2, 4, 6, 8, 10) if step * size >= value)
    return max(4, step * size)
