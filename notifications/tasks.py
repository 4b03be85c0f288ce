"""Scheduled work on alerts."""

from celery import shared_task

from . import jobs, room
from .delivery import deliver


@shared_task
def deliver_alerts() -> int:
    """See which jobs are late, and send what waits. Returns how many messages left."""
    jobs.check()
    return deliver()


@shared_task
def check_room() -> None:
    """See whether anything that can run out does."""
    room.check()
