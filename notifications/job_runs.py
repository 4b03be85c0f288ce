"""How each job of the schedule ran the last time, whether it runs now, and running one because somebody asks.

Workers note it in the job's row: the row says who runs it, so that the end of an earlier run hides no later one. What
cannot be noted never keeps a job from its work.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import Error, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from voicehelper import clock

from .models import JobRun

log = logging.getLogger(__name__)

# No job runs longer: Celery ends it. One that seems to was killed, and its row free again.
LONGEST = timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT + 60)
# What was asked for and not begun by then is forgotten: the worker did not take it.
ASKED_FOR = timedelta(seconds=60)


class NotRun(Exception):
    """It is not run now; the text says why, in the reader's language."""


def entries(task: str, kwargs: dict[str, Any]) -> list[str]:
    """The jobs of the schedule that run this task so."""
    schedule = settings.CELERY_BEAT_SCHEDULE
    return [name for name, each in schedule.items() if each["task"] == task and each.get("kwargs", {}) == kwargs]


@contextmanager
def noted(task: str, kwargs: dict[str, Any], run: str | None) -> Iterator[None]:
    """Note that a job runs meanwhile, and how it ends. `run` is the task's id; without one it is only a call."""
    names = entries(task, kwargs) if run else []
    begun = [name for name in names if _begin(name, str(run))]
    since = time.monotonic_ns()
    try:
        yield
    except BaseException as error:
        _end(begun, str(run), since, first_line(error))
        raise
    _end(begun, str(run), since, "")


def first_line(error: BaseException) -> str:
    """What went wrong, in a line: its kind and the first line of its text."""
    text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text}"[:300].removesuffix(": ")


def _begin(name: str, run: str) -> bool:
    facts = {"running": Now(), "running_id": run, "asked_at": None}
    try:
        if not JobRun.objects.filter(pk=name).update(**facts):
            JobRun.objects.update_or_create(name=name, defaults=facts)
    except Error as error:
        log.warning("The start of %s could not be noted: %s", name, type(error).__name__)
        return False
    return True


def _end(names: list[str], run: str, since_ns: int, error: str) -> None:
    took_ms = (time.monotonic_ns() - since_ns) // 1_000_000
    for name in names:
        try:
            now = clock.now()
            began = now - timedelta(milliseconds=took_ms)
            with transaction.atomic():
                JobRun.objects.filter(pk=name, running_id=run).update(running=None, running_id="")
                earlier = Q(started=None) | Q(started__lte=began)
                JobRun.objects.filter(earlier, pk=name).update(started=began, took_ms=took_ms, error=error)
        except Error as trouble:
            log.warning("The end of %s could not be noted: %s", name, type(trouble).__name__)


def run_now(name: str) -> None:
    """Put a job into the queue, for whoever asks. Raises NotRun: it runs, is asked for already, is no job, or Redis
    does not answer."""
    entry = settings.CELERY_BEAT_SCHEDULE.get(name)
    if entry is None:
        raise NotRun(_("There is no such job."))
    JobRun.objects.bulk_create([JobRun(name=name)], ignore_conflicts=True)
    idle = Q(running=None) | Q(running__lt=Now() - LONGEST)
    unasked = Q(asked_at=None) | Q(asked_at__lt=Now() - ASKED_FOR)
    if not JobRun.objects.filter(idle & unasked, pk=name).update(asked_at=Now()):
        runs = JobRun.objects.filter(pk=name).exclude(idle).exists()
        raise NotRun(_("It runs just now.") if runs else _("Somebody has asked for it already."))
    try:
        options: dict[str, Any] = {"expires": ASKED_FOR.total_seconds(), "retry": False}
        current_app.send_task(entry["task"], kwargs=entry.get("kwargs", {}), **options)
    except OperationalError as error:
        JobRun.objects.filter(pk=name).update(asked_at=None)
        raise NotRun(_("The queue does not answer: is Redis running?")) from error


def workers() -> list[str] | None:
    """The workers that answer at once, by name; None when the queue does not answer."""
    with suppress(OperationalError, RedisError, OSError):
        return [name for answer in current_app.control.ping(timeout=0.5) or () for name in answer]
    return None
