"""Scheduled work on accounts."""

from celery import shared_task

from voicehelper import rotation

from . import deleting, low_balance, sessions


@shared_task(time_limit=3600)
def delete_accounts() -> int:
    """Delete the accounts whose time has come, and finish what was begun. Returns how many."""
    return deleting.carry_out_due()


@shared_task
def forget_ended_sessions() -> int:
    """Delete the rows of sessions that are over. Returns how many."""
    return sessions.forget_ended()


@shared_task
def tell_of_low_balances() -> int:
    """Mail users whose balance fell to their threshold."""
    return low_balance.tell()


@shared_task
def rotate_secrets() -> int:
    """Go on encrypting secrets anew, when somebody asked for it. Returns how many rows are done."""
    found = rotation.work()
    return found.done if found else 0
