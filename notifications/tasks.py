"""Scheduled work on alerts."""

from celery import shared_task

from . import jobs, mail, room
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


@shared_task
def deliver_mails() -> int:
    """Send what waits for users. Returns how many mails left."""
    return mail.deliver()


@shared_task
def forget_old_mails() -> int:
    """Delete what was sent, or given up, long ago. Returns how many."""
    return mail.forget_old()
