"""A customer's orders on their page, what they paid, and the refund of the last one."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.db.models import Count, F, Max, Sum
from django.http import HttpRequest
from django.utils.translation import gettext as _

from voicehelper.accounts.models import User
from voicehelper.admin import customer
from voicehelper.admin.base import Action, change_url, list_url, may
from voicehelper.admin.columns import link, moment
from voicehelper.admin.customer import CustomerTable, Heading
from voicehelper.admin.front_page import Card
from voicehelper.numbers import grouped

from ..models import Order
from . import words

ROWS = 6


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
    customer.offers(20, refund_of_last)
