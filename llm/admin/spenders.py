"""The page of who spent what in a period, and the same as a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.admin.base import BaseAdmin, change_url, list_url, may, url_name
from voicehelper.numbers import grouped, page_number
from voicehelper.periods import ReportPeriod, asked_period, named_periods
from voicehelper.spreadsheet import Columns, csv_file, plain
from voicehelper.wallet.spenders import Spenders, spenders
from voicehelper.wallet.worth import in_yuan, list_price

from ..models import Usage
from ..spenders import SpenderRow, every_spender, spender_rows
from .prices import margin

PAGE_SIZE = 50
COLUMNS: Columns = {
    "user_id": lambda row: row.user.pk,
    "user": lambda row: row.user.get_username(),
    "group": lambda row: row.user.group,
    **plain("calls", "tokens_in", "tokens_out", "quota"),
    "spent_yuan": lambda row: _plain_yuan(row.quota),
    "charged_where_cost_is_known": lambda row: row.costed,
    "cost": lambda row: row.cost,
    "margin": lambda row: row.costed - row.cost,
}


def _plain_yuan(quota: int) -> str:
    """With four decimals, for programs."""
    hundredths = int(quota * list_price().yuan_per_quota * 10_000 + Fraction(1, 2))
    return f"{hundredths // 10_000}.{hundredths % 10_000:04d}"


@dataclass(frozen=True)
class ShownSpender:
    """A line of the table, as text; `calls_url` is the log of the user's calls."""

    name: str
    url: str
    calls_url: str
    calls: str
    tokens: str
    worth: str
    quota: str
    cost: str
    margin: str


class SpenderPages(BaseAdmin):
    """The page and its file, below the log of calls."""

    def get_urls(self) -> list[URLPattern]:
        page, file = self.admin_site.admin_view(self.spenders), self.admin_site.admin_view(self.spenders_file)
        return [
            path("spenders/", page, name=url_name(self, "spenders")),
            path("spenders.csv", file, name=url_name(self, "spenders_file")),
            *super().get_urls(),
        ]

    def spenders(self, request: HttpRequest) -> HttpResponse:
        period, file = _asked(request), reverse(f"admin:{url_name(self, 'spenders_file')}")
        number = page_number(request.GET.get("page", ""))
        found = spenders(period.first, period.last, skip=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE)
        context = {
            "title": _("Who spent what"),
            "period": period,
            "spans": named_periods(period, clock.today()),
            "file": f"{file}?{period.query}",
            "rows": _rows(request, period, found),
            "all": _together(found),
            "newer": f"?{period.query}&page={number - 1}" if number > 1 else "",
            "older": f"?{period.query}&page={number + 1}" if found.count > number * PAGE_SIZE else "",
            "number": number,
        }
        return self.page(request, "admin/llm/spenders.html", context)

    def spenders_file(self, request: HttpRequest) -> HttpResponseBase:
        period = _asked(request)
        return csv_file(f"spent-{period.first}-{period.last}", COLUMNS, every_spender(period.first, period.last))


def _asked(request: HttpRequest) -> ReportPeriod:
    if not may(request, Usage, "view"):
        raise PermissionDenied
    return asked_period(request.GET, clock.today(), "yesterday")


def _rows(request: HttpRequest, period: ReportPeriod, found: Spenders) -> Sequence[ShownSpender]:
    rate, see_users = list_price().yuan_per_quota, may(request, User, "view")
    days = {"created_from": f"{period.first}", "created_to": f"{period.last}"}
    return [
        _shown(
            row, rate, change_url(row.user) if see_users else "", list_url(Usage, username=row.user.username, **days)
        )
        for row in spender_rows(found.some, period.first, period.last)
    ]


def _shown(row: SpenderRow, rate: Fraction, url: str, calls_url: str) -> ShownSpender:
    known = bool(row.costed or row.cost)
    left, sign = row.costed - row.cost, "−" if row.costed < row.cost else ""
    return ShownSpender(
        name=row.user.get_username(),
        url=url,
        calls_url=calls_url,
        calls=grouped(row.calls),
        tokens=f"{grouped(row.tokens_in)} / {grouped(row.tokens_out)}",
        worth=f"¥{in_yuan(row.quota, rate)}",
        quota=grouped(row.quota),
        cost=f"¥{in_yuan(row.cost, rate)}" if known else "—",
        margin=f"{sign}¥{in_yuan(abs(left), rate)} ({margin(row.costed, row.cost)})" if known else "—",
    )


def _together(found: Spenders) -> dict[str, Any] | None:
    if not found.count:
        return None
    return {
        "users": grouped(found.count),
        "calls": grouped(found.calls),
        "worth": f"¥{in_yuan(found.quota, list_price().yuan_per_quota)}",
        "quota": grouped(found.quota),
    }
