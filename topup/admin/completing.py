"""The page on which a superuser completes an order nobody can prove to be paid: the platform's answer first, then the
amount, the reason and the password."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from voicehelper.accounts.services import user_of
from voicehelper.admin import stepup
from voicehelper.admin.base import REASON_CHARS, Action, RecordActions, change_url, url_name
from voicehelper.numbers import grouped

from .. import services
from ..gateways.orders import Trade
from ..models import Order
from . import answers, words
from .refunds import fen_of

TEMPLATE = "admin/topup/order/complete.html"


class CompletingByHand(RecordActions):
    """The button on an order's page and the page behind it."""

    def completion_action(self, request: HttpRequest, order: Order) -> Action | None:
        """For superusers, while the order is not credited."""
        if not _is_superuser(request) or order.state in Order.CREDITED:
            return None
        return Action(
            "complete",
            gettext("Complete by hand …"),
            hint=gettext("Paid, and it cannot be proved? Asks the platform first, and shows its answer."),
            address=reverse(f"admin:{url_name(self, 'complete')}", args=[order.pk]),
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.complete)
        name = url_name(self, "complete")
        return [path("<path:object_id>/complete/", view, name=name), *super().get_urls()]

    def complete(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, show the answer and the form; with the form, complete. Each is a POST: both ask the platform."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not _is_superuser(request):
            raise PermissionDenied
        order = Order.objects.select_related("user").filter(pk=unquote(object_id)).first()
        if order is None:
            raise Http404
        if "seen" in request.POST:
            return self._confirm(request, order)
        trade = services.ask_provider(order, source="admin")
        order.refresh_from_db()
        if obstacle := services.why_not_completed(order, trade):
            report = answers.report(order, trade)
            self.log_change(request, order, report.text)
            credited = order.state in Order.CREDITED
            messages.add_message(
                request,
                messages.SUCCESS if credited else messages.ERROR,
                report.text if credited else f"{obstacle} {report.text}",
            )
            return HttpResponseRedirect(change_url(order))
        return self._page(request, order, services.answer_of(trade), answers.answer(order, trade))

    def _confirm(self, request: HttpRequest, order: Order) -> HttpResponse:
        seen, shown = request.POST["seen"], request.POST.get("shown", "")
        reason = request.POST.get("reason", "").strip()[:REASON_CHARS]
        problem = stepup.confirm_form(request)
        try:
            if not problem:
                amount_fen = fen_of(request.POST.get("amount", ""))
                user = user_of(request)
                trade = services.complete_order(order, amount_fen=amount_fen, seen=seen, by=user, reason=reason)
                self._tell(request, order, trade, reason)
        except services.AnswerChanged as changed:
            seen, shown = services.answer_of(changed.trade), answers.answer(order, changed.trade)
            problem = str(changed)
        except (ValueError, services.CompletionRefused) as error:
            problem = str(error)
        if problem and order.state not in Order.CREDITED:
            return self._page(request, order, seen, shown, problem)
        if problem:
            messages.error(request, problem)
        return HttpResponseRedirect(change_url(order))

    def _tell(self, request: HttpRequest, order: Order, trade: Trade | None, reason: str) -> None:
        text = gettext("Completed by hand: %(quota)s quota are credited.") % {"quota": grouped(order.quota)}
        self.log_change(request, order, " · ".join([text, answers.answer(order, trade), reason]))
        messages.success(request, text)

    def _page(self, request: HttpRequest, order: Order, seen: str, shown: str, problem: str = "") -> HttpResponse:
        context: dict[str, Any] = {
            "title": gettext("Complete by hand"),
            "order": order,
            "money": words.money(order.amount_fen),
            "quota": grouped(order.quota),
            "state": words.state(order),
            "gateway": words.gateway(order.gateway),
            "back": change_url(order),
            "seen": seen,
            "shown": shown,
            "problem": problem,
            "typed": {name: request.POST.get(name, "") for name in ("amount", "reason")},
            "confirmed": stepup.confirmed_until(request),
        }
        return self.page(request, TEMPLATE, context, status=400 if problem else 200)


def _is_superuser(request: HttpRequest) -> bool:
    return user_of(request).is_superuser
