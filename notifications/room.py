"""Capacity that runs out: sessions at PostgreSQL, and the disk that users' files lie on. Told before it is gone."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_noop

from .services import raise_alert, resolve_passed
from .texts import Text

# Told when so much is used, over when it is clearly less: around the limit nobody is told again and again.
TOLD_AT, OVER_AT = 0.90, 0.80

_SESSIONS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int
"""


@dataclass(frozen=True)
class Capacity:
    """How much of something there is, and how much of that is used."""

    used: int
    most: int

    @property
    def share(self) -> float:
        return self.used / self.most


def sessions() -> Capacity:
    """Sessions of all clients at PostgreSQL, and how many it takes from us."""
    with connection.cursor() as cursor:
        cursor.execute(_SESSIONS)
        return Capacity(*cursor.fetchone())


def disk() -> Capacity:
    """Bytes on the disk of FILES_DIR, where uploads wait as well. What only its system may use counts as used."""
    folder = Path(settings.FILES_DIR).absolute()
    while not folder.exists():
        folder = folder.parent
    found = shutil.disk_usage(folder)
    return Capacity(found.total - found.free, found.total)


def check() -> None:
    """Raise an alert for what runs out, and resolve it when there is room again."""
    used, full = sessions(), disk()
    if _runs_out(used, "sessions_run_out"):
        raise_alert(
            "sessions_run_out",
            title=Text(
                gettext_noop("%(used)s of %(most)s sessions at PostgreSQL are used"), used=used.used, most=used.most
            ),
            content=Text(
                gettext_noop(
                    "When none is left, pages and callbacks are answered 503. Raise max_connections, or run fewer "
                    "processes or threads; docs/operations.md counts what each needs."
                )
            ),
            key="sessions_run_out",
        )
    if _runs_out(full, "disk_fills"):
        raise_alert(
            "disk_fills",
            title=Text(gettext_noop("The disk of users’ files is %(share)s %% full"), share=int(full.share * 100)),
            content=Text(
                gettext_noop(
                    "When it is full, uploads fail. Make room on the disk of FILES_DIR, or configure a bucket."
                )
            ),
            key="disk_fills",
        )


def _runs_out(room: Capacity, key: str) -> bool:
    """Whether that is to be told; what was told is over where there is room again."""
    if room.share < OVER_AT:
        resolve_passed(key)
    return room.share >= TOLD_AT
