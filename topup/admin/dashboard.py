"""The front page: today's figures, open problems, and thirty days by gateway. Days are Beijing's."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.utils.translation import gettext as _

from notifications.models import Alert
from voicehelper import clock
from voicehelper.admin.base import list_url, may
from voicehelper.admin.chart import Chart
from voicehelper.admin.panels import Card, panels
from voicehelper.clock import BEIJING
from voicehelper.wallet.models import AuditRun

from ..models import Difference, Notice, Order, Reconciliation
from . import words
from .chart import chart
from .notices import unfinished

DAYS = 30


@dataclass(frozen=True)
class Problem:
    """Something to mend: how many, and the list that mends it."""

    title: str
    count: int
    url: str
    tone: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What templates/admin/index.html shows; figures only for those who may see orders."""
    today = clock.now().astimezone(BEIJING).date()
    context |= {"problems": problems(request), "title": _("Overview"), "panels": panels(request)}
    if may(request, Order, "view"):
        context |= {"cards": cards(today), "chart": income_chart(today), "today": today}
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
    return [
        Card(
            _("Income today"), words.money(paid["fen"] or 0), _("%(count)s payments") % {"count": f"{paid['orders']:,}"}
        ),
        Card(_("Orders today"), f"{placed['all']:,}", _("%(count)s still open") % {"count": f"{placed['open']:,}"}),
        Card(
            _("Success rate today"),
            percent(placed["paid"], ended),
            _("%(paid)s of %(ended)s ended orders were paid") % {"paid": f"{placed['paid']:,}", "ended": f"{ended:,}"},
        ),
        Card(_("Mean time to credit"), duration(paid["wait"]), _("from placing the order to the credit")),
    ]


def problems(request: HttpRequest) -> list[Problem]:
    """What is open now; only lists this operator may open."""
    found = []
    if may(request, Alert, "view"):
        alerts = Alert.objects.filter(resolved_at=None).count()
        found.append(Problem(_("Open alerts"), alerts, list_url(Alert, open="yes"), "danger"))
    if may(request, Order, "view"):
        review = Order.objects.exclude(review="").count()
        found.append(Problem(_("Orders to review"), review, list_url(Order, mark="review"), "danger"))
    if may(request, Difference, "view"):
        opened = Difference.objects.filter(state=Difference.State.OPEN).count()
        found.append(Problem(_("Differences with a bill"), opened, list_url(Difference, state="open"), "danger"))
    if may(request, Reconciliation, "view"):
        no_bill = Reconciliation.objects.filter(state=Reconciliation.State.NO_BILL).count()
        found.append(Problem(_("Days without a bill"), no_bill, list_url(Reconciliation, state="no_bill"), "warning"))
    if may(request, Notice, "view"):
        waiting = unfinished().count()
        found.append(Problem(_("Unfinished notices"), waiting, list_url(Notice, verdict="unfinished"), "warning"))
    if may(request, AuditRun, "view"):
        last = AuditRun.objects.filter(finished__isnull=False).order_by("-pk").first()
        found.append(
            Problem(_("Findings of the last audit"), len(last.findings) if last else 0, list_url(AuditRun), "danger")
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


def real_orders() -> QuerySet[Order]:
    """Orders of real money; in a demo, where there is none, all of them."""
    return Order.objects.all() if settings.SANDBOX else Order.objects.filter(live=True)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), BEIJING)


def percent(part: int, whole: int) -> str:
    """With one decimal, in integers: "97.5%"; a dash while there is nothing to divide by."""
    if not whole:
        return "—"
    permille = (2000 * part + whole) // (2 * whole)
    return f"{permille // 10}.{permille % 10}%"


def duration(span: timedelta | None) -> str:
    """ "12 s", "3 min 20 s", "2 h 5 min"; a dash for none."""
    if span is None:
        return "—"
    seconds = span // timedelta(seconds=1)
    if seconds < 60:
        return _("%(seconds)d s") % {"seconds": seconds}
    if seconds < 3600:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": seconds // 60, "seconds": seconds % 60}
    return _("%(hours)d h %(minutes)d min") % {"hours": seconds // 3600, "minutes": seconds % 3600 // 60}
