"""Reconciliation: one line per day and account, both sides' totals, and what does not agree."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, ClassVar, cast

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError
from unfold.contrib.filters.admin import RangeDateFilter

from voicehelper import clock
from voicehelper.admin.base import Action, ReadOnlyAdmin, Report, change_url, list_url, may, operator, url_name
from voicehelper.admin.columns import column, label, link, moment
from voicehelper.admin.filters import choice
from voicehelper.numbers import grouped
from voicehelper.spreadsheet import Columns, plain

from .. import tasks
from ..gateways import GATEWAYS, label_of
from ..models import Difference, GatewayCall, Order, Reconciliation
from ..services import reconciliation
from . import words
from .apart import apart, odd, remarks
from .differences import both, difference_label, settled_label

SHOWN = 100
STATE_TONES = {
    Reconciliation.State.RUNNING: "info",
    Reconciliation.State.AGREED: "success",
    Reconciliation.State.DIFFERS: "danger",
    Reconciliation.State.NO_BILL: "warning",
}


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnlyAdmin):
    list_display = (
        "day",
        "gateway_label",
        "merchant_label",
        "state_label",
        "num_theirs",
        "num_ours",
        "num_difference",
        "num_refunds",
    )
    list_filter = (
        choice(_("state"), "state", lambda: Reconciliation.State.choices),
        words.by_gateway(),
        ("day", RangeDateFilter),
    )
    list_before_template = "admin/topup/reconciliation/before.html"
    sortable_by = ("day",)
    change_form_template = "admin/topup/reconciliation/change_form.html"
    fields = ()
    export: ClassVar[Columns] = {
        **plain("day", "gateway"),
        "merchant": lambda row: row.merchant_id,
        **plain("live", "state"),
        "payments_theirs": lambda row: row.theirs_payments,
        "payments_theirs_yuan": lambda row: words.signed_yuan(row.theirs_payments_fen),
        "payments_ours": lambda row: row.ours_payments,
        "payments_ours_yuan": lambda row: words.signed_yuan(row.ours_payments_fen),
        "refunds_theirs": lambda row: row.theirs_refunds,
        "refunds_theirs_yuan": lambda row: words.signed_yuan(row.theirs_refunds_fen),
        "refunds_ours": lambda row: row.ours_refunds,
        "refunds_ours_yuan": lambda row: words.signed_yuan(row.ours_refunds_fen),
        "fees_yuan": lambda row: row.fee,
        "open_differences": lambda row: row.opened,
        "compared": lambda row: moment(row.compared),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        opened = Count("differences", filter=Q(differences__state=Difference.State.OPEN))
        return cast(QuerySet[Any], super().get_queryset(request).annotate(opened=opened))

    gateway_label = column(_("gateway"), lambda row: words.gateway(row.gateway))
    merchant_label = column(_("merchant"), lambda row: whose(row))
    state_label = column(_("state"), lambda row: state_label(row, row.opened))
    num_theirs = column(
        _("payments, theirs"), lambda row: both(row.theirs_payments, row.theirs_payments_fen) if row.compared else "—"
    )
    num_ours = column(
        _("payments, ours"), lambda row: both(row.ours_payments, row.ours_payments_fen) if row.compared else "—"
    )
    num_difference = column(
        _("difference"),
        lambda row: difference_label(row.theirs_payments_fen, row.ours_payments_fen) if row.compared else "—",
    )

    @admin.display(description=_("refunds, theirs / ours"))
    def num_refunds(self, row: Reconciliation) -> SafeString | str:
        if not row.compared:
            return "—"
        sides = f"{words.money(row.theirs_refunds_fen)} / {words.money(row.ours_refunds_fen)}"
        tone = "vh-minus" if row.theirs_refunds_fen != row.ours_refunds_fen else ""
        return format_html('<span class="{}">{}</span>', tone, sides)

    # --- Comparing ---------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.ask)
        return [path("ask/", view, name=url_name(self, "ask")), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        today = clock.today()
        context: dict[str, Any] = {"today": f"{today}", "yesterday": f"{today - timedelta(days=1)}"}
        if may(request, Reconciliation, "change"):
            context |= {"ask_url": reverse("admin:topup_reconciliation_ask"), "gateways": words.gateway_choices()}
        return super().changelist_view(request, context | (extra_context or {}))

    def ask(self, request: HttpRequest) -> HttpResponse:
        """Any day of either gateway, in the background: a large bill takes minutes."""
        if not may(request, Reconciliation, "change"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        back = HttpResponseRedirect(list_url(Reconciliation))
        try:
            day = date.fromisoformat(request.POST.get("day", ""))
        except ValueError:
            messages.error(request, gettext("Choose a day."))
            return back
        gateway = request.POST.get("gateway", "")
        if gateway not in GATEWAYS or day > clock.today():
            messages.error(request, gettext("Choose a gateway and a day that has begun."))
            return back
        report = _begin(request, gateway, day)
        messages.add_message(request, messages.SUCCESS if report.ok else messages.ERROR, report.text)
        return back

    def actions_for(self, request: HttpRequest, record: Reconciliation) -> Sequence[Action]:
        actions = []
        if may(request, Reconciliation, "change"):
            hint = gettext("Asks for the bill anew. What was settled stays so; what has gone is marked as gone.")
            actions = [Action("compare", gettext("Compare again"), hint=hint, main=True)]
        opened = odd(record).filter(state=Difference.State.OPEN).count() if may(request, Difference, "change") else 0
        if opened > 1:
            title = gettext("Note all %(count)s rows not understood as settled") % {"count": grouped(opened)}
            actions.append(Action("settle_odd", title, asks_reason=True))
        return actions

    def do_compare(self, request: HttpRequest, record: Reconciliation, reason: str) -> Report:
        return _begin(request, record.gateway, record.day, record)

    def do_settle_odd(self, request: HttpRequest, record: Reconciliation, reason: str) -> Report:
        count = reconciliation.settle_odd(record, by=operator(request), reason=reason)
        text = ngettext("%(count)s noted as settled.", "%(count)s noted as settled.", count)
        return Report(count > 0, text % {"count": grouped(count)})

    # --- A day -------------------------------------------------------------------------------------------------------
    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        day: Any = kwargs["obj"]
        seen = may(request, Difference, "view")
        listed = listed_differences(day) if seen else day.differences.none()
        odd_rows = odd(day) if seen else day.differences.none()
        context |= {
            "day": day,
            "title": f"{label_of(day.gateway)} {day.merchant_id} {day.day}",
            "state": state_label(day, day.opened),
            "gateway": words.gateway(day.gateway),
            "totals": totals(day),
            "facts": _facts(day, request),
            "rows": _rows(listed[:SHOWN], request),
            "explained": _rows(day.differences.filter(state=Difference.State.EXPLAINED)[:SHOWN], request),
            "odd_rows": _rows(odd_rows[:SHOWN], request),
            "odd_count": odd_rows.count(),
            "odd_url": _differences_url(day, kind=Difference.Kind.NOT_UNDERSTOOD.value),
            "apart": apart(day),
            "remarks": remarks(day),
            "all_url": _differences_url(day),
            "more": max(0, listed.count() - SHOWN),
        }
        return super().render_change_form(request, context, *args, **kwargs)


def _differences_url(day: Reconciliation, **more: str) -> str:
    """The list of differences, with the filters of this gateway and day."""
    date = day.day.isoformat()
    return list_url(Difference, gateway=day.gateway, reconciliation__day_from=date, reconciliation__day_to=date, **more)


def _begin(request: HttpRequest, gateway: str, day: date, of: Reconciliation | None = None) -> Report:
    """Of one merchant, or without one of all that had a part in the day."""
    merchant_id, live = (of.merchant_id, of.live) if of else ("", True)
    try:
        tasks.reconcile_day.delay(gateway, day.isoformat(), operator(request), merchant_id, live)
    except OperationalError:
        return Report(False, gettext("The task queue cannot be reached: is Valkey running? Try again in a minute."))
    facts = {"gateway": label_of(gateway), "day": day}
    return Report(True, gettext("%(gateway)s is asked for its bill of %(day)s. Look again in a moment.") % facts)


def whose(day: Reconciliation) -> SafeString:
    """The merchant's number, and whether it is the sandbox's."""
    # In a demo all are: not worth a word on each line.
    mark = label("default", gettext("Sandbox")) if not day.live and not settings.SANDBOX else ""
    return format_html('<span class="vh-mono">{}</span> {}', day.merchant_id, mark)


def state_label(day: Reconciliation, opened: int) -> SafeString:
    text = day.get_state_display()
    if day.state == Reconciliation.State.AGREED and _differs(day):
        text = gettext("Settled")
    elif opened:
        text = ngettext("%(count)s difference open", "%(count)s differences open", opened) % {"count": grouped(opened)}
    return label(STATE_TONES[Reconciliation.State(day.state)], text)


def _differs(day: Reconciliation) -> bool:
    theirs, ours = (
        (getattr(day, f"{side}_payments_fen"), getattr(day, f"{side}_refunds_fen")) for side in ("theirs", "ours")
    )
    return bool(theirs != ours)


def totals(day: Reconciliation) -> list[tuple[str, str, str, SafeString, str]]:
    """Payments, refunds and what is left: theirs, ours, the difference in money and in number."""
    net = [getattr(day, f"{side}_payments_fen") - getattr(day, f"{side}_refunds_fen") for side in ("theirs", "ours")]
    lines = [
        (
            title,
            both(getattr(day, f"theirs_{name}"), getattr(day, f"theirs_{name}_fen")),
            both(getattr(day, f"ours_{name}"), getattr(day, f"ours_{name}_fen")),
            difference_label(getattr(day, f"theirs_{name}_fen"), getattr(day, f"ours_{name}_fen")),
            f"{getattr(day, f'theirs_{name}') - getattr(day, f'ours_{name}'):+,}",
        )
        for title, name in ((gettext("Payments"), "payments"), (gettext("Refunds"), "refunds"))
    ]
    last = (gettext("Payments less refunds"), words.signed_money(net[0]), words.signed_money(net[1]))
    return [*lines, (*last, difference_label(*net), "")]


def listed_differences(day: Reconciliation) -> QuerySet[Difference]:
    """What people should see, the open ones first; rows that were not understood are listed for themselves."""
    hidden = Q(state__in=[Difference.State.EXPLAINED, Difference.State.VANISHED])
    shown = day.differences.exclude(hidden | Q(kind=Difference.Kind.NOT_UNDERSTOOD))
    return shown.annotate(is_open=Q(state=Difference.State.OPEN)).order_by("-is_open", "kind", "pk")


def _facts(day: Reconciliation, request: HttpRequest) -> list[tuple[str, object]]:
    calls = list_url(GatewayCall, q=f"{day.day:%Y%m%d}")
    bill: object = link(calls, gettext("Gateway calls")) if may(request, GatewayCall, "view") else "—"
    return [
        (gettext("Merchant"), day.merchant_id),
        (gettext("Mode"), gettext("Real money") if day.live else gettext("Sandbox")),
        (gettext("Fees in the bill"), f"¥{day.fee:.2f}"),
        (gettext("Last compared"), moment(day.compared)),
        (gettext("Asked for by"), gettext("the schedule") if day.actor == "schedule" else day.actor),
        (gettext("Times compared"), grouped(day.runs)),
        (gettext("The bill’s download"), bill),
    ]


def _rows(differences: QuerySet[Difference], request: HttpRequest) -> list[dict[str, object]]:
    found = list(differences)
    orders = Order.objects.in_bulk([d.order_no for d in found], field_name="order_no")
    seen = may(request, Order, "view")
    return [
        {
            "difference": each,
            "url": change_url(each),
            "order_url": change_url(orders[each.order_no]) if seen and each.order_no in orders else "",
            "theirs": words.money_or_dash(each.theirs_fen),
            "ours": words.money_or_dash(each.ours_fen),
            "state": settled_label(each),
            "at": moment(each.at),
        }
        for each in found
    ]
