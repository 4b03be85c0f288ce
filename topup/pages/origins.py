"""What recharges and refunds in a user's statement are about: the order, with its card and its receipt."""

from collections.abc import Collection, Mapping

from django.urls import reverse
from django.utils.translation import gettext as _

from voicehelper.wallet.origins import LineOrigin

from ..models import Refund


def recharges(refs: Collection[str]) -> Mapping[str, LineOrigin]:
    """By order number, which is the reference of what an order credited."""
    return {ref: _of_order(_("Order %(number)s") % {"number": ref}, ref) for ref in refs}


def refunds(refs: Collection[str]) -> Mapping[str, LineOrigin]:
    found = Refund.objects.filter(ref__in=refs).values_list("ref", "order__order_no")
    return {ref: _of_order(_("Refund of order %(number)s") % {"number": order}, order) for ref, order in found}


def _of_order(text: str, order_no: str) -> LineOrigin:
    card, receipt = (reverse(f"topup:{name}", args=[order_no]) for name in ("payment", "receipt"))
    return LineOrigin(text, card, receipt, order_no)
