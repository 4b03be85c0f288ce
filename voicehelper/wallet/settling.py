"""Below which entry, or row of another table that is only added to, none can appear any more.

A row's number is taken before its transaction commits, so a lower one may become visible after a higher. Who takes a
number holds PostgreSQL's lock of writers on the table, from before he takes it until his transaction ends. So: look at
the last number, then at who holds that lock, and wait until all of those are gone. Whoever comes later takes a higher
number. That rests on no clock, and needs nobody to wait for us; CREATE INDEX CONCURRENTLY waits so too.
"""

import time
from datetime import timedelta

from django.db import connection

_PAUSE = timedelta(milliseconds=20)
# Also of prepared transactions, which belong to no process.
_WRITERS = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = %s::regclass AND mode = 'RowExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND pid IS DISTINCT FROM pg_backend_pid()
"""


def settled_entry(patience: timedelta) -> int | None:
    """The last entry's number when nothing can appear below it any more, for every snapshot taken from now on; None
    when somebody has been writing for longer than `patience`."""
    return settled_row("wallet_entry", patience)


def settled_row(table: str, patience: timedelta) -> int | None:
    """The same of a table's rows."""
    newest = f"SELECT COALESCE(MAX(id), 0) FROM {table}"  # noqa: S608  # nosec B608  # a constant of ours
    with connection.cursor() as cursor:
        cursor.execute(newest)
        (last,) = cursor.fetchone()
        waited_for = _writers(cursor, table)
        until = time.monotonic_ns() + patience // timedelta(microseconds=1) * 1000
        while waited_for:
            if time.monotonic_ns() > until:
                return None
            time.sleep(_PAUSE.total_seconds())
            waited_for &= _writers(cursor, table)
    return int(last)


def _writers(cursor: object, table: str) -> set[str]:
    cursor.execute(_WRITERS, [table])  # type: ignore[attr-defined]
    return {name for (name,) in cursor.fetchall()}  # type: ignore[attr-defined]
