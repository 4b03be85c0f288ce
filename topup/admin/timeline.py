"""The life of an order as a list of moments: what happened, who did it, and where to look closer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext

from voicehelper.admin.base import change_url, may
from voicehelper.numbers import grouped
from voicehelper.wallet.actors import named
from voicehelper.wallet.models import Entry

from ..models import GatewayCall, Notice, Order, Refund
from ..services import place_of
from ..stored_texts import in_words
from . import words


@dataclass(frozen=True)
class Moment:
    """One point of the time line; `tone` colours its dot."""

    when: datetime
    title: str
    detail: object = ""
    url: str = ""
    tone: str = "default"


def timeline(order: Order, request: HttpRequest) -> list[Moment]:
    """Everything known about an order, oldest first, with links to what this operator may see."""
    moments = [*_milestones(order), *_calls(order, request), *_notices(order, request)]
    moments += [*_entries(order, request), *_operators(order)]
    for refund in order.refunds.all():
        moments += [*refund_timeline(refund, request)]
    return sorted(moments, key=lambda moment: moment.when)


def _milestones(order: Order) -> Iterator[Moment]:
    yield Moment(order.created, gettext("Order created"), f"{order.user} · {order.client_ip}")
    if order.offered_at:
        scanned = order.pay_url and not place_of(order).is_page
        yield Moment(order.offered_at, gettext("QR code shown") if scanned else gettext("Payment offered"), tone="info")
    if order.state in Order.OPEN:
        yield Moment(order.expires_at, gettext("Offer ends"), tone="future")
    if order.paid_at:
        yield Moment(
            order.paid_at, gettext("Paid, by the provider’s clock"), order.transaction_id or "", tone="success"
        )
    if order.closed_at:
        yield Moment(order.closed_at, gettext("Closed"))
    if order.credited_at:
        source = words.SOURCES.get(order.credited_by, order.credited_by)
        late = gettext("after it had been closed") if order.paid_late else ""
        text = gettext("%(quota)s quota, through %(source)s") % {"quota": grouped(order.quota), "source": source}
        yield Moment(order.credited_at, gettext("Credited"), " · ".join(filter(None, [text, late])), tone="success")


def _calls(order: Order, request: HttpRequest) -> Iterator[Moment]:
    names = {
        "create": gettext("Order registered at the provider"),
        "query": gettext("Provider asked"),
        "close": gettext("Provider told to close"),
        "refund": gettext("Provider told to refund"),
        "refund query": gettext("Provider asked about a refund"),
    }
    url = may(request, GatewayCall, "view")
    for call in GatewayCall.objects.filter(order_no=order.order_no).order_by("-pk")[:50]:
        took = gettext("took %(ms)d ms") % {"ms": call.elapsed_ms}
        title = names.get(call.operation, call.operation)
        tone = "info" if call.outcome == "ok" else words.OUTCOME_TONES.get(call.outcome, "default")
        detail = format_html("{} {}", words.outcome(call.outcome), took)
        yield Moment(call.created, title, detail, change_url(call) if url else "", tone)


def _notices(order: Order, request: HttpRequest) -> Iterator[Moment]:
    url = may(request, Notice, "view")
    for notice in Notice.objects.filter(order=order).order_by("-pk")[:50]:
        title = (
            gettext("Notice replayed by %(who)s") % {"who": notice.actor}
            if notice.actor
            else gettext("Notice received")
        )
        tone = words.VERDICT_TONES[Notice.Verdict(notice.verdict)]
        detail = format_html("{} {}", words.verdict(notice), in_words(notice.detail))
        yield Moment(notice.received, title, detail, change_url(notice) if url else "", tone)


def refund_timeline(refund: Refund, request: HttpRequest) -> Iterator[Moment]:
    """The life of one refund."""
    url = change_url(refund) if may(request, Refund, "view") else ""
    money = words.money(refund.amount_fen)
    asked = gettext("%(money)s, by %(who)s") % {"money": money, "who": refund.requested_by}
    console = refund.source == Refund.Source.CONSOLE
    title = gettext("Refund found at the payment platform") if console else gettext("Refund requested")
    yield Moment(refund.created, title, " · ".join(filter(None, [asked, refund.reason])), url, "info")
    if refund.submitted_at and not console:
        yield Moment(refund.submitted_at, gettext("Refund sent"), money, url, "info")
    if refund.finished_at:
        done = refund.state == Refund.State.SUCCEEDED
        title = gettext("Refund confirmed") if done else gettext("Refund failed")
        quota = gettext("%(quota)s quota taken back") % {"quota": grouped(refund.quota)}
        yield Moment(
            refund.finished_at, title, quota if done else in_words(refund.said), url, "success" if done else "danger"
        )


def _entries(order: Order, request: HttpRequest) -> Iterator[Moment]:
    url = may(request, Entry, "view")
    refs = [order.order_no, *order.refunds.values_list("ref", flat=True)]
    for entry in Entry.objects.filter(kind__in=[Entry.Kind.TOPUP, Entry.Kind.REFUND], ref__in=refs):
        amounts = {"amount": f"{entry.amount:+,}", "balance": grouped(entry.balance_after)}
        detail = gettext("%(amount)s, balance %(balance)s") % amounts
        if entry.reason:
            detail += " · " + gettext("%(who)s: %(reason)s") % {"who": named(entry.actor), "reason": entry.reason}
        title = gettext("Written to the ledger")
        yield Moment(entry.created, title, detail, change_url(entry) if url else "", "success")


def _operators(order: Order) -> Iterator[Moment]:
    kind = ContentType.objects.get_for_model(Order)
    for entry in LogEntry.objects.filter(content_type=kind, object_id=str(order.pk)).select_related("user")[:50]:
        title = gettext("Operator %(who)s") % {"who": entry.user}
        yield Moment(entry.action_time, title, entry.get_change_message())
