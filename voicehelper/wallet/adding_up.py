"""Adding up rows that are written once and never changed, so that who adds many days up reads days, not rows.

The clock does it (tasks.py), nothing on the way of a call or a payment. A mark says up to which row all are in the
sums; whoever reads adds those above it, so that a sum is exact however late it is. Nothing can appear at or below the
mark any more (settling.py).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction

from .settling import settled_row

# A step's rows, and how long a run goes on; after an upgrade years may wait, some in each run.
STEP = 50_000
WITHIN = timedelta(seconds=20)
_PATIENCE = timedelta(seconds=3)

_registered: list[Callable[[], int]] = []


def register(add_up: Callable[[], int]) -> None:
    """Let the clock call this too; apps do it when they are ready. It returns how many steps it took."""
    _registered.append(add_up)


def add_everything_up() -> int:
    return sum(add_up() for add_up in _registered)


@dataclass(frozen=True)
class AddingUp:
    """Of one table: `mark` is the table whose only row (id 1) says in `column` how far it came, `add` the statement
    that adds the rows above `%(after)s` and up to `%(up_to)s`. All of it is constant."""

    table: str
    mark: str
    column: str
    add: str

    def run(self, within: timedelta = WITHIN) -> int:
        """Add what is new, one process at a time; returns how many steps it took. The rest is for the next time."""
        settled = settled_row(self.table, _PATIENCE)
        ends, steps = time.monotonic_ns() + within // timedelta(microseconds=1) * 1000, 0
        while settled is not None and time.monotonic_ns() < ends and self._step(settled):
            steps += 1
        return steps

    @transaction.atomic
    def _step(self, settled: int) -> bool:
        """False: nothing is new, or somebody else is at it."""
        begin = f"INSERT INTO {self.mark} (id, {self.column}) VALUES (1, 0) ON CONFLICT DO NOTHING"  # noqa: S608  # nosec B608
        mark = f"SELECT {self.column} FROM {self.mark} FOR UPDATE SKIP LOCKED"  # noqa: S608  # nosec B608
        some = f"SELECT id FROM {self.table} WHERE id > %s AND id <= %s ORDER BY id LIMIT %s"  # noqa: S608  # nosec B608
        end = f"SELECT MAX(id) FROM ({some}) step"  # noqa: S608  # nosec B608
        move = f"UPDATE {self.mark} SET {self.column} = %s"  # noqa: S608  # nosec B608
        with connection.cursor() as cursor:
            cursor.execute(begin)
            cursor.execute(mark)
            found = cursor.fetchone()
            if found is None:
                return False
            cursor.execute(end, [found[0], settled, STEP])
            (up_to,) = cursor.fetchone()
            if up_to is None:
                return False
            cursor.execute(self.add, {"after": found[0], "up_to": up_to})
            cursor.execute(move, [up_to])
        return True
