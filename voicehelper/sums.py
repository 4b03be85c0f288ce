"""What many rows came to: for statistics that are read once and shown by several keys."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Self


@dataclass
class Sums:
    """Base of dataclasses of numbers, and of counters of how often a value came."""

    def add(self, other: Self) -> None:
        for each in fields(self):
            mine, more = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(more)
            else:
                setattr(self, each.name, mine + more)

    @classmethod
    def together(cls, cells: Iterable[Self]) -> Self:
        found = cls()
        for cell in cells:
            found.add(cell)
        return found


def percentile(counts: Mapping[int, int], per_cent: int) -> int | None:
    """The value that so many per cent did not exceed; `counts` says how often each came. None without any."""
    wanted, seen = -(-sum(counts.values()) * per_cent // 100), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return None
