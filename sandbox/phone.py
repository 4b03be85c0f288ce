"""The buyer's phone: scan a code, see who wants how much, pay. Works without JavaScript; speaks JSON to tests."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from . import buyer
from .base import Faults, is_loopback
from .browser import CHOICES, COOKIE
from .faults import FAULTS, BadScript, Value, check_parameters
from .models import Trade
from .views import posted, same_site, wants_json

CARDS = 6
# What the fold-out offers; the first is honest.
MISCHIEF = (
    ("", _("The notice arrives at once")),
    ("drop", _("The notice is lost")),
    ("duplicate", _("The notice comes five times at once")),
    ("delay", _("The notice comes ten seconds late")),
    ("wrong_amount", _("The notice names another amount")),
    ("wrong_merchant", _("The notice names another merchant")),
    ("wrong_signature", _("The notice is wrongly signed")),
)
FORM_PARAMETERS: dict[str, dict[str, Value]] = {"duplicate": {"copies": 5}, "delay": {"seconds": 10}}


@require_GET
def phone(request: HttpRequest) -> HttpResponse:
    """The phone's screen. `?code=` is what the camera saw: opening it counts as scanning."""
    code = request.GET.get("code", "").strip()
    if not code:
        facts: dict[str, object] = {"trades": buyer.waiting_trades(CARDS), "browsers": CHOICES}
        facts["browser"] = request.COOKIES.get(COOKIE, "")
        return render(request, "sandbox/phone.html", facts)
    trade = buyer.scan(code)
    if trade is None:
        facts = {"trades": buyer.waiting_trades(CARDS), "code": code, "unknown": True}
        return render(request, "sandbox/phone.html", facts, status=404)
    return _screen(request, trade)


def way_back(url: str) -> str:
    """The shop's page to go back to, if it is on this machine."""
    return url if url.startswith(("http://", "https://")) and is_loopback(url) else ""


def _screen(request: HttpRequest, trade: Trade, status: int = 200) -> HttpResponse:
    facts = {
        "trade": trade,
        "state": trade.state_now,
        "mischief": MISCHIEF,
        "return_url": way_back(request.GET.get("return_url", "") or request.POST.get("return_url", "")),
        "delivery": trade.deliveries.order_by("-pk").first(),
    }
    return render(request, "sandbox/phone.html", facts, status=status)


@same_site
@require_POST
def scan(request: HttpRequest) -> HttpResponse:
    """`code` → the trade, which exists from now on. JSON: {state, out_trade_no, amount, title, merchant}."""
    return _with_trade(request, lambda trade, _data: _answer(request, trade))


@same_site
@require_POST
def pay(request: HttpRequest) -> HttpResponse:
    """`code` → {state, transaction_id}; `fault` with its parameters, and `late`, misbehave. 404, 409: not paid."""

    def pay_it(trade: Trade, data: dict[str, Any]) -> HttpResponse:
        try:
            return _answer(request, buyer.pay(trade, _asked(request, data)))
        except BadScript as error:
            return _problem(request, 400, str(error))
        except buyer.CannotPay as refused:
            if not wants_json(request):
                return _screen(request, trade, 409)
            return JsonResponse({"error": str(refused), "state": refused.state}, status=409)

    return _with_trade(request, pay_it)


def _asked(request: HttpRequest, data: dict[str, Any]) -> Faults:
    """The faults that were asked for with this payment. Raises BadScript."""
    rest = {name: value for name, value in data.items() if name not in {"code", "fault", "late", "return_url"}}
    fault, late = data.get("fault") or "", data.get("late")
    faults: dict[str, dict[str, Value]] = {"late": {}} if late in (True, "on", "1", "true") else {}
    if not fault:
        return faults
    if not isinstance(fault, str) or fault not in FAULTS or not {"notify", "pay"} & set(FAULTS[fault].operations):
        raise BadScript("fault must be one of those of a payment or its notice.")
    if request.content_type != "application/json":
        rest = FORM_PARAMETERS.get(fault, {}) | {name: _number(value) for name, value in rest.items()}
    return faults | {fault: check_parameters(fault, rest)}


def _number(text: str) -> Value:
    return int(text) if text.isdecimal() and len(text) < 12 else text


def _with_trade(request: HttpRequest, act: Any) -> HttpResponse:
    try:
        data = posted(request)
    except BadScript as error:
        return _problem(request, 400, str(error))
    code = data.get("code")
    trade = buyer.scan(code.strip()) if isinstance(code, str) else None
    if trade is None:
        return _problem(request, 404, "No trade has this code.", str(code or ""))
    response: HttpResponse = act(trade, data)
    return response


def _answer(request: HttpRequest, trade: Trade) -> HttpResponse:
    if not wants_json(request):
        query = {"code": trade.code}
        if back := way_back(request.POST.get("return_url", "")):
            query["return_url"] = back
        return HttpResponseRedirect(f"{reverse('sandbox:phone')}?{urlencode(query)}")
    facts = {
        "state": trade.state_now,
        "transaction_id": trade.transaction_id,
        "out_trade_no": trade.out_trade_no,
        "amount": trade.amount_yuan,
        "amount_fen": trade.amount_fen,
        "title": trade.title,
        "gateway": trade.merchant.gateway,
        "merchant": trade.merchant.name,
    }
    return JsonResponse(facts)


def _problem(request: HttpRequest, status: int, text: str, code: str = "") -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"error": text}, status=status)
    facts = {"code": code, "unknown": status == 404, "problem": text, "trades": buyer.waiting_trades(CARDS)}
    return render(request, "sandbox/phone.html", facts, status=status)
