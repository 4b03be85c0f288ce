"""A customer's orders on their page, what they paid, and the refund of the last one."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count, F, Max, Q, Sum
from django.http import HttpRequest
from django.utils.translation import gettext as _

from notifications.models import Alert
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.admin import customer
from voicehelper.admin.base import Action, change_url, list_url, may
from voicehelper.admin.columns import link, moment
from voicehelper.admin.customer import CustomerTable, Heading
from voicehelper.admin.front_page import Card
from voicehelper.numbers import grouped

from ..models import Order, Refund
from . import words

ROWS = 6
# How far back alerts are looked for, and for how many orders.
ALERT_DAYS, ORDERS = 90, 30


def paid(request: HttpRequest, user: User) -> Iterable[Card]:
    if not may(request, Order, "view"):
        return
    credited = Order.objects.filter(user=user, state__in=Order.CREDITED)
    found = credited.aggregate(
        count=Count("pk"), last=Max("credited_at"), fen=Sum(F("amount_fen") - F("refunded_fen"), default=0)
    )
    note = _("%(count)s orders") % {"count": grouped(found["count"])}
    if found["last"]:
        note += " · " + _("last %(time)s") % {"time": moment(found["last"])}
    yield Card(_("Paid and kept"), words.money(int(found["fen"])), note, list_url(Order, username=user.username))


def orders(request: HttpRequest, user: User) -> CustomerTable | None:
    if not may(request, Order, "view"):
        return None
    headings = [
        Heading(_("Order number")),
        Heading(_("Created")),
        Heading(_("Gateway")),
        Heading(_("Money"), is_figure=True),
        Heading(_("Quota"), is_figure=True),
        Heading(_("State")),
    ]
    rows = [
        (
            link(change_url(order), order.order_no),
            moment(order.created),
            words.gateway(order.gateway),
            words.money(order.amount_fen),
            grouped(order.quota),
            words.state(order),
        )
        for order in Order.objects.filter(user=user).order_by("-pk")[:ROWS]
    ]
    every = list_url(Order, username=user.username)
    return CustomerTable(_("Orders"), headings, rows, _("Never ordered anything."), every)


def alerts(request: HttpRequest, user: User) -> CustomerTable | None:
    """Those of the last months whose key names an order or a refund of this customer."""
    if not (may(request, Alert, "view") and may(request, Order, "view")):
        return None
    own = Order.objects.filter(user=user).order_by("-pk")
    names = [*own.values_list("order_no", flat=True)[:ORDERS], *_refunds_of(user)]
    since = clock.now() - timedelta(days=ALERT_DAYS)
    named = Q(key__regex="|".join(map(re.escape, names))) if names else Q(pk__in=[])
    found = Alert.objects.filter(named, last__gte=since).order_by("-last")
    rows = [
        (
            link(change_url(alert), moment(alert.last)),
            alert.title,
            alert.get_level_display(),
            _("Resolved") if alert.resolved_at else _("Open"),
        )
        for alert in found[:ROWS]
    ]
    headings = [Heading(_("Time")), Heading(_("Alert")), Heading(_("Level")), Heading(_("State"))]
    return CustomerTable(_("Alerts about the orders"), headings, rows, _("None in 90 days."))


def _refunds_of(user: User) -> Iterable[str]:
    return Refund.objects.filter(order__user=user).order_by("-pk").values_list("ref", flat=True)[:ORDERS]


def refund_of_last(request: HttpRequest, user: User) -> Iterable[Action]:
    """The form of the last credited order's own page."""
    order = Order.objects.filter(user=user, state__in=Order.CREDITED).order_by("-pk").first()
    page: Any = admin.site.get_model_admin(Order)
    action: Action | None = page.refund_action(request, order) if order else None
    if order is None or action is None:
        return
    facts = {"order": order, "money": words.money(order.amount_fen), "time": moment(order.created)}
    which = _("Order %(order)s: %(money)s, %(time)s.") % facts
    yield replace(action, label=_("Refund the last order …"), hint=f"{which} {action.hint}")


def join() -> None:
    customer.counts(20, paid)
    customer.shows(20, orders)
    customer.shows(80, alerts)
    customer.offers(20, refund_of_last)
