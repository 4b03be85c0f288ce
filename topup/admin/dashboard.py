"""Recharging on the front page: today's figures, open matters, thirty days by gateway. Days are Beijing's."""

from collections.abc import Iterator
from datetime import date, timedelta

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.admin.base import list_url, may
from voicehelper.admin.front_page import Card, FirstSteps, OpenMatter, Panel
from voicehelper.charts import Chart
from voicehelper.numbers import percent
from voicehelper.sections import Section

from ..gateways import GATEWAYS
from ..models import (
    Difference,
    GatewaySettings,
    Notice,
    Order,
    RechargeSettings,
    Reconciliation,
    Refund,
)
from ..services import takes_orders
from . import orders, refunds, words
from .chart import chart
from .figures import OrderSums, only_real
from .figures import figures as figures_of
from .notices import unfinished

DAYS = 30


def figures(request: HttpRequest) -> Panel | None:
    """Today's income and orders, for those who may see orders."""
    return Panel("", "", cards(clock.today())) if may(request, Order, "view") else None


def income(request: HttpRequest) -> Panel | None:
    """Thirty days by gateway."""
    if not may(request, Order, "view"):
        return None
    statistics = reverse("admin:topup_order_statistics")
    return Panel(_("Income of the last 30 days"), statistics, chart=income_chart(clock.today()))


def cards(today: date) -> list[Card]:
    """Today's, with what the whole of yesterday came to."""
    found = figures_of(today, 2, groups=False, parts=["placed", "credited"]).by(0)
    now, before = found.get(today, OrderSums()), found.get(today - timedelta(days=1), OrderSums())
    placed_today = {"created_from": f"{today}", "created_to": f"{today}"} | only_real()
    payments = _("%(count)s payments") % {"count": f"{now.payments:,}"}
    still_open = _("%(count)s still open") % {"count": f"{now.still_open:,}"}
    return [
        Card(
            _("Income today"),
            words.money(now.income_fen),
            f"{payments} · {_yesterday(words.money(before.income_fen))}",
            list_url(Order, credited_at_from=f"{today}", credited_at_to=f"{today}", **only_real()),
        ),
        Card(
            _("Orders today"),
            f"{now.placed:,}",
            f"{still_open} · {_yesterday(f'{before.placed:,}')}",
            list_url(Order, **placed_today),
        ),
        Card(
            _("Success rate today"),
            percent(now.converted, now.ended),
            _("%(paid)s of %(ended)s ended orders were paid")
            % {"paid": f"{now.converted:,}", "ended": f"{now.ended:,}"},
            list_url(Order, state="credited", **placed_today),
        ),
        Card(
            _("Mean time to credit"),
            words.duration(None if now.mean_wait_s is None else timedelta(seconds=now.mean_wait_s)),
            _("from placing the order to the credit"),
        ),
    ]


def _yesterday(value: str) -> str:
    return _("%(value)s yesterday") % {"value": value}


def first_steps(request: HttpRequest) -> FirstSteps | None:
    """The settings pages, as long as no way to pay is switched on."""
    if any(takes_orders(gateway) for gateway in GATEWAYS):
        return None
    sections: list[type[Section]] = [RechargeSettings, *map(GatewaySettings.of, GATEWAYS)]
    pages = [page for page in sections if may(request, page, "change")]
    text = _("No way to pay is switched on yet, so nobody can recharge.")
    return FirstSteps(text, [(str(page._meta.verbose_name), list_url(page)) for page in pages])


def open_matters(request: HttpRequest) -> Iterator[OpenMatter]:
    """What is open in recharging; only lists this operator may open."""
    if may(request, Order, "view"):
        review = Order.objects.filter(orders.MARKS["review"][1]).count()
        yield OpenMatter(_("Orders to review"), review, list_url(Order, mark="review"), "danger")
    if may(request, Difference, "view"):
        opened = Difference.objects.filter(state=Difference.State.OPEN).count()
        yield OpenMatter(_("Differences with a bill"), opened, list_url(Difference, state="open"), "danger")
    if may(request, Reconciliation, "view"):
        no_bill = Reconciliation.objects.filter(state=Reconciliation.State.NO_BILL).count()
        yield OpenMatter(_("Days without a bill"), no_bill, list_url(Reconciliation, state="no_bill"), "warning")
        unproven = Order.objects.filter(orders.MARKS["unproven"][1]).count()
        url = list_url(Order, mark="unproven")
        yield OpenMatter(_("Orders completed by hand, no payment seen"), unproven, url, "warning")
    if may(request, Refund, "view"):
        found = Refund.objects.aggregate(
            **{mark: Count("pk", filter=refunds.MARKS[mark][1]) for mark in ("review", "approval")}
        )
        yield OpenMatter(_("Refunds to review"), found["review"], list_url(Refund, mark="review"), "danger")
        url = list_url(Refund, mark="approval")
        yield OpenMatter(_("Refunds waiting for approval"), found["approval"], url, "warning")
    if may(request, Notice, "view"):
        waiting = unfinished().count()
        yield OpenMatter(_("Unfinished notices"), waiting, list_url(Notice, verdict="unfinished"), "warning")


def income_chart(today: date) -> Chart:
    """Income of the last thirty days, by gateway."""
    found = figures_of(today, DAYS, groups=False, parts=["credited"])
    series = {
        name: [found.cells.get((day, name, ""), OrderSums()).income_fen for day in found.days] for name in GATEWAYS
    }
    return chart(found.days, series)
