"""Scheduled work on accounts."""

from celery import shared_task

from . import low_balance


@shared_task
def tell_of_low_balances() -> int:
    """Mail users whose balance fell to their threshold."""
    return low_balance.tell()
