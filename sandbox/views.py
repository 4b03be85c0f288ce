"""The providers' addresses, and the overview for developers.

Nothing here knows a session: a merchant is known by his signature, and a person at this machine may do anything. A
browser on another site may not: see `same_site`.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from . import alipay, buyer, calls, deliveries, wechat
from .faults import FAULTS, BadScript, write_script
from .models import Delivery, Merchant, Script, Trade
from .wechat_v3 import protocol

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]
SHOWN = 20


def same_site(view: View[P]) -> View[P]:
    """Instead of a CSRF token, so that scripts can post too: what a browser sends from another site is refused."""

    @csrf_exempt
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        origin = request.headers.get("Origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.get_host()
        if foreign or request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
            return HttpResponse("Posts from other sites are refused.", status=403, content_type="text/plain")
        return view(request, *args, **kwargs)

    return guarded


def wants_json(request: HttpRequest) -> bool:
    """Whether the caller speaks JSON: it sent some, or prefers it."""
    wanted = request.headers.get("Accept", "")
    return request.content_type == "application/json" or wanted.startswith("application/json")


def posted(request: HttpRequest) -> dict[str, Any]:
    """What was posted, as a form or as JSON. Raises BadScript."""
    if request.content_type != "application/json":
        return {name: value for name, value in request.POST.items() if name != "csrfmiddlewaretoken"}
    return _json_object(request.body)


def _json_object(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise BadScript("This is not JSON.") from None
    if not isinstance(value, dict):
        raise BadScript("A JSON object is wanted.")
    return value


@csrf_exempt
def wechat_pay(request: HttpRequest, operation: str) -> HttpResponse:
    """`/pay/unifiedorder` and its neighbours."""
    return calls.serve(wechat, request, operation)


@csrf_exempt
def wechat_pay_v3(request: HttpRequest, operation: str, **_path: str) -> HttpResponse:
    """`/v3/pay/transactions/native` and its neighbours."""
    return calls.serve(protocol, request, operation)


@csrf_exempt
def alipay_gateway(request: HttpRequest) -> HttpResponse:
    """`/gateway.do`."""
    return calls.serve(alipay, request)


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """What goes on: merchants, trades, notices, scripts."""
    return render(request, "sandbox/overview.html", _facts())


def _facts() -> dict[str, object]:
    return {
        "merchants": Merchant.objects.order_by("gateway", "pk"),
        "trades": Trade.objects.select_related("merchant").prefetch_related("refunds").order_by("-pk")[:SHOWN],
        "deliveries": Delivery.objects.select_related("trade__merchant").order_by("-pk")[:SHOWN],
        "scripts": Script.objects.order_by("-pk")[:SHOWN],
        "faults": FAULTS.items(),
        "gateways": Script.Speaker.choices,
    }


@same_site
@require_http_methods(["POST", "DELETE"])
def script(request: HttpRequest) -> HttpResponse:
    """POST writes a script (JSON: 201 or 400); DELETE removes all of them (204)."""
    if request.method == "DELETE":
        Script.objects.all().delete()
        return HttpResponse(status=204)
    try:
        written = write_script(_from_form(request) if request.content_type != "application/json" else posted(request))
    except BadScript as error:
        return _bad_script(request, str(error))
    if not wants_json(request):
        return HttpResponseRedirect(reverse("sandbox:overview") + "#scripts")
    names = ("id", "gateway", "operation", "fault", "times", "out_trade_no", "parameters")
    return JsonResponse({name: getattr(written, name) for name in names}, status=201)


def _from_form(request: HttpRequest) -> dict[str, Any]:
    """A script out of the form: empty fields are left out; parameters are JSON."""
    data: dict[str, Any] = {name: value.strip() for name, value in posted(request).items() if value.strip()}
    if "times" in data:
        data["times"] = int(data["times"]) if data["times"].isdecimal() and len(data["times"]) < 9 else 0
    if "parameters" in data:
        data["parameters"] = _json_object(data["parameters"])
    return data


def _bad_script(request: HttpRequest, reason: str) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"error": reason}, status=400, json_dumps_params={"ensure_ascii": False})
    return render(request, "sandbox/overview.html", _facts() | {"error": reason}, status=400)


@same_site
@require_POST
def remove_script(request: HttpRequest, pk: int) -> HttpResponse:
    """The button beside a script."""
    Script.objects.filter(pk=pk).delete()
    return HttpResponseRedirect(reverse("sandbox:overview") + "#scripts")


@same_site
@require_POST
def send_again(request: HttpRequest, pk: int) -> HttpResponse:
    """The button beside a delivery: the same bytes once more, now."""
    deliveries.send_again(get_object_or_404(Delivery, pk=pk))
    return _done(request)


@same_site
@require_POST
def notify(request: HttpRequest, pk: int) -> HttpResponse:
    """The button beside a paid trade: a new, honest notice."""
    buyer.notify(get_object_or_404(Trade.objects.select_related("merchant"), pk=pk))
    return _done(request)


def _done(request: HttpRequest) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"state": "sent"}, status=202)
    return HttpResponseRedirect(reverse("sandbox:overview") + "#deliveries")
