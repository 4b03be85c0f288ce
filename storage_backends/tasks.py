"""Scheduled work on files."""

from celery import shared_task

from . import sweeping


@shared_task
def sweep_files() -> int:
    """Finish what crashes left, and compare a piece of each bucket with its rows. Returns how many were cleared."""
    return sweeping.sweep()
