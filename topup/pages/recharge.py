"""The pages of recharging: the form, the payment card with an address of its own, the history.

They work without JavaScript: the form posts and leads to the card, which refreshes itself. With it, the form pays
through the API and the card replaces it in place. On a phone the card leads to the app that pays.
"""

import secrets
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from voicehelper import clock
from voicehelper.accounts.minors import MinorsLimit
from voicehelper.accounts.services import user_of
from voicehelper.api import ratelimit
from voicehelper.api.errors import answer_to
from voicehelper.net.addresses import client_address
from voicehelper.numbers import grouped
from voicehelper.wallet.shown_balance import shown_balance

from .. import services
from ..gateways import label_of
from ..models import Order, RechargeSettings
from ..models.codes import LONGEST_TYPED
from ..services import brakes, wechat_payer
from . import display
from .devices import Browser, device_of

# Where the stand-ins' phone is, when settings.SANDBOX mounts them.
SANDBOX_PHONE = "/sandbox/phone"
# Each opening of an order may ask the provider for a new address.
OPENINGS = "10 per minute"
CANCELLINGS = "5 per minute"
RECENT = 5
PAGE_SIZE = 20
MAX_AMOUNT = 2**63 - 1
_CANNOT_BE_CHARGED = gettext_lazy("This amount cannot be charged. Choose a smaller or a larger one.")


class PayForm(forms.Form):
    """What the recharge page posts. `intent` is fresh in every page sent, so a double click places one order."""

    amount = forms.IntegerField(min_value=-MAX_AMOUNT, max_value=MAX_AMOUNT)
    payment_method = forms.CharField(max_length=32)
    intent = forms.RegexField(r"^[0-9a-f]{32}\Z")
    quoted = forms.DecimalField(max_digits=11, decimal_places=2, min_value=0, required=False)
    quoted_quota = forms.IntegerField(min_value=0, max_value=MAX_AMOUNT, required=False)


class AmountForm(forms.Form):
    """The amount in the address of the recharge page."""

    amount = forms.IntegerField(min_value=-MAX_AMOUNT, max_value=MAX_AMOUNT)


class CodeForm(forms.Form):
    """What somebody read off a card, or pasted out of a message."""

    key = forms.CharField(max_length=LONGEST_TYPED)


def _browser(request: HttpRequest) -> Browser:
    """What the page is shown in; ?show=qr asks for the code, for another device to scan."""
    if _wants_code(request):
        return Browser()
    device = device_of(request.headers.get("User-Agent", ""))
    return Browser(device, wechat_payer.payer_of(request.session)) if device == wechat_payer.APP else Browser(device)


def _wants_code(request: HttpRequest) -> bool:
    return (request.POST if request.method == "POST" else request.GET).get("show") == "qr"


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def recharge(request: HttpRequest) -> HttpResponse:
    """The form; posting it places an order and leads to its card."""
    if request.method != "POST":
        if _browser(request).device == wechat_payer.APP and wechat_payer.should_ask(request.session):
            amount = _amount_in(request.GET)
            back = reverse("topup:recharge") + (f"?amount={amount}" if amount else "")
            return redirect(wechat_payer.open_question(request.session, back))
        return _form_page(request)
    form = PayForm(request.POST)
    if not form.is_valid():
        return _form_page(request, problem=_("Enter the amount as a whole number."), status=400)
    try:
        order = _place(request, **form.cleaned_data)
    except ratelimit.TooMany as error:
        return ratelimit.waiting(_form_page(request, problem=error.words), error.wait_s)
    except (services.TopupError, MinorsLimit) as error:
        answer = answer_to(error)
        problem = str(_CANNOT_BE_CHARGED) if isinstance(error, services.AmountInvalid) else answer.text
        return _form_page(request, problem=problem, status=answer.status)
    return redirect("topup:payment", order.order_no)


def _place(
    request: HttpRequest,
    amount: int,
    payment_method: str,
    intent: str,
    quoted: Decimal | None,
    quoted_quota: int | None,
) -> Order:
    """The order as placed, also when the provider refused or did not answer: its card says so."""
    client_ip = client_address(request)
    brakes.brake_payment(user_of(request), client_ip)
    way = _browser(request).way(payment_method)
    key = f"page:{intent}:{payment_method}:{amount}:{way.trade_type}"
    told = services.Quoted(quoted, quoted_quota)
    try:
        return services.place_order(
            user_of(request), payment_method, amount, client_ip=client_ip, way=way, idempotency_key=key, quoted=told
        )
    except services.PaymentNotOffered as error:
        return error.order


@never_cache
@login_required
@require_http_methods(["POST"])
def redeem(request: HttpRequest) -> HttpResponse:
    """Redeem a code; back to the form, which says what became of it."""
    form = CodeForm(request.POST)
    typed = form.cleaned_data["key"] if form.is_valid() else ""
    try:
        quota = brakes.redeem_guess(user_of(request), typed, client_address(request))
    except ratelimit.TooMany as error:
        return _form_page(request, code=typed, code_problem=error.words, status=429)
    except services.TopupError as error:
        answer = answer_to(error)
        return _form_page(request, code=typed, code_problem=answer.text, status=answer.status)
    messages.success(request, _("%(quota)s quota were credited. Thank you!") % {"quota": grouped(quota)})
    return redirect("topup:recharge")


