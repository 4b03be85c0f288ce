"""One database for each worker, all copied from one that was migrated once: that takes seconds, a copy does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from psycopg import sql

# Any number that nobody else locks.
_LOCK = 4402


@contextmanager
def database_of(worker: str, run: str) -> Iterator[None]:
    """The worker's database, connected to; it is gone afterwards. All workers of a run name the same `run`."""
    before = connection.settings_dict["NAME"]
    template, name = f"test_{before}_{run}", f"test_{before}_{run}_{worker}"
    with _alone() as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", [template])
        if not cursor.rowcount:
            connection.settings_dict["TEST"]["NAME"] = template
            connection.creation.create_test_db(verbosity=0, serialize=False)
        _leave(name)
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield
    finally:
        _leave(before)
        with _alone() as cursor:
            for each in (name, template):
                cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(each)))


@contextmanager
def _alone() -> Iterator[Any]:
    """One worker at a time: nobody copies a database that is being made, or makes it a second time."""
    with connection._nodb_cursor() as cursor:
        cursor.execute("SET lock_timeout = 0; SET statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        yield cursor


def _leave(other: str) -> None:
    """Connect to another database from now on."""
    connection.close()
    connection.settings_dict["NAME"] = other
