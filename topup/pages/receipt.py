"""The receipt of a paid order: what a buyer keeps, prints, or reads to whoever asks for it."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from voicehelper.accounts.services import user_of
from voicehelper.numbers import grouped
from voicehelper.wallet.models import Entry

from .. import services
from ..gateways import label_of
from ..models import Order, RechargeSettings, Refund
from . import display


@dataclass(frozen=True)
class PrintedReceipt:
    """What was paid and credited; `balance` is that of the moment after. All but `paid_at` are texts."""

    order: Order
    paid_at: datetime | None
    method: str
    transaction: str
    pay: str
    refunded: str
    credit: str
    bonus: str
    balance: str
    merchant: str
    contact: str


@never_cache
@login_required
@require_safe
def receipt(request: HttpRequest, order_no: str) -> HttpResponse:
    """Of one of the user's own orders, once it is paid."""
    try:
        order = services.order_of(user_of(request), order_no)
    except services.NoSuchOrder:
        raise Http404 from None
    if order.state not in Order.CREDITED:
        raise Http404
    return render(request, "topup/receipt.html", {"receipt": _receipt_of(order)})


def _receipt_of(order: Order) -> PrintedReceipt:
    rules = RechargeSettings.load()
    entry = Entry.objects.filter(kind=Entry.Kind.TOPUP, ref=order.order_no).first()
    back = order.refunds.filter(state=Refund.State.SUCCEEDED, surplus=None).values_list("amount_fen", flat=True)
    return PrintedReceipt(
        order=order,
        paid_at=order.paid_at or order.credited_at,
        method=label_of(order.gateway),
        transaction=_("confirmed by the administrator") if order.without_proof else order.transaction_id or "",
        pay=display.money(order.amount_fen),
        refunded=display.money(sum(back)) if back else "",
        credit=grouped(order.quota),
        bonus=grouped(order.bonus_quota) if order.bonus_quota else "",
        balance=grouped(entry.balance_after) if entry else "",
        merchant=display.seller(rules),
        contact=rules.support_contact,
    )
