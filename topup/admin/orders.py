"""Orders: found by number, transaction or user; read, asked about and closed, never edited."""

from collections.abc import Sequence
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
from voicehelper.admin.base import Action, Report, change_url, may
from voicehelper.admin.columns import column, label, link, moment, number, when
from voicehelper.admin.filters import Days, choice, marks, user_group, username
from voicehelper.numbers import grouped
from voicehelper.spreadsheet import Columns, plain

from .. import services
from ..gateways import GATEWAYS, label_of
from ..models import GatewayCall, MerchantAccount, Order, Refund
from ..models.orders import MANUAL_MARK
from ..money import yuan
from . import accounts, answers, surplus, words
from .completing import CompletingByHand
from .figures import first_payments
from .order_finding import OrderFinding
from .refund_asking import RefundAsking
from .statistics import StatisticsPages
from .surplus import SurplusActions
from .timeline import timeline

_BY_HAND = Q(credited_by="manual")
MARKS: dict[str, tuple[Any, Q]] = {
    "review": (_("Needs review"), ~Q(review="")),
    "late": (_("Paid late"), Q(paid_late=True)),
    "manual": (_("Completed by hand"), _BY_HAND),
    "unproven": (_("Completed by hand, no payment seen"), _BY_HAND & Q(transaction_id__startswith=MANUAL_MARK)),
    "live": (_("Real money"), Q(live=True)),
    "sandbox": (_("Sandbox"), Q(live=False)),
}


def _states() -> list[tuple[str, Any]]:
    return [*Order.State.choices, ("credited", _("Paid, refunded or not"))]


