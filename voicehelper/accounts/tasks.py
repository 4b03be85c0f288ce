"""Scheduled work on what operators began."""

from celery import shared_task

from voicehelper import rotation


@shared_task
def rotate_secrets() -> int:
    """Go on encrypting secrets anew, when somebody asked for it. Returns how many rows are done."""
    found = rotation.work()
    return found.done if found else 0
