"""Scheduled work on large models."""

from celery import shared_task

from . import services
from .chat.arranging import arrange
from .chat.writings import settle_orphans
from .relay import loops


@shared_task
def settle_orphaned_answers() -> int:
    """Charge what came of answers whose processes died, and say that they broke off. Returns how many there were."""
    return loops.run(settle_orphans())


@shared_task
def forget_expired_responses() -> int:
    """Delete answers to /v1/responses that nobody can find any more."""
    return services.forget_expired_responses()


@shared_task
def arrange_old_messages() -> int:
    """Give questions of the release before their place, and have its messages found by their words, in batches.
    Returns how many batches there were; what is left is for the next round."""
    return arrange()
