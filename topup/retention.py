"""How long what providers told us, and what we asked them, is kept. Orders, refunds and differences are books."""

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from voicehelper.retention import GrowingLog

from .models import GatewayCall, Notice, Order, Refund


def _unsettled_orders() -> "QuerySet[Order]":
    """Orders under way, with a refund under way, or waiting to be looked at."""
    refunding = Exists(Refund.objects.filter(order=OuterRef("pk"), state__in=Refund.OPEN))
    return Order.objects.filter(Q(state__in=Order.OPEN) | ~Q(review="") | Q(refunding))


def _calls_not_needed(rows: "QuerySet[Any]") -> "QuerySet[Any]":
    return rows.exclude(Exists(_unsettled_orders().filter(order_no=OuterRef("order_no"))))


def _notices_not_needed(rows: "QuerySet[Any]") -> "QuerySet[Any]":
    """Not of an unsettled order, not waiting for somebody, and not what a stored replay repeats."""
    waiting = Q(verdict__in=Notice.UNFINISHED) & ~Exists(
        Order.objects.filter(pk=OuterRef("order_id"), state__in=Order.CREDITED)
    )
    replayed = Exists(Notice.objects.filter(replay_of=OuterRef("pk")))
    return rows.exclude(waiting | replayed | Exists(_unsettled_orders().filter(pk=OuterRef("order_id"))))


LOGS = (
    GrowingLog(
        Notice,
        "received",
        months=36,
        least=6,
        why=_("Network logs: at least six months (Cybersecurity Law, article 21)."),
        spared=_notices_not_needed,
        delete=lambda ids: Notice.objects.filter(pk__in=ids).delete()[0],
    ),
    GrowingLog(
        GatewayCall,
        "created",
        months=12,
        least=6,
        why=_("Network logs: at least six months (Cybersecurity Law, article 21)."),
        spared=_calls_not_needed,
        delete=lambda ids: GatewayCall.objects.filter(pk__in=ids).delete()[0],
    ),
)