def _form_page(
    request: HttpRequest, *, problem: str = "", code: str = "", code_problem: str = "", status: int = 200
) -> HttpResponse:
    user = user_of(request)
    rules = RechargeSettings.load()
    presets = display.presets(rules, user)
    amount, typed = _chosen(request, presets)
    methods = display.methods_for(rules, amount, _browser(request))
    least = min((method.minimum for method in methods), default=1)
    price = None
    if amount is not None and amount >= least:
        price = next(iter(display.prices(rules, user, [amount])), None)
    if price is None and not problem and methods:
        problem = _amount_problem(amount, least)
    facts = {
        "account": shown_balance(user),
        "rules": rules,
        "quota_per_unit": grouped(rules.quota_per_unit),
        "list_price": display.list_price(rules, user),
        "presets": presets,
        "typed": typed,
        "price": price,
        "methods": methods,
        "gateways": display.any_gateway(),
        "least": least,
        "shown_least": grouped(least),
        "savings": display.savings(rules, user),
        "problem": problem,
        "code": code,
        "code_problem": code_problem,
        "intent": secrets.token_hex(16),
        "wants_code": _wants_code(request),
        "recent": display.rows_of(Order.objects.filter(user=user)[:RECENT], clock.now()),
    }
    return render(request, "topup/recharge.html", facts, status=status)


def _chosen(request: HttpRequest, presets: list[display.PriceTag]) -> tuple[int | None, str]:
    """The amount asked for, and as it was typed; without one, the first on offer."""
    asked = request.POST if request.method == "POST" else request.GET
    if "amount" not in asked:
        first = presets[0].amount if presets else None
        return first, str(first or "")
    return _amount_in(asked), asked["amount"][:20]


def _amount_in(asked: QueryDict) -> int | None:
    form = AmountForm(asked)
    return form.cleaned_data["amount"] if form.is_valid() else None


def _amount_problem(amount: int | None, least: int) -> str:
    if amount is None:
        return _("Enter the amount as a whole number.")
    if amount < least:
        return _("The amount must not be less than %(minimum)s") % {"minimum": grouped(least)}
    return str(_CANNOT_BE_CHARGED)


@never_cache
@login_required
@require_safe
def payment(request: HttpRequest, order_no: str) -> HttpResponse:
    """The payment card as a page: the same order after a reload and on another device."""
    facts = _card_facts(request, order_no)
    card: display.PaymentCard = facts["card"]
    in_wechat = card.browser.device == wechat_payer.APP == card.order.gateway
    if in_wechat and card.in_app and card.view == display.View.WAITING and wechat_payer.should_ask(request.session):
        return redirect(wechat_payer.open_question(request.session, request.path))
    return render(request, "topup/payment.html", facts)


@never_cache
@login_required
@require_safe
def card(request: HttpRequest, order_no: str) -> HttpResponse:
    """The payment card and the figures of the head alone, to be put into a page that is open."""
    return render(request, "topup/card.html", _card_facts(request, order_no))


@never_cache
@login_required
@require_http_methods(["POST"])
def cancel(request: HttpRequest, order_no: str) -> HttpResponse:
    """Give an order up; back to its card, which says what became of it: it may have been paid meanwhile."""
    order = _own_order(request, order_no)
    try:
        ratelimit.brake((CANCELLINGS, "cancel", order.order_no))
        services.cancel_order(order)
    except ratelimit.TooMany as error:
        messages.warning(request, error.words)
    return redirect("topup:payment", order.order_no)


def _card_facts(request: HttpRequest, order_no: str) -> dict[str, Any]:
    order = services.poll_order(_own_order(request, order_no))
    rules = RechargeSettings.load()
    return {
        "card": display.card_of(order, rules, clock.now(), _browser(request)),
        "account": shown_balance(user_of(request)),
        "intent": secrets.token_hex(16),
        "sandbox_phone": SANDBOX_PHONE if settings.SANDBOX else "",
    }


def _own_order(request: HttpRequest, order_no: str) -> Order:
    try:
        return services.order_of(user_of(request), order_no)
    except services.NoSuchOrder:
        raise Http404 from None


@never_cache
@login_required
@require_safe
def open_payment(request: HttpRequest, order_no: str) -> HttpResponse:
    """On to the provider's page in this browser, which opens the app; back to the card when that cannot be."""
    order = _own_order(request, order_no)
    address = ""
    try:
        ratelimit.brake((OPENINGS, "open", order.order_no))
        address = services.address_to_open(order)
    except ratelimit.TooMany:
        pass
    except services.PaymentNotOffered:
        words = _("%(name)s cannot be opened just now. Try again in a moment, or order again.")
        messages.warning(request, words % {"name": label_of(order.gateway)})
    return redirect(address or reverse("topup:payment", args=[order.order_no]))


@never_cache
@login_required
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """All orders of the user, newest first."""
    user = user_of(request)
    page = Paginator(Order.objects.filter(user=user), PAGE_SIZE).get_page(request.GET.get("page"))
    facts = {
        "account": shown_balance(user),
        "rows": display.rows_of(page.object_list, clock.now()),
        "page": page,
    }
    return render(request, "topup/history.html", facts)
