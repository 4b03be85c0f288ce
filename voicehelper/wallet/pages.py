"""The statement: every change of the balance with its reason, by line or by day, week and month; and as a file."""

from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from voicehelper import clock
from voicehelper.numbers import page_number
from voicehelper.spreadsheet import Columns, csv_file

from . import statement_display as display
from .account_statement import by_period, every_line, statement_of
from .models import Wallet
from .services import wallet_of
from .shown_balance import shown_balance
from .statement_form import StatementForm
from .worth import list_price

PAGE_SIZE = 25
MOST_HOLDS = 20
# Lines of a file whose origins are asked for at once.
_AT_ONCE = 500
COLUMNS: Columns = {
    "time": lambda row: display.moment(row.line),
    "kind": lambda row: row.line.kind.value,
    "model": lambda row: row.line.model,
    "calls": lambda row: row.line.calls or "",
    "order_id": lambda row: row.number,
    "change_yuan": lambda row: _number(row.change.yuan),
    "change_quota": lambda row: row.line.amount,
    "balance_yuan": lambda row: _number(row.balance.yuan),
    "balance_quota": lambda row: row.line.balance,
    "time_zone": lambda row: "Asia/Shanghai (UTC+8)",
}


def _number(yuan: str) -> str:
    """ "−¥1,000.36" → "−1000.36", for programs; less than can be said is 0."""
    plain = yuan.replace("¥", "").replace(",", "").replace("−", "-").replace("+", "")
    return "0.00" if "<" in plain else plain


def _wallet(request: HttpRequest) -> Wallet:
    return wallet_of(cast(AbstractUser, request.user))


@never_cache
@login_required
@require_safe
def statement(request: HttpRequest) -> HttpResponse:
    """A page of it. What is asked for wrongly is said beside the field, and shown as if it were not asked for."""
    form = StatementForm(request.GET)
    wallet, rate = _wallet(request), list_price().yuan_per_quota
    number = page_number(request.GET.get("page", ""))
    found = statement_of(wallet, form.period, kinds=form.kinds, skip=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE)
    sums = by_period(wallet, form.period, form.unit) if form.unit else []
    pages = -(-(len(sums) if form.unit else found.total) // PAGE_SIZE)
    asked = {name: form.data[name] for name in ("from", "to", "kind", "by")}
    here = (number - 1) * PAGE_SIZE
    context: dict[str, Any] = {
        "account": shown_balance(cast(AbstractUser, request.user)),
        "held": display.balance(wallet.held, rate) if wallet.held else None,
        "used": display.balance(wallet.used, rate),
        "form": form,
        "quick": [
            (label, urlencode(asked | {"from": since, "to": until}), (since, until) == (asked["from"], asked["to"]))
            for label, since, until in display.quick_periods(clock.today())
        ],
        "query": urlencode(asked),
        "opening": display.balance(found.opening, rate),
        "changes": display.changes(found.changes, rate),
        "closing": display.balance(found.closing, rate),
        "rows": [] if form.unit else display.lines(found.lines, rate),
        "periods": display.periods(sums[here : here + PAGE_SIZE], form.unit, rate),
        "holds": display.holds(wallet, rate, MOST_HOLDS),
        "number": number,
        "pages": pages,
        "more": number < pages,
    }
    return render(request, "wallet/statement.html", context, status=200 if form.is_valid() else 400)


@never_cache
@login_required
@require_safe
def statement_csv(request: HttpRequest) -> StreamingHttpResponse | HttpResponse:
    """All lines of a period, newest first, for a spreadsheet; what is asked for wrongly is said on the page."""
    form = StatementForm(request.GET)
    if not form.is_valid():
        return statement(request)
    period = form.period
    name = "-".join(["statement", *(f"{day}" for day in (period.since, period.until) if day)])
    return csv_file(name, COLUMNS, _shown(_wallet(request), form))


def _shown(wallet: Wallet, form: StatementForm) -> Iterator[display.ShownLine]:
    rate, waiting = list_price().yuan_per_quota, []
    for line in every_line(wallet, form.period, form.kinds):
        waiting.append(line)
        if len(waiting) == _AT_ONCE:
            yield from display.lines(waiting, rate)
            waiting = []
    yield from display.lines(waiting, rate)
