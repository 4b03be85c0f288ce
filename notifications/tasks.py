"""Scheduled work on alerts."""

from celery import shared_task

from . import jobs
from .delivery import deliver


@shared_task
def deliver_alerts() -> int:
    """See which jobs are late, and send what waits. Returns how many messages left."""
    jobs.check()
    return deliver()
