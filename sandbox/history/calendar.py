"""When things happened: Beijing days up to now, busier by day than by night, and a little busier every week."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

BEIJING = ZoneInfo("Asia/Shanghai")
DAYS = 30
SEED = 20_261_130
# How much happens in each hour of a day.
_HOURS = [1, 1, 1, 1, 1, 1, 2, 4, 7, 10, 11, 10, 8, 9, 11, 11, 10, 9, 8, 9, 10, 8, 5, 2]


@dataclass(frozen=True)
class Calendar:
    """The days of the history, today the last; `chance` is what everything is drawn from."""

    now: datetime
    chance: random.Random

    @classmethod
    def up_to(cls, now: datetime) -> "Calendar":
        return cls(now, random.Random(SEED))  # noqa: S311  # nothing secret

    @property
    def today(self) -> date:
        return self.now.astimezone(BEIJING).date()

    @property
    def days(self) -> Sequence[date]:
        return [self.today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]

    def ago(self, **since: float) -> datetime:
        return self.now - timedelta(**since)

    def moments(self, day: date, count: int) -> list[datetime]:
        """So many moments of a day, in order; of today only what is over, and fewer the younger it is."""
        hours = self.chance.choices(range(24), _HOURS, k=count)
        found = [self.at(day, hour, self.chance.randrange(3600)) for hour in hours]
        return sorted(moment for moment in found if moment < self.now - timedelta(minutes=2))

    @staticmethod
    def at(day: date, hour: int, second: int = 0) -> datetime:
        return datetime.combine(day, time(hour), BEIJING) + timedelta(seconds=second)

    def digits(self, count: int) -> str:
        return f"{self.chance.randrange(10**count):0{count}d}"
