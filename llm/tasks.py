"""What Celery does for large models."""

from celery import shared_task

from . import services


@shared_task
def forget_expired_responses() -> int:
    """Delete answers to /v1/responses that nobody can find any more."""
    return services.forget_expired_responses()
