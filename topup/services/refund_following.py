"""The sweep over refunds whose outcome is not known yet."""

import logging
from collections.abc import Sequence
from time import monotonic

from django.db import transaction
from django.db.models.functions import Now

from ..models import Refund
from .refund_settling import ASK_EVERY, ask_again_after, report_slow
from .refunding import ask_refund

log = logging.getLogger(__name__)


def settle_unknown_refunds(*, limit: int = 200, budget_s: int = 50) -> int:
    """Look after every refund whose time to be asked about has come; returns how many were looked after.

    Batches are claimed as those of orders are: two sweeps never do the same work, and a killed one is made up for.
    """
    deadline = monotonic() + budget_s
    done = 0
    while done < limit and monotonic() < deadline:
        batch = _claim(min(5, limit - done))
        if not batch:
            break
        for refund in batch:
            try:
                follow_refund(refund)
            except Exception:
                # It is asked about again, and must not keep the others waiting.
                log.exception("Looking after refund %s failed", refund)
        done += len(batch)
    return done


def _claim(size: int) -> Sequence[Refund]:
    with transaction.atomic():
        due = Refund.objects.select_for_update(skip_locked=True).filter(next_ask_at__lte=Now()).order_by("next_ask_at")
        keys = list(due.values_list("pk", flat=True)[:size])
        Refund.objects.filter(pk__in=keys).update(next_ask_at=Now() + ASK_EVERY)
    return list(Refund.objects.filter(pk__in=keys).select_related("order__user"))


def follow_refund(refund: Refund) -> None:
    """One claimed refund: send it if nobody did, else ask about it."""
    if refund.state not in Refund.OPEN:
        Refund.objects.filter(pk=refund.pk).update(next_ask_at=None)
        return
    ask_refund(refund)
    refund.refresh_from_db()
    if refund.state in Refund.OPEN:
        Refund.objects.filter(pk=refund.pk, state=refund.state).update(next_ask_at=Now() + ask_again_after(refund))
        report_slow(refund)
