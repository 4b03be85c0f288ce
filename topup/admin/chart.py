"""Stacked bars as SVG, in whole numbers, drawn on the server: no script, and crisp in both colour schemes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from . import words

# Units of the drawing; CSS scales it.
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 900, 240, 64, 24, 10


@dataclass(frozen=True)
class Bar:
    """A rectangle: the gateway colours it, the title is read by hovering and by screen readers."""

    x: int
    y: int
    width: int
    height: int
    gateway: str
    title: str


@dataclass(frozen=True)
class Mark:
    """A label beside an axis."""

    x: int
    y: int
    text: str


@dataclass(frozen=True)
class Chart:
    """What templates/admin/parts/chart.html draws. `table` holds the same figures for those who cannot see."""

    bars: Sequence[Bar]
    lines: Sequence[Mark]
    days: Sequence[Mark]
    legend: Sequence[tuple[str, Any, str]]
    table: Sequence[tuple[date, Sequence[str]]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT

    @property
    def empty(self) -> bool:
        return not self.bars


def chart(days: Sequence[date], series: Mapping[str, Sequence[int]]) -> Chart:
    """Bars for one amount in fen per day and gateway."""
    top = ceiling(max(map(sum, zip(*series.values(), strict=True)), default=0))
    room, step = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT) // len(days)
    bars = []
    for number, day in enumerate(days):
        y = HEIGHT - BOTTOM
        for gateway, amounts in series.items():
            height = -(-amounts[number] * room // top)
            if height:
                y -= height
                title = f"{day:%m-%d} {words.GATEWAY_NAMES[gateway]} {words.money(amounts[number])}"
                bars.append(Bar(LEFT + number * step + 4, y, step - 8, height, gateway, title))
    lines = [Mark(LEFT - 8, HEIGHT - BOTTOM - room * part // 4, words.money(top * part // 4)[:-3]) for part in range(5)]
    marks = [Mark(LEFT + n * step + step // 2, HEIGHT - 6, f"{day:%m-%d}") for n, day in enumerate(days) if n % 5 == 4]
    legend = [(name, words.GATEWAY_NAMES[name], words.money(sum(amounts))) for name, amounts in series.items()]
    table = [(day, [words.money(amounts[n]) for amounts in series.values()]) for n, day in enumerate(days)]
    return Chart(bars, lines, marks, legend, table)


def ceiling(fen: int) -> int:
    """The next round amount that four equal steps of whole yuan lead to; at least ¥4."""
    yuan = max(4, -(-fen // 100))
    size = int("1".ljust(len(str(yuan)), "0"))
    step = next(step for step in (1, 2, 4, 6, 8, 10) if step * size >= yuan)
    return max(4, step * size) * 100
