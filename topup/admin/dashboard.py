"""The front page: today's figures, open problems, and thirty days by gateway. Days are Beijing's."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Q, Sum
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from notifications.models import Alert
from voicehelper import clock
from voicehelper.admin.base import list_url, may
from voicehelper.admin.panels import Card, panels
from voicehelper.charts import Chart
from voicehelper.clock import BEIJING
from voicehelper.numbers import percent
from voicehelper.wallet.models import AuditRun

from ..models import (
    AlipaySettings,
    Difference,
    Notice,
    Order,
    RechargeSettings,
    Reconciliation,
    Refund,
    WeChatSettings,
)
from ..models.orders import MANUAL_MARK
from . import words
from .chart import chart
from .figures import midnight, only_real, real_orders
from .notices import unfinished

DAYS = 30


@dataclass(frozen=True)
class OpenMatter:
    """Something to mend: how many, and the list that mends it."""

    title: str
    count: int
    url: str
    tone: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What templates/admin/index.html shows; figures only for those who may see orders."""
    today = clock.now().astimezone(BEIJING).date()
    context |= {"problems": problems(request), "title": _("Overview"), "panels": panels(request)}
    context["setup"] = first_steps(request)
    if may(request, Order, "view"):
        statistics = reverse("admin:topup_order_statistics")
        context |= {"cards": cards(today), "chart": income_chart(today), "today": today, "statistics": statistics}
    return context


def cards(today: date) -> list[Card]:
    since = midnight(today)
    credited = real_orders().filter(credited_at__gte=since)
    waited = ExpressionWrapper(F("credited_at") - F("created"), output_field=DurationField())
    paid = credited.aggregate(fen=Sum("amount_fen"), orders=Count("pk"), wait=Avg(waited))
    placed = (
        real_orders()
        .filter(created__gte=since)
        .aggregate(
            all=Count("pk"),
            paid=Count("pk", filter=Q(state__in=Order.CREDITED)),
            open=Count("pk", filter=Q(state__in=Order.OPEN)),
        )
    )
    ended = placed["all"] - placed["open"]
    placed_today = {"created_from": f"{today}", "created_to": f"{today}"} | only_real()
    return [
        Card(
            _("Income today"),
            words.money(paid["fen"] or 0),
            _("%(count)s payments") % {"count": f"{paid['orders']:,}"},
            list_url(Order, credited_at_from=f"{today}", credited_at_to=f"{today}", **only_real()),
        ),
        Card(
            _("Orders today"),
            f"{placed['all']:,}",
            _("%(count)s still open") % {"count": f"{placed['open']:,}"},
            list_url(Order, **placed_today),
        ),
        Card(
            _("Success rate today"),
            percent(placed["paid"], ended),
            _("%(paid)s of %(ended)s ended orders were paid") % {"paid": f"{placed['paid']:,}", "ended": f"{ended:,}"},
            list_url(Order, state="credited", **placed_today),
        ),
        Card(_("Mean time to credit"), words.duration(paid["wait"]), _("from placing the order to the credit")),
    ]


def first_steps(request: HttpRequest) -> list[tuple[str, str]]:
    """On a new installation, where to begin: the settings pages, as long as no way to pay is switched on."""
    if any(section.load().enabled for section in (WeChatSettings, AlipaySettings)):
        return []
    pages = [page for page in (RechargeSettings, WeChatSettings, AlipaySettings) if may(request, page, "change")]
    return [(str(page._meta.verbose_name), list_url(page)) for page in pages]


def problems(request: HttpRequest) -> list[OpenMatter]:
    """What is open now; only lists this operator may open."""
    found = []
    if may(request, Alert, "view"):
        alerts = Alert.objects.filter(resolved_at=None).count()
        found.append(OpenMatter(_("Open alerts"), alerts, list_url(Alert, open="yes"), "danger"))
    if may(request, Order, "view"):
        review = Order.objects.exclude(review="").count()
        found.append(OpenMatter(_("Orders to review"), review, list_url(Order, mark="review"), "danger"))
    if may(request, Difference, "view"):
        opened = Difference.objects.filter(state=Difference.State.OPEN).count()
        found.append(OpenMatter(_("Differences with a bill"), opened, list_url(Difference, state="open"), "danger"))
    if may(request, Reconciliation, "view"):
        no_bill = Reconciliation.objects.filter(state=Reconciliation.State.NO_BILL).count()
        found.append(
            OpenMatter(_("Days without a bill"), no_bill, list_url(Reconciliation, state="no_bill"), "warning")
        )
        unproven = Order.objects.filter(credited_by="manual", transaction_id__startswith=MANUAL_MARK).count()
        url = list_url(Order, mark="unproven")
        found.append(OpenMatter(_("Orders completed by hand, no payment seen"), unproven, url, "warning"))
    if may(request, Refund, "view"):
        unapproved = Q(state=Refund.State.REQUESTED, needs_approval=True, approved_by="")
        refunds = Refund.objects.aggregate(
            review=Count("pk", filter=~Q(review="")), waiting=Count("pk", filter=unapproved)
        )
        url = list_url(Refund, mark="review")
        found.append(OpenMatter(_("Refunds to review"), refunds["review"], url, "danger"))
        url = list_url(Refund, mark="approval")
        found.append(OpenMatter(_("Refunds waiting for approval"), refunds["waiting"], url, "warning"))
    if may(request, Notice, "view"):
        waiting = unfinished().count()
        found.append(OpenMatter(_("Unfinished notices"), waiting, list_url(Notice, verdict="unfinished"), "warning"))
    if may(request, AuditRun, "view"):
        last = AuditRun.objects.filter(finished__isnull=False).order_by("-pk").first()
        found.append(
            OpenMatter(_("Findings of the last audit"), len(last.findings) if last else 0, list_url(AuditRun), "danger")
        )
    return [problem for problem in found if problem.count]


def income_chart(today: date) -> Chart:
    """Income of the last thirty days, by gateway."""
    first = today - timedelta(days=DAYS - 1)
    rows = (
        real_orders()
        .filter(credited_at__gte=midnight(first))
        .annotate(day=TruncDate("credited_at", tzinfo=BEIJING))
        .values_list("day", "gateway")
        .annotate(fen=Sum("amount_fen"))
        .order_by()
    )
    income = {(day, gateway): fen for day, gateway, fen in rows}
    days = [first + timedelta(days=number) for number in range(DAYS)]
    series = {name: [income.get((day, name), 0) for day in days] for name in words.GATEWAY_NAMES}
    return chart(days, series)
