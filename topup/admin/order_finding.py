"""The orders' one box: what is found by it, and the question to a platform about a number that is not known here."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import change_url, list_url, may, url_name
from voicehelper.admin.filters import users_like
from voicehelper.admin.keyset import EndlessAdmin

from .. import services
from ..gateways import GATEWAYS, label_of
from ..models import Order, SurplusPayment
from . import answers
from .order_search import remembered, who_may_know


class OrderFinding(EndlessAdmin):
    """One box for whatever a customer can read out."""

    search_fields = ("order_no",)  # what is searched really is in find
    search_help_text = _("Order or transaction number, user, amount, time: 73.00 14:20")
    list_before_template = "admin/topup/order/before.html"

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """One index or another, never several: the page stays one short walk."""
        surplus = SurplusPayment.objects.filter(transaction_id=term).values("order")
        for found in (Q(order_no__startswith=term), Q(gateway__in=GATEWAYS, transaction_id=term), Q(pk__in=surplus)):
            if Order.objects.filter(found).exists():
                return rows.filter(found)
        memory, users = remembered(term), users_like(username__startswith=term)
        if memory and not (memory.plain and users):
            return rows.filter(memory.which)
        return rows.filter(user__in=users)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.ask_payment)
        return [path("ask-payment/", view, name=url_name(self, "ask_payment")), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        response = super().changelist_view(request, extra_context)
        term, context = request.GET.get("q", "").strip(), getattr(response, "context_data", None)
        if context and "cl" in context and not context["cl"].result_list and may(request, Order, "change"):
            context["unknown_payment"] = term
            context["who_may_know"] = [(name, label_of(name)) for name in who_may_know(term)]
            context["ask_payment_url"] = reverse(f"admin:{url_name(self, 'ask_payment')}")
        return response

    def ask_payment(self, request: HttpRequest) -> HttpResponse:
        """Ask a platform about its own number; what it confirms is credited, as from the order's page."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not may(request, Order, "change"):
            raise PermissionDenied
        name, number = request.POST.get("gateway", ""), request.POST.get("number", "").strip()
        back = HttpResponseRedirect(list_url(Order, q=number))
        if name not in who_may_know(number):
            return back
        try:
            order, trade = services.ask_about_payment(name, number, source="search")
        except services.TopupError:
            messages.error(request, gettext("%(gateway)s is not completely configured.") % {"gateway": label_of(name)})
            return back
        if order is None:
            messages.error(request, answers.about_strangers(name, number, trade))
            return back
        told = answers.report(order, trade)
        self.log_change(request, order, " · ".join([gettext("Asked about %(number)s") % {"number": number}, told.text]))
        messages.add_message(request, messages.SUCCESS if told.ok else messages.ERROR, told.text)
        return HttpResponseRedirect(change_url(order))
