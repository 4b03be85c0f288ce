"""What the one search box finds of recharging: orders, refunds, codes; and whom to ask about a number nobody knows."""

from collections.abc import Iterable

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin import finding
from voicehelper.admin.base import list_url, may
from voicehelper.admin.columns import moment
from voicehelper.admin.finding import AskOutside, Finder
from voicehelper.numbers import grouped

from ..gateways import GATEWAYS, label_of
from ..models import CodeBatch, Order, RedemptionCode, Refund, SurplusPayment
from ..models.codes import plain
from . import words
from .order_search import remembered, who_may_know


def _numbered(term: str) -> Q | None:
    """Our number, or the platform's, of its payment or of one too many."""
    surplus = list(SurplusPayment.objects.filter(transaction_id=term).values_list("order", flat=True))
    for which in (Q(order_no=term.lower()), Q(gateway__in=GATEWAYS, transaction_id=term), Q(pk__in=surplus)):
        if Order.objects.filter(which).exists():
            return which
    return None


def _remembered(term: str) -> Q | None:
    """An amount, a time, or the beginning of a number."""
    if len(term) >= 12 and term.isalnum() and term[:8].isdigit():
        return Q(order_no__startswith=term.lower())
    memory = remembered(term)
    return memory.which if memory else None


def _order_note(order: Order) -> str:
    facts = (order.user, words.money(order.amount_fen), order.get_state_display(), moment(order.created))
    return " · ".join(str(fact) for fact in facts)


def _refund_note(refund: Refund) -> str:
    facts = (refund.order, words.money(refund.amount_fen), refund.get_state_display(), moment(refund.created))
    return " · ".join(str(fact) for fact in facts)


def _code(term: str) -> RedemptionCode | None:
    text = plain(term)
    if not text:
        return None
    found = RedemptionCode.objects.filter(digest=RedemptionCode.digest_of(text))
    return found.select_related("batch", "redeemed_by").first()


def _batch_of(term: str) -> Q | None:
    code = _code(term)
    return Q(pk=code.batch_id) if code else None


def _fate_of(term: str) -> str:
    """What became of a code."""
    code = _code(term)
    if code is None:
        return ""
    facts = {"code": code, "user": code.redeemed_by, "time": moment(code.redeemed_at)}
    if code.redeemed_by:
        return gettext("Code %(code)s of this batch was redeemed by %(user)s on %(time)s.") % facts
    return gettext("Code %(code)s of this batch has not been redeemed.") % facts


def _ask_platforms(request: HttpRequest, term: str) -> Iterable[AskOutside]:
    """For whoever may credit what they answer."""
    if not may(request, Order, "change"):
        return
    for name in who_may_know(term):
        label = gettext("Ask %(label)s") % {"label": label_of(name)}
        yield AskOutside(label, reverse("admin:topup_order_ask_payment"), (("gateway", name), ("number", term)))


def join() -> None:
    finding.finds(
        Finder(
            10,
            Order,
            _("our number, the platform’s transaction number, the amount, the time: 73.00 14:20"),
            "receipt_long",
            exactly=_numbered,
            nearly=_remembered,
            note=_order_note,
            more=lambda term: list_url(Order, q=term),
        ),
        Finder(
            20,
            Refund,
            _("the refund’s number"),
            "undo",
            exactly=lambda term: Q(refund_no=term),
            note=_refund_note,
        ),
        Finder(
            50,
            CodeBatch,
            _("the whole code, or the batch’s name"),
            "redeem",
            exactly=_batch_of,
            nearly=lambda term: Q(name__iexact=term),
            note=lambda batch: grouped(batch.quota),
            is_secret=lambda term: bool(plain(term)),
            told=_fate_of,
        ),
    )
    finding.asks(_ask_platforms)
