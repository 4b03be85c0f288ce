"""Asking for a refund: the form on an order's page, and the page behind it that shows what would happen first.

The form sends nothing back, whichever key submits it. The page has no field to type in, so that only its button does;
what it showed comes back with it, and is shown again when it is not what would happen any more.
"""

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from voicehelper.accounts.models import User
from voicehelper.accounts.services import user_of
from voicehelper.admin.base import REASON_CHARS, Action, Input, RecordActions, change_url, may, url_name
from voicehelper.numbers import grouped

from .. import services
from ..models import Order, RechargeSettings, Refund, SurplusPayment
from ..money import yuan
from . import words
from .refunds import fen_of, report
from .surplus import surplus_in

TEMPLATE = "admin/topup/order/refund.html"
# What the form sends and the page sends again.
FIELDS = ("amount", "number", "reason", "take_what_is_left", "surplus")


class RefundAsking(RecordActions):
    """The button on an order's page and the page behind it."""

    def refund_action(self, request: HttpRequest, order: Order) -> Action | None:
        """The form: the amount filled in with what can go back without touching quota that is spent."""
        if order.state not in Order.CREDITED or not _may_refund(request):
            return None
        label = gettext("Refund …")
        if refusal := services.why_no_refund(order):
            return Action("refund", label, refusal=refusal)
        rest, unspent = services.refundable_fen(order), services.unspent_fen(order)
        inputs = [
            Input("amount", gettext("Amount in yuan"), value=yuan(min(rest, unspent) or rest)),
            Input("number", "", value=str(services.next_number(order)), kind="hidden"),
        ]
        if user_of(request).is_superuser and unspent < rest:
            text = gettext("Take only the quota that is left (the rest is lost to us)")
            inputs.append(Input("take_what_is_left", text, kind="checkbox"))
        return Action(
            "refund",
            label,
            hint=_hint(order, user_of(request), rest, unspent),
            asks_reason=True,
            inputs=inputs,
            address=reverse(f"admin:{url_name(self, 'refund')}", args=[order.pk]),
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.refund)
        return [path("<path:object_id>/refund/", view, name=url_name(self, "refund")), *super().get_urls()]

    def refund(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what would happen; with the page that showed it, do it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not _may_refund(request):
            raise PermissionDenied
        order = Order.objects.select_related("user").filter(pk=unquote(object_id)).first()
        if order is None:
            raise Http404
        try:
            wish = _wish(request, order)
            preview = services.preview_refund(order, **wish)
            if not preview.known and request.POST.get("seen") != _seen(preview):
                return self._show(request, order, preview)
            refund = services.submit_refund(services.request_refund(order, **wish))
        except (ValueError, services.RefundRefused) as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(change_url(order))
        told = report(refund)
        self.log_change(request, order, " · ".join([gettext("Refund"), told.text, refund.reason]))
        messages.add_message(request, messages.SUCCESS if told.ok else messages.ERROR, told.text)
        return HttpResponseRedirect(change_url(refund))

    def _show(self, request: HttpRequest, order: Order, preview: services.Preview) -> HttpResponse:
        refund = preview.refund
        context: dict[str, Any] = {
            "title": gettext("Confirm the refund"),
            "order": order,
            "refund": refund,
            "money": words.money(refund.amount_fen),
            "paid": words.money((refund.surplus or order).amount_fen),
            "quota": grouped(refund.quota),
            "lost": grouped(refund.shortfall) if refund.shortfall else "",
            "stays_money": words.money(preview.stays_fen),
            "stays_quota": grouped(preview.stays_quota),
            "gateway": words.gateway(order.gateway),
            "back": change_url(order),
            "changed": "seen" in request.POST,
            "fields": {name: request.POST.get(name, "") for name in FIELDS} | {"seen": _seen(preview)},
        }
        return self.page(request, TEMPLATE, context)


def _hint(order: Order, user: User, rest: int, unspent: int) -> str:
    facts = {"rest": words.money(rest), "unspent": words.money(min(rest, unspent))}
    hint = gettext("Up to %(rest)s can go back; the user’s quota still covers %(unspent)s.") % facts
    if order.surplus_payments.exists():
        hint += " " + gettext("This is of the payment that was credited, and takes its quota back.")
    if user.is_superuser:
        return hint
    limit = words.money(RechargeSettings.load().approve_refunds_above_fen)
    hint += " " + gettext("Above %(limit)s a second person must approve it.") % {"limit": limit}
    if used := services.counted_fen(order, user):
        text = gettext("%(used)s of that are used up: by refunds of this order, or of a day to this user or by you.")
        hint += " " + text % {"used": words.money(used)}
    return hint


def _wish(request: HttpRequest, order: Order) -> dict[str, Any]:
    """What is asked for, as `request_refund` takes it. Raises ValueError."""
    reason, number = request.POST.get("reason", "").strip()[:REASON_CHARS], request.POST.get("number", "")
    if not reason:
        raise ValueError(gettext("Say why: the reason is kept with the record."))
    return {
        "amount_fen": fen_of(request.POST.get("amount", "")),
        "number": int(number) if number.isdecimal() else 0,
        "actor": user_of(request),
        "reason": reason,
        "take_what_is_left": request.POST.get("take_what_is_left") == "on",
        "surplus": _chosen(request, order),
    }


def _chosen(request: HttpRequest, order: Order) -> SurplusPayment | None:
    """The surplus payment that is meant, if any. Raises ValueError rather than meaning the order's own."""
    surplus = surplus_in(request, order)
    if surplus is None and request.POST.get("surplus"):
        raise ValueError(gettext("Something changed meanwhile: look at the order again."))
    return surplus


def _seen(preview: services.Preview) -> str:
    """What must still be so when the button is pressed."""
    refund = preview.refund
    return f"{refund.amount_fen}/{refund.quota}/{'waits' if refund.needs_approval else 'sent'}"


def _may_refund(request: HttpRequest) -> bool:
    return may(request, Order, "change") and may(request, Refund, "add")
