"""One call of a merchant: read it, do what it asks, answer; or misbehave as the scripts say."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from . import alipay, alipay_certificates, alipay_refunds, buyer, wechat, wechat_refunds
from .base import Call, Gateway, Refusal, Said, Unsigned
from .faults import take
from .wechat_v3 import protocol
from .wechat_v3 import refunds as wechat_v3_refunds

_MORE: Sequence[tuple[Gateway, Mapping[str, Callable[[Call], Any]]]] = (
    (wechat, wechat_refunds.OPERATIONS),
    (protocol, wechat_v3_refunds.OPERATIONS),
    (alipay, {**alipay_refunds.OPERATIONS, **alipay_certificates.OPERATIONS}),
)
WEB_PAGE = "<!DOCTYPE html><html><title>502 Bad Gateway</title><body><h1>502 Bad Gateway</h1></body></html>"


def operations_of(gateway: Gateway) -> Mapping[str, Callable[[Call], Any]]:
    """All that a provider does for a caller."""
    return {**gateway.OPERATIONS, **next(more for each, more in _MORE if each is gateway)}


def serve(gateway: Gateway, request: HttpRequest, operation: str = "") -> HttpResponse:
    """Answer one request. A caller who is refused before he is known uses up no script."""
    try:
        call = gateway.read(request, operation)
    except Unsigned as refused:
        return HttpResponse(refused.body, status=refused.status, content_type=gateway.CONTENT_TYPE)
    trade = gateway.find(call)
    faults = take(gateway.NAME, call.operation, trade.out_trade_no if trade else call.out_trade_no)
    hold = faults.get("timeout", {"seconds": 0, "after_work": False})
    if not hold["after_work"]:
        time.sleep(float(hold["seconds"]))
    later = float(faults.get("aged", {}).get("seconds", 0))
    response = _respond(gateway, replace(call, faults=faults, now=timezone.now() + timedelta(seconds=later)))
    if hold["after_work"]:
        time.sleep(float(hold["seconds"]))
    return response


def _respond(gateway: Gateway, call: Call) -> HttpResponse:
    for name in ("http_500", "http_202", "http_503", "html", "system_error"):
        if name in call.faults:
            if call.faults[name]["after_work"]:
                _work(gateway, call)
            return _instead(gateway, call, name)
    said = _work(gateway, call)
    if "half_body" in call.faults:
        said = replace(said, body=said.body[: len(said.body) // 2])
    return _over_http(gateway, said)


def _over_http(gateway: Gateway, said: Said) -> HttpResponse:
    return HttpResponse(said.body, status=said.status, content_type=gateway.CONTENT_TYPE, headers=dict(said.headers))


def _instead(gateway: Gateway, call: Call, name: str) -> HttpResponse:
    """What comes in place of the answer."""
    if name.startswith("http_"):
        text = "Internal Server Error" if name == "http_500" else ""
        return HttpResponse(text, status=int(name.removeprefix("http_")), content_type="text/plain")
    if name == "html":
        return HttpResponse(WEB_PAGE)
    return _over_http(gateway, gateway.refuse(call, gateway.SYSTEM_ERROR))


def _work(gateway: Gateway, call: Call) -> Said:
    """Do what is asked; the buyer may be quicker than the answer."""
    if "paid_on_close" in call.faults:
        _let_buyer_pay(gateway, call, wait=False)
    try:
        fields = operations_of(gateway)[call.operation](call)
    except Refusal as refusal:
        return gateway.refuse(call, refusal)
    except Unsigned as refused:
        return Said(refused.body, refused.status)
    if isinstance(fields, bytes):
        return Said(fields)
    if "pay_inside_create" in call.faults:
        _let_buyer_pay(gateway, call, wait=True)
    return gateway.answer(call, fields)


def _let_buyer_pay(gateway: Gateway, call: Call, *, wait: bool) -> None:
    trade = gateway.find(call)
    if trade is None:
        return
    try:
        buyer.pay(trade, {"late": {}}, wait=wait)
    except buyer.CannotPay:
        return
