"""The page of what was used: sums, a picture by day and model, every call; and the same as a file."""

import csv
from collections.abc import Iterator
from itertools import chain
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from voicehelper import clock
from voicehelper.accounts.models import User

from ..models import Usage
from ..usage import summary_of, usage_of
from . import chart, display
from .chat import user_of

PAGE_SIZE = 20
PERIODS = (7, 30, 90)
COLUMNS = (
    "time",
    "request_id",
    "model",
    "operation",
    "input_tokens",
    "output_tokens",
    "quota",
    "outcome",
    "latency_ms",
)


class FilterForm(forms.Form):
    """What the address of the page says. What it does not say, or says wrongly, is everything of the last 30 days."""

    days = forms.TypedChoiceField(choices=[(days, days) for days in PERIODS], coerce=int, required=False)
    model = forms.CharField(max_length=64, required=False)

    def asked(self) -> tuple[int, str]:
        self.is_valid()
        return self.cleaned_data.get("days") or 30, self.cleaned_data.get("model") or ""


@never_cache
@login_required
@require_safe
def usage(request: HttpRequest) -> HttpResponse:
    """The sums and the calls of a period."""
    user = user_of(request)
    days, model = FilterForm(request.GET).asked()
    rows = list(summary_of(user, days))
    sums = [row for row in rows if model in ("", row["model"])]
    page = Paginator(usage_of(user, days=days, model=model), PAGE_SIZE).get_page(request.GET.get("page"))
    account = display.account_of(user)
    calls, quota = sum(row["calls"] for row in sums), sum(row["quota"] for row in sums)
    facts: dict[str, Any] = {
        "account": account,
        "days": days,
        "model": model,
        "periods": PERIODS,
        "models": sorted({row["model"] for row in rows if row["model"]} | ({model} if model else set())),
        "ever": bool(rows) or usage_of(user).exists(),
        "calls": display.grouped(calls),
        "mean": display.grouped(round(quota / calls)) if calls else "–",
        "quota": display.grouped(quota),
        "worth": display.worth(quota, account.rate),
        "chart": chart.by_day_and_model(sums, days, clock.now().astimezone(clock.BEIJING).date()),
        "page": page,
        "rows": [display.call(row, account.rate) for row in page.object_list],
    }
    return render(request, "llm/usage.html", facts)


@never_cache
@login_required
@require_safe
def usage_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Every call of a period, newest first, for a spreadsheet."""
    days, model = FilterForm(request.GET).asked()
    headers = {"Content-Disposition": f'attachment; filename="usage-{days}-days.csv"'}
    return StreamingHttpResponse(
        _lines(user_of(request), days, model), content_type="text/csv; charset=utf-8", headers=headers
    )


class _Echo:
    """A file that returns what is written to it."""

    def write(self, text: str) -> str:
        return text


def _lines(user: User, days: int, model: str) -> Iterator[str]:
    writer = csv.writer(_Echo())
    # The byte order mark tells spreadsheets that this is UTF-8.
    yield "\ufeff"
    rows = usage_of(user, days=days, model=model).iterator(chunk_size=1000)
    for row in chain([COLUMNS], map(_columns, rows)):
        yield writer.writerow(row)


def _columns(row: Usage) -> tuple[object, ...]:
    return (
        clock.beijing_iso(row.created),
        row.request_id,
        row.model_name,
        row.operation,
        row.input_tokens,
        row.output_tokens,
        row.quota,
        row.outcome,
        row.latency_ms,
    )
