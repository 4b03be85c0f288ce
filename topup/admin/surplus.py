"""Surplus payments on an order's page: what came too often, and the buttons that give it back or note it as settled."""

from collections.abc import Iterator

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from voicehelper.admin.base import Action, Input, RecordActions, Report, operator, url_name
from voicehelper.admin.columns import choice_label, moment

from .. import services
from ..models import Order, SurplusPayment
from ..money import yuan
from . import words

State = SurplusPayment.State
_TONES = {State.OPEN: "danger", State.REFUNDED: "success", State.SETTLED: "success"}


class SurplusActions(RecordActions):
    """The two buttons of each surplus payment that is open."""

    def surplus_actions(self, order: Order, *, may_refund: bool) -> Iterator[Action]:
        for surplus in order.surplus_payments.filter(state=State.OPEN):
            facts = {"money": words.money(surplus.amount_fen), "transaction": surplus}
            chosen = Input("surplus", "", value=str(surplus.pk), kind="hidden")
            if may_refund:
                yield Action(
                    f"refund-{surplus.pk}",
                    gettext("Give the surplus payment of %(money)s back …") % facts,
                    hint=gettext("Transaction %(transaction)s. The quota stays as it is.") % facts,
                    refusal=services.why_no_refund(order, surplus),
                    asks_reason=True,
                    main=True,
                    inputs=[
                        chosen,
                        Input("amount", "", value=yuan(services.left_of(surplus)), kind="hidden"),
                        Input("number", "", value=str(services.next_number(order)), kind="hidden"),
                    ],
                    address=reverse(f"admin:{url_name(self, 'refund')}", args=[order.pk]),
                )
            yield Action(
                "settle_surplus",
                gettext("Note the surplus payment as settled"),
                hint=gettext("It was given back outside of this system. Transaction %(transaction)s.") % facts,
                asks_reason=True,
                inputs=[chosen],
            )

    def do_settle_surplus(self, request: HttpRequest, order: Order, reason: str) -> Report:
        surplus = surplus_in(request, order)
        if surplus is None or not services.settle_surplus(surplus, by=operator(request), note=reason):
            return Report(False, gettext("It is not open any more."))
        return Report(True, gettext("Noted as settled."))


def surplus_in(request: HttpRequest, order: Order) -> SurplusPayment | None:
    """The surplus payment of an order that a form is about."""
    number = request.POST.get("surplus", "")
    return order.surplus_payments.filter(pk=number).first() if number.isdecimal() else None


def rows(order: Order) -> list[tuple[SurplusPayment, str, str, object, SafeString]]:
    """For the order's page: payment, money, when it was paid, who found it, state."""
    return [
        (
            each,
            words.money(each.amount_fen),
            moment(each.paid_at),
            words.SOURCES.get(each.found_by, each.found_by),
            choice_label(each, _TONES),
        )
        for each in order.surplus_payments.all()
    ]