def _in_state(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    return rows.filter(state__in=Order.CREDITED) if value == "credited" else rows.filter(state=value)


@admin.register(Order)
class OrderAdmin(StatisticsPages, CompletingByHand, RefundAsking, SurplusActions, OrderFinding):
    list_display = (
        "order_no",
        "user",
        "state_label",
        "gateway_label",
        "num_money",
        "num_quota",
        "time_created",
    )
    list_filter = (
        choice(_("state"), "state", _states, _in_state),
        words.by_gateway(),
        choice(_("merchant account"), "account", accounts.choices),
        marks(_("mark"), "mark", MARKS),
        choice(
            _("payer"),
            "first",
            lambda: [("yes", _("Paid for the first time"))],
            lambda rows, _yes: first_payments(rows),
        ),
        username(),
        user_group(),
        ("created", Days),
        ("credited_at", Days),
    )
    list_select_related = ("user",)
    ordering = ("-created",)
    change_form_template = "admin/topup/order/change_form.html"
    fields = ()
    time_created = when("created", _("created"))
    num_quota = number("quota", _("quota"))
    export: ClassVar[Columns] = {
        "order_no": lambda order: order.order_no,
        "user": lambda order: order.user.get_username(),
        **plain("state", "gateway"),
        "merchant": lambda order: order.merchant_id,
        **plain("transaction_id"),
        "money_yuan": lambda order: yuan(order.amount_fen),
        **plain("quota", "bonus_quota"),
        "created": lambda order: moment(order.created),
        "paid": lambda order: moment(order.paid_at),
        "credited": lambda order: moment(order.credited_at),
        **plain("credited_by", "live"),
    }

    @admin.display(description=_("state"), ordering="state")
    def state_label(self, order: Order) -> SafeString:
        # In a demo every order is the sandbox's: not worth a word on each line.
        marks = marks_of(order)[: -1 if settings.SANDBOX and not order.live else None]
        return format_html_join(" ", "{}", [(words.state(order),), *((mark,) for mark in marks)])

    gateway_label = column(_("gateway"), lambda order: words.gateway(order.gateway))
    num_money = column(_("money"), lambda order: words.money(order.amount_fen))

    def actions_for(self, request: HttpRequest, record: Order) -> Sequence[Action]:
        if not may(request, Order, "change"):
            return ()
        unreachable = answers.why_not_asked(record)
        actions = [
            *self.surplus_actions(record, may_refund=may(request, Refund, "add")),
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
        if completion := self.completion_action(request, record):
            actions.append(completion)
        if refund := self.refund_action(request, record):
            actions.append(refund)
        if record.review:
            label, hint = gettext("Done reviewing"), gettext("Takes the mark off. The reason is kept in the log.")
            actions.append(Action("clear", label, hint=hint, asks_reason=True))
        return actions

    def do_ask(self, request: HttpRequest, order: Order, reason: str) -> Report:
        trade = services.ask_provider(order, source="admin")
        order.refresh_from_db()
        return answers.report(order, trade)

    def do_close(self, request: HttpRequest, order: Order, reason: str) -> Report:
        services.close_order(order, source="admin")
        order.refresh_from_db()
        if order.state == Order.State.CLOSED:
            return Report(True, gettext("The order is closed."))
        if order.state in Order.CREDITED:
            return Report(
                True, gettext("It had been paid: %(quota)s quota credited.") % {"quota": grouped(order.quota)}
            )
        return Report(False, gettext("Not closed: %(why)s") % {"why": answers.last_word(order)})

    def do_clear(self, request: HttpRequest, order: Order, reason: str) -> Report:
        if Order.objects.filter(pk=order.pk, review=order.review).update(review=""):
            return Report(True, gettext("Reviewed: %(problem)s") % {"problem": words.review(order)})
        return Report(False, gettext("The mark has changed meanwhile: look again."))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        order: Order = kwargs["obj"]
        context |= {
            "order": order,
            "title": order.order_no,
            "subtitle": None,
            "state": words.state(order),
            "gateway": words.gateway(order.gateway),
            "money": words.money(order.amount_fen),
            "quota": grouped(order.quota),
            "marks": marks_of(order),
            "review": words.review(order),
            "service": _service(order),
            "credited": order.state in Order.CREDITED,
            "timeline": timeline(order, request),
            "agreement": agreement(order, request),
            "surplus": surplus.rows(order),
            "refunds": _refunds(order, request),
            "calls": _calls(order) if may(request, GatewayCall, "view") else [],
        }
        return super().render_change_form(request, context, *args, **kwargs)


def marks_of(order: Order) -> list[SafeString]:
    """What an accountant must not overlook; the sandbox comes last."""
    marks = [
        (bool(order.review), "danger", gettext("Needs review")),
        (order.paid_late, "warning", gettext("Paid late")),
        (order.without_proof, "warning", gettext("Completed by hand")),
        (not order.live, "default", gettext("Sandbox")),
    ]
    return [label(tone, text) for applies, tone, text in marks if applies]


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
        (gettext("Credits"), _credits(order)),
        (names["quota_per_unit"], grouped(order.quota_per_unit)),
        (gettext("Transaction"), _transaction(order)),
        (names["app_id"], order.app_id),
        (names["merchant_id"], order.merchant_id),
        *([(names["account"], _account(order.account))] if order.account else []),
        (names["trade_type"], f"{order.trade_type} · {order.sign_type}"),
        (names["client_ip"], order.client_ip),
        *([(gettext("Given back before it was credited"), _given_back(order))] if order.refund_told_by else []),
    ]


def _account(account: MerchantAccount) -> str:
    return f"{accounts.title(account)} ({accounts.state_of(account)})"


def _given_back(order: Order) -> str:
    source = words.SOURCES.get(order.refund_told_by, order.refund_told_by)
    facts = {"money": words.money(order.refunded_fen), "source": source}
    return gettext("%(money)s, told by %(source)s") % facts


def _service(order: Order) -> str:
    """What an operator should know of the gateway of an order that is under way."""
    if order.next_ask_at is None:
        return ""
    name = label_of(order.gateway)
    if services.service_of(order) == services.Service.TO_ITS_END:
        text = gettext("%(gateway)s is switched off and takes no new orders. This one is still served to its end.")
        return text % {"gateway": name}
    if order.account and not order.account.active and not answers.why_not_asked(order):
        return gettext("Its merchant account is retired and takes no new orders. This one is still served to its end.")
    return answers.why_not_asked(order)


def _transaction(order: Order) -> str:
    return gettext("none: completed by hand") if order.without_proof else order.transaction_id or "—"


def _credits(order: Order) -> str:
    if not order.bonus_quota:
        return grouped(order.quota)
    facts = {"quota": grouped(order.quota), "bonus": grouped(order.bonus_quota)}
    return gettext("%(quota)s (of it a bonus of %(bonus)s)") % facts


def _plain(value: Any) -> str:
    return format(value.normalize(), "f")


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
