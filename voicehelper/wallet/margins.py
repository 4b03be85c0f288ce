"""What remains of what was charged. Whoever knows what calls cost the operator says so in AppConfig.ready()
(`told_by`); whoever shows a period's margin asks `margin_of`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class CallMargin:
    """Of the calls of some Beijing days, in quota: what they were charged, how much of it by calls whose cost is known,
    and what those cost."""

    charged: int = 0
    costed: int = 0
    cost: int = 0

    @property
    def left(self) -> int:
        return self.costed - self.cost


_tellers: list[Callable[[date, date], CallMargin]] = []


def told_by(read: Callable[[date, date], CallMargin]) -> None:
    """Have margins read by a function of the first and the last day."""
    _tellers[:] = [read]


def margin_of(first: date, last: date) -> CallMargin | None:
    """None: nobody knows."""
    return _tellers[0](first, last) if _tellers else None
