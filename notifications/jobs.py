"""The dead man's switch: each job of the schedule leaves a mark when it succeeds, and one that is late is an alert.

Celery makes its tasks of `Job`. `check` runs in the sweep, and in the web processes, in case it is the sweep (or the
whole worker, or beat) that is dead.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import Task
from celery.schedules import crontab
from django.conf import settings
from django.db import Error, connection
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from voicehelper import clock
from voicehelper.middleware import known_as

from . import job_runs
from .delivery import deliver
from .job_names import name_of
from .models import Alert, JobRun
from .services import raise_alert, resolve_all_passed
from .texts import Text

log = logging.getLogger(__name__)

# How long after its time a job is late: one that runs every few seconds, and one that runs at an hour.
LATE_INTERVAL = timedelta(minutes=2)
LATE_CRONTAB = timedelta(hours=1)
WATCH_S = 60.0
# After a stop of everything the jobs catch up first: a process that has just started has no right to complain.
SETTLE_S = 180.0
_started = time.monotonic()
SWEEP = "deliver_alerts"


class Job(Task):  # type: ignore[type-arg]  # generic only in the stubs
    """A Celery task that leaves a mark when it succeeds, notes how it ended, and whose logs carry its id."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with known_as(str(self.request.id or "-")), job_runs.noted(self.name, kwargs, self.request.id):
            return super().__call__(*args, **kwargs)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        try:
            succeeded(self.name, kwargs or {})
        except Error as error:
            log.warning("The success of %s could not be noted: %s", self.name, type(error).__name__)


@dataclass(frozen=True)
class Late:
    """A job that should have succeeded again by now."""

    name: str
    since: datetime


def succeeded(task: str, kwargs: dict[str, Any]) -> None:
    """Note it for the entries of the schedule that run this task so."""
    for name in job_runs.entries(task, kwargs):
        JobRun.objects.update_or_create(name=name, defaults={"succeeded": Now()})


def late() -> list[Late]:
    """The jobs that are late. One never heard of is expected from now on."""
    marks = dict(JobRun.objects.values_list("name", "succeeded"))
    missing = settings.CELERY_BEAT_SCHEDULE.keys() - marks.keys()
    JobRun.objects.bulk_create([JobRun(name=name) for name in sorted(missing)], ignore_conflicts=True)
    now = clock.now()
    return list(_late(marks, now))


def _late(marks: dict[str, datetime], now: datetime) -> Iterator[Late]:
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        last = marks.get(name)
        if last is not None and now > deadline(entry["schedule"], last):
            yield Late(name, last)


def deadline(schedule: Any, last: datetime) -> datetime:
    """Until when a job that succeeded at `last` may take to succeed again. `schedule` as beat knows it."""
    if isinstance(schedule, crontab):
        start, wait, _now = schedule.remaining_delta(last)
        due: datetime = start + wait
        return due + LATE_CRONTAB
    every = schedule if isinstance(schedule, timedelta) else timedelta(seconds=schedule)
    return last + every + max(LATE_INTERVAL, every * 2)


def check() -> list[Late]:
    """Raise an alert for each late job, and resolve those of jobs that ran again."""
    if time.monotonic() - _started < SETTLE_S:
        return []
    found = late()
    open_keys = set(Alert.objects.filter(event="job_missed", resolved_at=None).values_list("key", flat=True))
    for job in found:
        if f"job:{job.name}" not in open_keys:
            raise_alert(
                "job_missed",
                title=Text(
                    gettext_noop("%(job)s has not succeeded since %(time)s"),
                    job=name_of(job.name).title,
                    time=f"{job.since.astimezone(clock.BEIJING):%Y-%m-%d %H:%M}",
                ),
                content=Text(
                    gettext_noop(
                        "Are Celery’s worker and beat running? The jobs page and their logs say more (%(job)s)."
                    ),
                    job=job.name,
                ),
                key=f"job:{job.name}",
                about=JobRun(name=job.name),
            )
    well = open_keys - {f"job:{job.name}" for job in found}
    if well:
        resolve_all_passed(well)
    return found


def start_watching() -> None:
    """Look every minute from this process, in a thread that dies with it."""
    threading.Thread(target=_watch, name="jobs", daemon=True).start()


def _watch() -> None:
    while True:
        time.sleep(WATCH_S)
        try:
            look()
        except Error as error:
            log.warning("The scheduled jobs could not be looked at: %s", type(error).__name__)
        finally:
            connection.close()


def look() -> None:
    """See which jobs are late; when the sweep is, do its work here: nobody else would tell."""
    if any(job.name == SWEEP for job in check()):
        deliver()
