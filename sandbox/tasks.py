"""Celery: notices that were not acknowledged are sent again."""

from celery import shared_task

from . import deliveries


@shared_task(name="sandbox.tasks.deliver")
def deliver(limit: int = 100) -> int:
    """Send what is due. May run twice at once: every notice is claimed first."""
    return deliveries.deliver(limit)
