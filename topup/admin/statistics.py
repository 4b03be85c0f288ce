"""The statistics page of recharging: figures, pictures, and tables whose numbers lead to the rows behind them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from voicehelper import charts, clock
from voicehelper.admin.base import RecordActions, list_url, may, url_name
from voicehelper.admin.front_page import Card
from voicehelper.charts import Chart, Scale, Series, Words
from voicehelper.numbers import grouped, percent
from voicehelper.periods import ReportPeriod, asked_period, named_periods
from voicehelper.spreadsheet import Columns, csv_file

from ..gateways import GATEWAYS, label_of
from ..models import Order, Refund
from ..money import yuan
from . import compared, words
from .chart import ceiling, income
from .figures import Figures, OrderSums, figures, only_real

PARTS = {"day": 0, "gateway": 1, "group": 2}


@dataclass(frozen=True)
class GroupChoice:
    """One of the links that choose what is shown."""

    address: str
    label: str
    current: bool


@dataclass(frozen=True)
class Cell:
    """A figure, and the list of the rows that it counts."""

    text: str
    url: str = ""


@dataclass(frozen=True)
class StatisticsRow:
    """A line of a table; `head` says what it is about."""

    head: Cell
    cells: Sequence[Cell]


class StatisticsPages(RecordActions):
    """The page and its file, below the list of orders."""

    def get_urls(self) -> list[URLPattern]:
        page, file = self.admin_site.admin_view(self.statistics), self.admin_site.admin_view(self.statistics_file)
        return [
            path("statistics/", page, name=url_name(self, "statistics")),
            path("statistics.csv", file, name=url_name(self, "statistics_file")),
            *super().get_urls(),
        ]

    def statistics(self, request: HttpRequest) -> HttpResponse:
        period, by = _asked(request)
        found, before = _figures(period, by), _figures(period.before, by)
        file = reverse(f"admin:{url_name(self, 'statistics_file')}")
        context = {
            "title": _("Recharge statistics"),
            "file": f"{file}?{period.query}&by={by}",
            **page_context(found, before, period, by, Links(found.days, refunds=may(request, Refund, "view"))),
        }
        return self.page(request, "admin/topup/statistics.html", context)

    def statistics_file(self, request: HttpRequest) -> HttpResponseBase:
        period, by = _asked(request)
        name = period.name if period.name.isdigit() else f"{period.first}-{period.last}"
        return csv_file(f"recharges-by-{by}-{name}", _file_columns(by), _lines(_figures(period, by), by))


def _asked(request: HttpRequest) -> tuple[ReportPeriod, str]:
    """Period and grouping, as the address wants them; thirty days by day for an odd one."""
    if not may(request, Order, "view"):
        raise PermissionDenied
    by = request.GET.get("by", "")
    return asked_period(request.GET, clock.today(), "30"), by if by in PARTS else "day"


def _figures(period: ReportPeriod, by: str) -> Figures:
    return figures(period.last, len(period.days), groups=by == "group")


def page_context(found: Figures, before: Figures, period: ReportPeriod, by: str, links: "Links") -> dict[str, Any]:
    """What templates/admin/topup/statistics.html shows; `before` are the figures to compare with."""
    total = found.total
    margin = compared.margin_card(period, period.before)
    earlier = before.by(PARTS[by]) if by != "day" else None
    table = [_row(head, sums, by, links, earlier) for head, sums in _lines(found, by)]
    together = {"": before.total} if earlier is not None else None
    cards = compared.beside(_cards(total, links), _cards(before.total, links))
    parts = [GroupChoice(f"?{period.query}&by={part}", name, part == by) for part, name in _part_names().items()]
    return {
        "period": period,
        "before": period.before,
        "spans": named_periods(period, clock.today(), f"&by={by}"),
        "kept": {"by": by},
        "parts": parts,
        "empty": not (total.placed or total.payments or total.refunds),
        "cards": [*cards, margin] if margin else cards,
        "charts": _charts(found) if len(found.days) > 1 else [],
        "part": {"day": _("Day"), "gateway": _("Gateway"), "group": _("User group")}[by],
        "columns": [title for title, _read, _url in _columns()] + (_compared_titles() if earlier is not None else []),
        "rows": table,
        "all": _row(_("Together"), total, "", links, together) if len(table) > 1 else None,
        "states": _states(found, links),
    }


def _part_names() -> dict[str, str]:
    return {"day": _("By day"), "gateway": _("By gateway"), "group": _("By user group")}


def _compared_titles() -> list[str]:
    return [_("Income before"), _("Net income before"), _("Change of the income")]


# --- Lists behind the figures ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Links:
    """Addresses of the lists behind the figures of some days; refunds only for who may see them."""

    days: Sequence[date]
    refunds: bool

    def placed(self, **query: str) -> str:
        return list_url(Order, **self._days("created"), **only_real(), **query)

    def credited(self, **query: str) -> str:
        return list_url(Order, **self._days("credited_at"), **only_real(), **query)

    def newcomers(self, **query: str) -> str:
        return list_url(Order, **self._days("credited_at"), first="yes", **only_real(), **query)

    def refunded(self, **query: str) -> str:
        if not self.refunds:
            return ""
        return list_url(Refund, **self._days("finished_at"), state=Refund.State.SUCCEEDED, **only_real(), **query)

    def of(self, day: date) -> "Links":
        return Links([day], self.refunds)

    def _days(self, field: str) -> dict[str, str]:
        return {f"{field}_from": f"{self.days[0]}", f"{field}_to": f"{self.days[-1]}"}


# --- Tables ----------------------------------------------------------------------------------------------------------
# The heading, what stands there, and the list behind it.
_NOTHING = ("0", "—", "¥0.00")
Column = tuple[str, Callable[[OrderSums], str], Callable[..., str] | None]


def _columns() -> list[Column]:
    credited, refunded = Links.credited, Links.refunded
    return [
        (_("Orders placed"), lambda sums: grouped(sums.placed), Links.placed),
        (_("Conversion"), lambda sums: percent(sums.converted, sums.ended), _paid_of_placed),
        (_("Payments"), lambda sums: grouped(sums.payments), credited),
        (_("Income"), lambda sums: words.money(sums.income_fen), credited),
        (_("Average payment"), lambda sums: words.money_or_dash(sums.average_fen), None),
        (_("New payers"), lambda sums: grouped(sums.newcomers), Links.newcomers),
        (_("Mean time to credit"), lambda sums: _seconds(sums.mean_wait_s), None),
        (_("p95"), lambda sums: _seconds(sums.wait_s(95)), None),
        (_("Refunds"), lambda sums: grouped(sums.refunds), refunded),
        (_("Refunded"), lambda sums: words.money(sums.refunded_fen), refunded),
        (_("Refund rate"), lambda sums: percent(sums.refunded_fen, sums.income_fen), None),
        (_("Net income"), lambda sums: words.signed_money(sums.net_fen), None),
    ]


def _paid_of_placed(links: Links, **query: str) -> str:
    return links.placed(state="credited", **query)


def _row(
    head: Any, sums: OrderSums, by: str, links: Links, before: Mapping[Any, OrderSums] | None = None
) -> StatisticsRow:
    """A line; `before` has what the period before came to, by the same heads, where it is to stand beside it."""
    query: dict[str, str] = {}
    if by == "day":
        links = links.of(head)
    elif by:
        query = {by: head}
    shown = [(read(sums), url) for _title, read, url in _columns()]
    cells = [Cell(text, url(links, **query) if url and text not in _NOTHING else "") for text, url in shown]
    if before is not None:
        income_fen, net_fen, change = compared.compared_income(sums, before.get(head if by else "", OrderSums()))
        cells += [Cell(words.money(income_fen)), Cell(words.signed_money(net_fen)), Cell(change)]
    title = label_of(head) if by == "gateway" else head
    return StatisticsRow(Cell(str(title)), cells)


def _lines(found: Figures, by: str) -> list[tuple[Any, OrderSums]]:
    """The newest day first, and each of them; gateways and groups by income."""
    sums = found.by(PARTS[by])
    if by == "day":
        return [(day, sums.get(day, OrderSums())) for day in reversed(found.days)]
    return sorted(sums.items(), key=lambda pair: (-pair[1].income_fen, pair[0]))


def _states(found: Figures, links: Links) -> list[StatisticsRow]:
    """How many of the orders placed in these days are in which state, and what they are about."""
    labels: Mapping[str, Any] = dict(Order.State.choices)
    return [
        StatisticsRow(
            Cell(str(labels[state]), links.placed(state=state)),
            [
                Cell(grouped(count), links.placed(state=state)),
                Cell(percent(count, found.total.placed)),
                Cell(words.money(fen)),
            ],
        )
        for state, (count, fen) in sorted(found.states.items(), key=lambda item: -item[1][0])
    ]


def _file_columns(by: str) -> Columns:
    """Plain numbers for programs: yuan with two decimals, whole seconds, rates left to the reader."""
    return {
        by: lambda line: str(line[0]),
        "orders_placed": lambda line: line[1].placed,
        "orders_ended": lambda line: line[1].ended,
        "orders_paid": lambda line: line[1].converted,
        "payments": lambda line: line[1].payments,
        "income_yuan": lambda line: yuan(line[1].income_fen),
        "new_payers": lambda line: line[1].newcomers,
        "mean_seconds_to_credit": lambda line: line[1].mean_wait_s,
        "p95_seconds_to_credit": lambda line: line[1].wait_s(95),
        "refunds": lambda line: line[1].refunds,
        "refunded_yuan": lambda line: yuan(line[1].refunded_fen),
    }


# --- Cards and pictures ----------------------------------------------------------------------------------------------
def _cards(total: OrderSums, links: Links) -> list[Card]:
    paid = {"paid": grouped(total.converted), "ended": grouped(total.ended)}
    average = _("%(money)s on average") % {"money": words.money_or_dash(total.average_fen)}
    refunded = {"rate": percent(total.refunded_fen, total.income_fen), "count": grouped(total.refunds)}
    p95 = {"time": _seconds(total.wait_s(95))}
    return [
        Card(_("Income"), words.money(total.income_fen), average, links.credited()),
        Card(
            _("Conversion"),
            percent(total.converted, total.ended),
            _("%(paid)s of %(ended)s ended orders were paid") % paid,
            links.placed(state="credited"),
        ),
        Card(
            _("Refunded"),
            words.money(total.refunded_fen),
            _("%(count)s refunds, %(rate)s of the income") % refunded,
            links.refunded(),
        ),
        Card(_("Net income"), words.signed_money(total.net_fen), _("income less refunds")),
        Card(_("Payments"), grouped(total.payments), "", links.credited()),
        Card(_("New payers"), grouped(total.newcomers), _("paid for the first time"), links.newcomers()),
        Card(_("Mean time to credit"), _seconds(total.mean_wait_s), _("95%% within %(time)s") % p95),
        Card(_("Orders placed"), grouped(total.placed), _("%(count)s still open") % _open(total), links.placed()),
    ]


def _open(total: OrderSums) -> dict[str, str]:
    return {"count": grouped(total.still_open)}


def _charts(found: Figures) -> list[tuple[str, Chart]]:
    days, by_day = found.days, found.by(0)
    sums = [by_day.get(day, OrderSums()) for day in days]
    nothing = _("Nothing in this time.")

    def about(title: str) -> Words:
        return Words(title, nothing, lambda day: f"{day:%m-%d}")

    paid = [one.converted for one in sums]
    unpaid = [one.ended - one.converted for one in sums]
    orders = [
        Series("s2", _("Paid"), paid, grouped(sum(paid))),
        Series("s-rest", _("Ended unpaid"), unpaid, grouped(sum(unpaid))),
        Series("s1", _("Open"), [one.still_open for one in sums]),
    ]
    waits = [
        Series("s0", _("Mean"), [one.mean_wait_s for one in sums]),
        Series("s1", _("p95"), [one.wait_s(95) for one in sums]),
    ]
    gave = [one.refunded_fen for one in sums]
    refunds = [Series("s-bad", _("Refunded"), gave, words.money(sum(gave)))]
    count = Scale(grouped, grouped, charts.ceiling)
    money = Scale(words.money, lambda fen: words.money(fen)[:-3], ceiling)
    seconds = Scale(_seconds, lambda wait: f"{wait:,} s", charts.ceiling)
    return [
        (_("Income by gateway"), income(days, _income(found), about(_("Income by gateway")))),
        (_("Orders placed"), charts.stacked(days, orders, count, about(_("Orders placed")))),
        (_("Time to credit"), charts.curves(days, waits, seconds, about(_("Time to credit")))),
        (_("Refunded"), charts.stacked(days, refunds, money, about(_("Refunded")))),
    ]


def _income(found: Figures) -> dict[str, list[int]]:
    """Fen by gateway and day."""
    places = {day: number for number, day in enumerate(found.days)}
    series = {name: [0] * len(found.days) for name in GATEWAYS}
    for (day, gateway, _group), sums in found.cells.items():
        if sums.income_fen:
            series.setdefault(gateway, [0] * len(found.days))[places[day]] += sums.income_fen
    return series


def _seconds(wait: int | None) -> str:
    return words.duration(None if wait is None else timedelta(seconds=wait))
