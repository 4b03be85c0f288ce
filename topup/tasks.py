"""Scheduled work on orders and refunds. Each task may run twice, and calls one service."""

from contextlib import suppress
from datetime import date, timedelta

from celery import shared_task
from django.db.models.functions import Now

from . import services
from .models import Notice
from .services import receiving, reconciliation

KEEP_UNVERIFIED = timedelta(days=30)
FORGET_AT_ONCE = 1_000


@shared_task
def close_expired_orders() -> int:
    """Ask about open orders, credit the paid ones, close those whose time is over."""
    return services.follow_orders()


@shared_task
def settle_unknown_refunds() -> int:
    """Send refunds that nobody sent, and ask about those whose outcome is not known."""
    return services.settle_unknown_refunds() + receiving.follow_refund_hints()


# A million rows, and what has to be asked about, may take longer than a sweep.
@shared_task(time_limit=7200)
def reconcile() -> int:
    """Compare yesterday's bills with our books. Fails when one is not to be had yet: the next beat tries again."""
    return reconciliation.reconcile_due()


@shared_task(time_limit=7200)
def reconcile_day(gateway: str, day: str, actor: str, merchant_id: str = "", live: bool = True) -> None:
    """What an operator asked for, of one merchant or of all that had a part in the day; its page says what came of
    it."""
    date_ = date.fromisoformat(day)
    with suppress(reconciliation.NoBill):
        one = [reconciliation.Merchant(gateway, merchant_id, live)]
        for merchant in one if merchant_id else reconciliation.merchants_of_day(gateway, date_):
            with suppress(reconciliation.NoBill, reconciliation.ReconciliationUnderWay):
                reconciliation.reconcile(merchant, date_, actor=actor)


@shared_task
def warn_of_expiry() -> int:
    """Say in time that a certificate expires."""
    return services.warn_of_expiry()


@shared_task
def refresh_certificates() -> int:
    """Fetch providers' certificates before what they sign with changes. Fails when one gives none."""
    return services.refresh_certificates()


@shared_task
def forget_rejected_notices() -> int:
    """Delete month-old notices that no signature stood behind."""
    old = Notice.objects.filter(verdict__in=Notice.UNVERIFIED, received__lt=Now() - KEEP_UNVERIFIED)
    deleted = 0
    # A flood of them need not fit into memory.
    while ids := list(old.values_list("pk", flat=True)[:FORGET_AT_ONCE]):
        deleted += Notice.objects.filter(pk__in=ids).delete()[0]
    return deleted
