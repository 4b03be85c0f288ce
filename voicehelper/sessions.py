"""Sessions at PostgreSQL: how many a web node may open, how many there may be, and when idle ones are given back."""

import os

from django.conf import settings
from django.db import connection

# What a web process has beside those of its threads: the relay's two, the watch over jobs, and some to spare.
BESIDE_THREADS = 5
# For so long a thread that nobody needs keeps one.
IDLE_SECONDS = 600

_ALLOWED = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int, rolconnlimit, datconnlimit
FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
"""


def of_this_node() -> int:
    """The most that its processes open: for their threads, unless a pooler lends those, for asyncio's, and beside."""
    threads = 0 if settings.DATABASE_DIRECT else settings.WEB_THREADS + settings.NOTICE_THREADS + settings.FILE_THREADS
    moments = min(32, (os.cpu_count() or 1) + 4)
    return int(settings.WEB_CONCURRENCY * (threads + BESIDE_THREADS + moments))


def allowed() -> int:
    """How many PostgreSQL lets our role have in our database."""
    with connection.cursor() as cursor:
        cursor.execute(_ALLOWED)
        server, *limits = cursor.fetchone()
    return int(min(server, *(limit if limit >= 0 else server for limit in limits)))


def give_back_when_idle() -> None:
    """For this thread, which waits for requests: PostgreSQL ends its session when nothing was asked for ten minutes,
    and the next request opens another. A pooler does that itself."""
    given = connection.settings_dict["OPTIONS"]
    if "options" in given:
        options = f"{given['options']} -c idle_session_timeout={IDLE_SECONDS}s"
        connection.settings_dict = {**connection.settings_dict, "OPTIONS": {**given, "options": options}}
