"""What is to be said of each job of the schedule: its last run, its next, whether it is late; and what stands still."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery.schedules import crontab
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from voicehelper import clock

from .job_names import JobName, name_of
from .job_runs import LONGEST, workers
from .jobs import deadline
from .models import JobRun

# Some job begins every five seconds: when none did for so long, something stands still.
QUIET = timedelta(seconds=90)


@dataclass(frozen=True)
class JobLine:
    """A job as it stands. `late_since`: it should have succeeded again by then; `killed`: its last run never ended."""

    name: str
    label: JobName
    every: str
    run: JobRun | None
    next_at: datetime
    late_since: datetime | None
    running: bool
    killed: bool

    @property
    def took(self) -> str:
        """How long the last run took."""
        took_ms = self.run.took_ms if self.run else None
        if took_ms is None:
            return "—"
        return (
            _("%(count)d ms") % {"count": took_ms} if took_ms < 1000 else _("%(count).1f s") % {"count": took_ms / 1000}
        )


@dataclass(frozen=True)
class Standstill:
    """What does not run, and what to do."""

    title: str
    text: str


def lines() -> list[JobLine]:
    """Every job of the schedule, the late ones first, then in the schedule's order."""
    now, runs = clock.now(), {run.name: run for run in JobRun.objects.all()}
    found = [_line(name, entry, runs.get(name), now) for name, entry in settings.CELERY_BEAT_SCHEDULE.items()]
    return sorted(found, key=lambda line: line.late_since is None)


def standstill(jobs: Sequence[JobLine]) -> Standstill | None:
    """None while jobs begin as they should; else whether it is the queue, the workers or beat."""
    now = clock.now()
    moments = [each for line in jobs if line.run for each in (line.run.running, line.run.started) if each]
    if moments and now - max(moments) < QUIET:
        return None
    answering = workers()
    if answering is None:
        return Standstill(_("The queue does not answer"), _("Redis (REDIS_URL) cannot be reached: no job is begun."))
    if not answering:
        return Standstill(_("No worker runs"), _("Start one: celery -A voicehelper worker. Its log says more."))
    return Standstill(_("Beat does not run"), _("Workers answer, but nobody says what is due: start celery beat."))


def _line(name: str, entry: Mapping[str, Any], run: JobRun | None, now: datetime) -> JobLine:
    schedule = entry["schedule"]
    due = deadline(schedule, run.succeeded) if run else None
    began = run.running if run else None
    return JobLine(
        name,
        name_of(name),
        _every(schedule),
        run,
        _next(schedule, run, now),
        due if due is not None and due < now else None,
        running=began is not None and now - began < LONGEST,
        killed=began is not None and now - began >= LONGEST,
    )


def _every(schedule: Any) -> str:
    """How often, in words."""
    if isinstance(schedule, crontab):
        hours, minutes = (sorted(getattr(schedule, name)) for name in ("hour", "minute"))
        times = [f"{hour:02}:{minute:02}" for hour in hours for minute in minutes]
        if len(times) > 4:
            return _("hourly, %(first)s to %(last)s") % {"first": times[0], "last": times[-1]}
        return _("daily at %(times)s") % {"times": _(", ").join(times)}
    seconds = int(schedule.total_seconds() if isinstance(schedule, timedelta) else schedule)
    if seconds % 60:
        return ngettext("every second", "every %(count)d seconds", seconds) % {"count": seconds}
    return ngettext("every minute", "every %(count)d minutes", seconds // 60) % {"count": seconds // 60}


def _next(schedule: Any, run: JobRun | None, now: datetime) -> datetime:
    """When it is due; now, for what is due already."""
    if isinstance(schedule, crontab):
        start, wait, _now = schedule.remaining_delta(now)
        due: datetime = start + wait
        return due
    every = schedule if isinstance(schedule, timedelta) else timedelta(seconds=schedule)
    begun = max((each for each in (run.running, run.started) if each), default=None) if run else None
    return max(now, begun + every) if begun else now
