"""Orders: found by number, transaction or user; read, asked about and closed, never edited."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.admin.base import Action, Report, change_url, grouped, link, may, moment, when
from voicehelper.admin.export import Columns
from voicehelper.admin.filters import Choice, Days, Username
from voicehelper.admin.keyset import EndlessAdmin

from .. import services
from ..gateways import GATEWAYS
from ..gateways.base import Trade, TradeState
from ..models import GatewayCall, Order, Refund
from ..money import yuan
from . import words
from .refunds import make_refund, refund_action
from .timeline import timeline

# How many users a search for the beginning of a name takes into account.
_USERS_SEARCHED = 100


class StateFilter(Choice):
    title = _("state")
    parameter_name = "state"

    def options(self) -> Iterable[tuple[str, Any]]:
        return Order.State.choices


class GatewayFilter(Choice):
    title = _("gateway")
    parameter_name = "gateway"

    def options(self) -> Iterable[tuple[str, Any]]:
        return words.GATEWAY_NAMES.items()


class MarkFilter(Choice):
    title = _("mark")
    parameter_name = "mark"

    def options(self) -> Iterable[tuple[str, Any]]:
        return [("review", _("Needs review")), ("late", _("Paid late")), ("sandbox", _("Sandbox"))]

    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        marks = {"review": ~Q(review=""), "late": Q(paid_late=True), "sandbox": Q(live=False)}
        return rows.filter(marks[value])


@admin.register(Order)
class OrderAdmin(EndlessAdmin):
    list_display = (
        "order_no",
        "user",
        "state_label",
        "gateway_label",
        "num_money",
        "num_quota",
        "time_created",
    )
    list_filter = (StateFilter, GatewayFilter, MarkFilter, Username, ("created", Days))
    list_select_related = ("user",)
    ordering = ("-created",)
    search_fields = ("order_no",)  # what is searched really is in get_search_results
    search_help_text = _("Order number, the provider’s transaction number, or user name")
    change_form_template = "admin/topup/order/change_form.html"
    fields = ()
    time_created = when("created", _("created"))
    export: ClassVar[Columns] = {
        "order_no": lambda order: order.order_no,
        "user": lambda order: order.user.get_username(),
        "state": lambda order: order.state,
        "gateway": lambda order: order.gateway,
        "transaction_id": lambda order: order.transaction_id,
        "money_yuan": lambda order: yuan(order.amount_fen),
        "quota": lambda order: order.quota,
        "created": lambda order: moment(order.created),
        "paid": lambda order: moment(order.paid_at),
        "credited": lambda order: moment(order.credited_at),
        "credited_by": lambda order: order.credited_by,
        "live": lambda order: order.live,
    }

    @admin.display(description=_("state"), ordering="state")
    def state_label(self, order: Order) -> SafeString:
        # In a demo every order is the sandbox's: not worth a word on each line.
        marks = marks_of(order)[: -1 if settings.SANDBOX and not order.live else None]
        return format_html_join(" ", "{}", [(words.state(order),), *((mark,) for mark in marks)])

    @admin.display(description=_("gateway"))
    def gateway_label(self, order: Order) -> SafeString:
        return words.gateway(order.gateway)

    @admin.display(description=_("money"))
    def num_money(self, order: Order) -> str:
        return words.money(order.amount_fen)

    @admin.display(description=_("quota"))
    def num_quota(self, order: Order) -> str:
        return grouped(order.quota)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """One index or another, never several: the page stays one short walk."""
        term = search_term.strip()
        if not term:
            return queryset, False
        for found in (Q(order_no__startswith=term), Q(gateway__in=services.SECTIONS, transaction_id=term)):
            if Order.objects.filter(found).exists():
                return queryset.filter(found), False
        users = list(User.objects.filter(username__startswith=term).values_list("pk", flat=True)[:_USERS_SEARCHED])
        return queryset.filter(user__in=users), False

    def actions_for(self, request: HttpRequest, record: Order) -> Sequence[Action]:
        if not may(request, Order, "change"):
            return ()
        unreachable = why_not_asked(record)
        actions = [
            Action(
                "ask",
                gettext("Ask the payment platform"),
                hint=gettext("Asks what became of the order; a payment found there is credited at once."),
                refusal=unreachable,
                main=True,
            ),
            Action(
                "close",
                gettext("Close the order"),
                hint=gettext("Asks first, then makes the order unpayable at the platform and here."),
                refusal=_why_not_closed(record) or unreachable,
            ),
        ]
        if record.state in Order.CREDITED and may(request, Refund, "add"):
            actions.append(refund_action(request, record))
        if record.review:
            label, hint = gettext("Done reviewing"), gettext("Takes the mark off. The reason is kept in the log.")
            actions.append(Action("clear", label, hint=hint, asks_reason=True))
        return actions

    def do_ask(self, request: HttpRequest, order: Order, reason: str) -> Report:
        trade = services.ask_provider(order, source="admin")
        order.refresh_from_db()
        return _report(order, trade)

    def do_close(self, request: HttpRequest, order: Order, reason: str) -> Report:
        services.close_order(order, source="admin")
        order.refresh_from_db()
        if order.state == Order.State.CLOSED:
            return Report(True, gettext("The order is closed."))
        if order.state in Order.CREDITED:
            return Report(
                True, gettext("It had been paid: %(quota)s quota credited.") % {"quota": grouped(order.quota)}
            )
        return Report(False, gettext("Not closed: %(why)s") % {"why": _last_word(order)})

    def do_refund(self, request: HttpRequest, order: Order, reason: str) -> Report:
        return make_refund(request, order, reason)

    def do_clear(self, request: HttpRequest, order: Order, reason: str) -> Report:
        if Order.objects.filter(pk=order.pk, review=order.review).update(review=""):
            return Report(True, gettext("Reviewed: %(problem)s") % {"problem": order.review})
        return Report(False, gettext("The mark has changed meanwhile: look again."))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        order: Order = kwargs["obj"]
        context |= {
            "order": order,
            "title": order.order_no,
            "state": words.state(order),
            "gateway": words.gateway(order.gateway),
            "money": words.money(order.amount_fen),
            "quota": grouped(order.quota),
            "marks": marks_of(order),
            "credited": order.state in Order.CREDITED,
            "timeline": timeline(order, request),
            "agreement": agreement(order, request),
            "refunds": _refunds(order, request),
            "calls": _calls(order) if may(request, GatewayCall, "view") else [],
        }
        return super().render_change_form(request, context, *args, **kwargs)


def marks_of(order: Order) -> list[SafeString]:
    """What an accountant must not overlook; the sandbox comes last."""
    marks = [
        (bool(order.review), "danger", gettext("Needs review")),
        (order.paid_late, "warning", gettext("Paid late")),
        (not order.live, "default", gettext("Sandbox")),
    ]
    return [words.label(tone, text) for applies, tone, text in marks if applies]


def agreement(order: Order, request: HttpRequest) -> list[tuple[str, object]]:
    """The snapshot of what was agreed: label and value."""
    names = {field.name: str(field.verbose_name) for field in Order._meta.fields}
    unit = gettext("tokens") if order.in_tokens else gettext("units")
    user: object = link(change_url(order.user), order.user) if may(request, User, "view") else order.user
    return [
        (names["user"], user),
        (names["amount"], f"{grouped(order.amount)} {unit}"),
        (names["unit_price"], f"¥{_plain(order.unit_price)}"),
        (names["ratio"], f"× {_plain(order.ratio)}"),
        (names["discount"], f"× {_plain(order.discount)}"),
        (gettext("To pay"), words.money(order.amount_fen)),
        (gettext("Credits"), grouped(order.quota)),
        (names["quota_per_unit"], grouped(order.quota_per_unit)),
        (gettext("Transaction"), order.transaction_id or "—"),
        (names["app_id"], order.app_id),
        (names["merchant_id"], order.merchant_id),
        (names["trade_type"], f"{order.trade_type} · {order.sign_type}"),
        (names["client_ip"], order.client_ip),
    ]


def _plain(value: Any) -> str:
    return format(value.normalize(), "f")


def why_not_asked(order: Order) -> str:
    """Why the provider cannot be asked about an order now; empty when it can."""
    name = words.GATEWAY_NAMES.get(order.gateway, order.gateway)
    try:
        gateway = services.open_gateway(order.gateway)
    except services.TopupError:
        return gettext("%(gateway)s is switched off or not completely configured.") % {"gateway": name}
    if (gateway.app_id, gateway.merchant_id, gateway.live) != (order.app_id, order.merchant_id, order.live):
        return gettext("It was placed with another merchant account than the one configured now.")
    return ""


def _why_not_closed(order: Order) -> str:
    if order.state in Order.CREDITED:
        return gettext("It is paid. Money goes back by a refund only.")
    if order.state not in Order.OPEN:
        return gettext("It is not open any more.")
    gateway = GATEWAYS.get(order.gateway)
    closable = order.created + timedelta(seconds=gateway.close_after_s if gateway else 0)
    if clock.now() < closable:
        time = timezone.localtime(closable).strftime("%H:%M:%S")
        return gettext("The platform closes no younger order: possible from %(time)s on.") % {"time": time}
    return ""


def _report(order: Order, trade: Trade | None) -> Report:
    """The provider's answer in words, and what it changed here."""
    if trade is None:
        return Report(False, gettext("No certain answer: %(why)s") % {"why": _last_word(order)})
    # Alipay closes what was refunded in full.
    closed_by_refund = trade.state == TradeState.CLOSED and order.state in Order.CREDITED
    answer = {
        TradeState.WAITING: gettext("The platform says: not paid yet."),
        TradeState.CLOSED: gettext("The platform says: closed, not paid."),
        TradeState.ABSENT: gettext(
            "The platform knows no such order: the code was never scanned, or it never got there."
        ),
        TradeState.REFUNDED: gettext("The platform says: paid, and refunded since."),
        TradeState.PAID: gettext("The platform says: paid."),
    }[TradeState.REFUNDED if closed_by_refund else trade.state]
    if trade.state == TradeState.PAID and order.state in Order.CREDITED and not order.review:
        credited = gettext("%(quota)s quota are credited, transaction %(transaction)s.")
        answer += " " + credited % {"quota": grouped(order.quota), "transaction": order.transaction_id}
    elif order.review:
        answer += " " + order.review
    ok = trade.state != TradeState.PAID or order.state in Order.CREDITED
    return Report(ok, f"{answer} ({trade.raw_state})")


def _refunds(order: Order, request: HttpRequest) -> list[tuple[Refund, str, str, str, SafeString]]:
    """Its refunds, newest first: row, address, money, quota, state."""
    seen = may(request, Refund, "view")
    return [
        (
            refund,
            change_url(refund) if seen else "",
            words.money(refund.amount_fen),
            grouped(refund.quota),
            words.refund_state(refund),
        )
        for refund in order.refunds.all()
    ]


def _calls(order: Order) -> Sequence[GatewayCall]:
    calls = list(GatewayCall.objects.filter(order_no=order.order_no).order_by("-pk")[:20])
    for call in calls:
        call.outcome_label = words.outcome(call.outcome)  # type: ignore[attr-defined]  # for the template
        call.operation_label = words.OPERATIONS.get(call.operation, call.operation)  # type: ignore[attr-defined]
    return calls


def _last_word(order: Order) -> str:
    call = GatewayCall.objects.filter(order_no=order.order_no).order_by("-pk").first()
    lines = call.response.strip().splitlines() if call else []
    return lines[-1][:300] if lines else gettext("nobody was asked.")
