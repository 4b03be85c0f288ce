"""The page of what was used: sums, a picture by day and model, every call; and the same as a file."""

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from voicehelper import clock
from voicehelper.accounts.services import user_of
from voicehelper.day_field import DayField
from voicehelper.numbers import grouped
from voicehelper.spreadsheet import Columns, csv_file, plain
from voicehelper.wallet.shown_balance import shown_balance
from voicehelper.wallet.worth import in_yuan

from ..usage import summary_of, usage_of
from . import chart, display

PAGE_SIZE = 20
PERIODS = (7, 30, 90)
COLUMNS: Columns = {
    "time": lambda row: clock.beijing_iso(row.created),
    "request_id": lambda row: row.request_id,
    "model": lambda row: row.model_name,
    **plain("operation", "input_tokens", "output_tokens", "quota", "outcome", "latency_ms"),
}


class FilterForm(forms.Form):
    """What the address of the page says. What it does not say, or says wrongly, is everything of the last 30 days."""

    days = forms.TypedChoiceField(choices=[(days, days) for days in PERIODS], coerce=int, required=False)
    day = DayField(required=False)
    model = forms.CharField(max_length=64, required=False)

    def asked(self) -> tuple[int, date | None, str]:
        self.is_valid()
        facts = self.cleaned_data
        day = facts.get("day")
        return 1 if day else facts.get("days") or 30, day, facts.get("model") or ""


def calls_url(day: date, model: str) -> str:
    """Where the calls of one day are listed: all, or those of a model."""
    return f"{reverse('chat:usage')}?{urlencode({'day': day} | ({'model': model} if model else {}))}"


@never_cache
@login_required
@require_safe
def usage(request: HttpRequest) -> HttpResponse:
    """The sums and the calls of a period."""
    user = user_of(request)
    days, day, model = FilterForm(request.GET).asked()
    rows = list(summary_of(user, days, day=day))
    sums = [row for row in rows if model in ("", row["model"])]
    page = Paginator(usage_of(user, days=days, day=day, model=model), PAGE_SIZE).get_page(request.GET.get("page"))
    account = shown_balance(user)
    calls, quota = sum(row["calls"] for row in sums), sum(row["quota"] for row in sums)
    facts: dict[str, Any] = {
        "account": account,
        "days": days,
        "day": day,
        "span": urlencode({"day": day} if day else {"days": days}),
        "model": model,
        "periods": PERIODS,
        "models": sorted({row["model"] for row in rows if row["model"]} | ({model} if model else set())),
        "archived": bool(sums),
        "ever": bool(rows) or usage_of(user).exists(),
        "calls": grouped(calls),
        "mean": grouped(round(quota / calls)) if calls else "–",
        "quota": grouped(quota),
        "worth": in_yuan(quota, account.rate),
        "chart": chart.by_day_and_model(sums, days, day or clock.today()),
        "page": page,
        "rows": [display.call(row, account.rate) for row in page.object_list],
    }
    return render(request, "llm/usage.html", facts)


@never_cache
@login_required
@require_safe
def usage_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Every call of a period, newest first, for a spreadsheet."""
    days, day, model = FilterForm(request.GET).asked()
    rows = usage_of(user_of(request), days=days, day=day, model=model).iterator(chunk_size=1000)
    return csv_file(f"usage-{day}" if day else f"usage-{days}-days", COLUMNS, rows)
