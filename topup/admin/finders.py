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
from ..services.redeeming import code_typed
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


def _typed(term: str) -> Q | None:
    code = code_typed(term) if plain(term) else None
    return Q(pk=code.pk) if code else None


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
            RedemptionCode,
            _("the whole code"),
            "redeem",
            exactly=_typed,
            note=lambda code: str(code.batch),
            is_secret=lambda term: bool(plain(term)),
        ),
        Finder(
            55,
            CodeBatch,
            _("the name of a batch of codes"),
            "redeem",
            exactly=lambda term: None,
            nearly=lambda term: Q(name__iexact=term),
            note=lambda batch: grouped(batch.quota),
        ),
    )
    finding.asks(_ask_platforms)
