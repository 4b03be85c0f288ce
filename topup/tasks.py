"""Scheduled work on orders and refunds. Each task may run twice, and calls one service."""

from datetime import timedelta

from celery import shared_task
from django.db.models.functions import Now

from . import inbox, services
from .models import Notice

KEEP_UNVERIFIED = timedelta(days=30)


@shared_task
def close_expired_orders() -> int:
    """Ask about open orders, credit the paid ones, close those whose time is over."""
    return services.follow_orders()


@shared_task
def settle_unknown_refunds() -> int:
    """Send refunds that nobody sent, and ask about those whose outcome is not known."""
    return services.settle_unknown_refunds() + inbox.follow_refund_hints()


@shared_task
def warn_of_expiry() -> int:
    """Say in time that a certificate expires."""
    return services.warn_of_expiry()


@shared_task
def forget_rejected_notices() -> int:
    """Delete month-old notices that no signature stood behind."""
    old = Notice.objects.filter(verdict__in=Notice.UNVERIFIED, received__lt=Now() - KEEP_UNVERIFIED)
    return old.delete()[0]
