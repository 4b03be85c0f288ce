"""What Django opens connections with (settings.DATABASES)."""

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg.pq import ConnStatus


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, but for the check of a connection that has lain idle (CONN_HEALTH_CHECKS), which asks PostgreSQL.

    A server that stops, restarts or ends a session says goodbye, and of one that vanishes the kernel hears nothing and
    gives the socket up (`keepalives_…` in settings.py). Either way there is something to read on a socket on which
    nobody has asked anything: that is looked at instead, which costs no round trip.
    """

    def is_usable(self) -> bool:
        session: Any = self.connection
        if session is None or session.closed or session.pgconn.status != ConnStatus.OK:
            return False
        watched = select.poll()
        watched.register(session.pgconn.socket, select.POLLIN)
        return not watched.poll(0)
