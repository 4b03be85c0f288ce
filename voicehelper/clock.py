"""What time it is, according to the database: every server process agrees, whatever its own clock says."""

from datetime import date, datetime, time
from typing import cast
from zoneinfo import ZoneInfo

from django.db import connection

BEIJING = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    """The database's clock as an aware datetime in UTC. Inside a transaction it still moves on (clock_timestamp)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (moment,) = cursor.fetchone()
    return cast(datetime, moment)


def today() -> date:
    """The day it is in Beijing."""
    return now().astimezone(BEIJING).date()


def midnight(day: date) -> datetime:
    """When a day begins in Beijing."""
    return datetime.combine(day, time(), BEIJING)


def month_later(day: date, months: int) -> date:
    """The first day of the month so many months on; 0: of its own."""
    year, index = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, index + 1, 1)


def beijing_iso(moment: datetime | None) -> str | None:
    """A moment as the API writes it: ISO 8601 in Beijing time, to the second."""
    return moment.astimezone(BEIJING).isoformat(timespec="seconds") if moment else None
