"""What an audit says, and what its checks are given to look at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Finding:
    """One row that breaks an invariant: which rule, which row, and what is wrong with it."""

    rule: str
    row: str
    problem: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.row}: {self.problem}"


@dataclass(frozen=True)
class Scope:
    """What a run looks at: everything, or the entries above `after` and the rows that were made or moved since `since`.

    What is at or below `after` a run before has found good, and nothing can appear there any more.
    """

    full: bool = True
    after: int = 0
    since: datetime = _EVER


Check = Callable[[Scope], Iterable[Finding]]


def rows(sql: str, *params: int | str | bool | datetime) -> list[tuple[object, ...]]:
    """Run one of the audit's constant queries."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
