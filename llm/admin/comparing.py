"""The page that compares prices with the list that comes along: what a sync would change, line by line, and then the
operator's password."""

import hashlib
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from voicehelper.accounts.services import user_of
from voicehelper.admin import stepup
from voicehelper.admin.base import BaseAdmin
from voicehelper.admin.effects import Effect, ShownPrice
from voicehelper.changes import Change

from .. import price_list
from ..price_list import Comparison, Sync
from ..prices import PriceRow

_MOST_MARKUP = 1000


def page(request: HttpRequest, admin: BaseAdmin) -> HttpResponse:
    """GET shows, POST takes over what is ticked, if it is still what was shown."""
    if not admin.has_change_permission(request):
        raise PermissionDenied
    sync, problem = _asked(request)
    found = price_list.compare(sync)
    if request.method == "POST" and not problem:
        names = request.POST.getlist("model")
        problem = _objection(request, found, names)
        if not problem:
            done = price_list.apply(sync, names, by=user_of(request))
            messages.success(request, _("Prices taken over: %(names)s") % {"names": ", ".join(done)})
            return HttpResponseRedirect(request.path)
    context = {
        "title": _("Compare with the price list"),
        "date": price_list.bundled().date,
        "sync": sync,
        "seen": _digest(found),
        "compared": [(each, [_effect(change) for change in each.differences()]) for each in found],
        "problem": problem,
        "confirmed": stepup.confirmed_until(request),
    }
    return admin.page(request, "admin/llm/compare.html", context, status=400 if problem else 200)


def _effect(change: Change) -> Effect:
    """A price, or the factor of a service tier, before and after; what so many cost is compared as what one does."""
    old, new = (None if each is None else ShownPrice(str(each), _rate(each)) for each in (change.old, change.new))
    return Effect(change.line, old, new)


def _rate(value: PriceRow | Decimal) -> Fraction:
    return Fraction(value.price) / value.per if isinstance(value, PriceRow) else Fraction(value)


def _asked(request: HttpRequest) -> tuple[Sync, str]:
    """What a sync would be, and what is wrong with how it was asked for."""
    typed = request.POST if request.method == "POST" else request.GET
    text = typed.get("markup", "").strip() or "0"
    try:
        markup = Decimal(text)
    except InvalidOperation:
        markup = Decimal(-1)
    if not (markup.is_finite() and 0 <= markup <= _MOST_MARKUP and markup == round(markup, 2)):
        return Sync(prices=bool(typed.get("prices"))), _("The markup is a number of per cent from 0 to 1000.")
    return Sync(bool(typed.get("prices")), markup), ""


def _objection(request: HttpRequest, found: list[Comparison], names: list[str]) -> str:
    if request.POST.get("seen") != _digest(found):
        return _("The prices changed meanwhile. Look again at what would change.")
    if not names:
        return _("Choose at least one model.")
    return stepup.confirm_form(request)


def _digest(found: list[Comparison]) -> str:
    """Of what the page shows."""
    return hashlib.sha256(repr([(each.model.name, each.now, each.then) for each in found]).encode()).hexdigest()
