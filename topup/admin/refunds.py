"""Refunds: what became of each, and the buttons on its page. refund_asking.py is where they begin."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.accounts.services import user_of
from voicehelper.admin.base import Action, ReadOnlyAdmin, Report, change_url, may
from voicehelper.admin.columns import column, label, link, moment, number, when
from voicehelper.admin.filters import Days, choice, marks, user_group, username
from voicehelper.numbers import grouped
from voicehelper.spreadsheet import Columns, plain
from voicehelper.typed import as_seen

from .. import services
from ..models import GatewayCall, Order, Refund
from ..money import fen, yuan
from ..stored_texts import in_words
from . import words
from .timeline import Moment, refund_timeline

# Full width, as Chinese keyboards write.
_NARROW = str.maketrans("￥０１２３４５６７８９．", "¥0123456789.")


def fen_of(text: str) -> int:
    """Yuan as people type them, "¥30" or "￥０．０１", in fen. Raises ValueError for whatever could mean else."""
    whole, _point, cents = as_seen(text).translate(_NARROW).removeprefix("¥").strip().partition(".")
    try:
        return fen(f"{whole}.{cents.ljust(2, '0')}")
    except ValueError as error:
        problem = gettext("“%(text)s” is not an amount: write yuan like 30 or 19.90, without other signs.")
        raise ValueError(problem % {"text": text[:32]}) from error


def report(refund: Refund) -> Report:
    """What became of it, in plain words."""
    facts = {
        "money": words.money(refund.amount_fen),
        "quota": grouped(refund.quota),
        "said": in_words(refund.said) or "—",
    }
    texts = {
        Refund.State.SUCCEEDED: gettext("%(money)s went back; %(quota)s quota were taken back."),
        Refund.State.FAILED: gettext("Nothing was given back: %(said)s. The user has the quota again."),
        Refund.State.SUBMITTED: gettext(
            "The platform is giving %(money)s back. %(quota)s quota are set aside until it confirms."
        ),
        Refund.State.UNKNOWN: gettext(
            "No certain answer yet (%(said)s). It is asked again by itself; do not refund a second time."
        ),
        Refund.State.REQUESTED: gettext("%(quota)s quota are set aside. It is sent when a second person approves."),
    }
    state = Refund.State(refund.state)
    return Report(state != Refund.State.FAILED, texts[state] % facts, refund)


# --- The list --------------------------------------------------------------------------------------------------------
MARKS: dict[str, tuple[Any, Q]] = {
    "approval": (_("Waits for approval"), Q(state=Refund.State.REQUESTED, needs_approval=True, approved_by="")),
    "review": (_("Needs review"), ~Q(review="")),
    "console": (_("Made at the payment platform"), Q(source=Refund.Source.CONSOLE)),
    "surplus": (_("Of a surplus payment"), Q(surplus__isnull=False)),
    "shortfall": (_("Quota was spent"), Q(quota__lt=F("quota_due"))),
    "live": (_("Real money"), Q(order__live=True)),
}


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    list_display = ("refund_no", "user", "state_label", "gateway_label", "num_money", "num_quota", "time_created")
    list_filter = (
        choice(_("state"), "state", lambda: Refund.State.choices),
        words.by_gateway("order__gateway"),
        marks(_("mark"), "mark", MARKS),
        username("order__user"),
        user_group("order__user"),
        ("created", Days),
        ("finished_at", Days),
    )
    list_select_related = ("order__user", "surplus")
    sortable_by = ("state_label", "time_created")
    search_fields = ("refund_no",)  # what is searched really is in find
    search_help_text = _("Refund number or order number")
    change_form_template = "admin/topup/refund/change_form.html"
    fields = ()
    time_created = when("created", _("created"))
    num_quota = number("quota", _("quota"))
    export: ClassVar[Columns] = {
        "refund_no": lambda refund: refund.refund_no,
        "order_no": lambda refund: refund.order.order_no,
        "user": lambda refund: refund.order.user.get_username(),
        "state": lambda refund: refund.state,
        "gateway": lambda refund: refund.order.gateway,
        "platform_refund_no": lambda refund: refund.refund_id,
        "money_yuan": lambda refund: yuan(refund.amount_fen),
        **plain("quota_due", "quota", "reason", "source", "requested_by", "approved_by"),
        "created": lambda refund: moment(refund.created),
        "finished": lambda refund: moment(refund.finished_at),
        "refunded": lambda refund: moment(refund.succeeded_at),
        "live": lambda refund: refund.order.live,
    }

    user = column(_("user"), lambda refund: str(refund.order.user))
    state_label = column(
        _("state"),
        lambda refund: format_html_join(
            " ", "{}", [(words.refund_state(refund),), *((mark,) for mark in marks_of(refund))]
        ),
        "state",
    )
    gateway_label = column(_("gateway"), lambda refund: words.gateway(refund.order.gateway))
    num_money = column(_("money"), lambda refund: words.money(refund.amount_fen))

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        orders = list(Order.objects.filter(order_no=term).values_list("pk", flat=True))
        return rows.filter(Q(refund_no=term) | Q(order__in=orders))

    def actions_for(self, request: HttpRequest, record: Refund) -> Sequence[Action]:
        if not may(request, Refund, "change"):
            return ()
        if record.state not in Refund.OPEN:
            return ()
        if not record.waits_for_approval:
            hint = gettext("Asks what became of it; one the platform does not know is sent again, as the same refund.")
            return [Action("ask", gettext("Ask the payment platform"), hint=hint, main=True)]
        own = record.requested_by == user_of(request).get_username()
        refusal = gettext("Somebody else must approve what you asked for.") if own else ""
        return [
            Action("approve", gettext("Approve and send"), refusal=refusal, main=True),
            Action(
                "withdraw",
                gettext("Withdraw"),
                hint=gettext("It was never sent. The user has the quota again."),
                asks_reason=True,
            ),
        ]

    def do_ask(self, request: HttpRequest, refund: Refund, reason: str) -> Report:
        status = services.ask_refund(refund)
        refund.refresh_from_db()
        told = report(refund)
        return told if status else Report(False, told.text, refund)

    def do_approve(self, request: HttpRequest, refund: Refund, reason: str) -> Report:
        try:
            services.approve_refund(refund, by=user_of(request))
        except services.RefundRefused as error:
            return Report(False, str(error))
        return report(services.submit_refund(refund))

    def do_withdraw(self, request: HttpRequest, refund: Refund, reason: str) -> Report:
        try:
            services.withdraw_refund(refund, by=user_of(request), reason=reason)
        except services.RefundRefused as error:
            return Report(False, str(error))
        return Report(True, gettext("Withdrawn: nothing was sent, and the user has the quota again."))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        refund: Refund = kwargs["obj"]
        context |= {
            "refund": refund,
            "title": refund.refund_no,
            "subtitle": None,
            "state": words.refund_state(refund),
            "gateway": words.gateway(refund.order.gateway),
            "money": words.money(refund.amount_fen),
            "quota": grouped(refund.quota),
            "marks": marks_of(refund),
            "facts": _facts(refund, request),
            "timeline": _timeline(refund, request),
        }
        return super().render_change_form(request, context, *args, **kwargs)


def marks_of(refund: Refund) -> list[SafeString]:
    """What an accountant must not overlook."""
    marks = [
        (bool(refund.review), "danger", gettext("Needs review")),
        (refund.waits_for_approval and refund.state in Refund.OPEN, "warning", gettext("Waits for approval")),
        (refund.source == Refund.Source.CONSOLE, "default", gettext("Made at the payment platform")),
        (refund.surplus is not None, "info", gettext("Of a surplus payment")),
        (refund.shortfall > 0, "warning", gettext("Quota was spent")),
    ]
    return [label(tone, text) for applies, tone, text in marks if applies]


def _facts(refund: Refund, request: HttpRequest) -> list[tuple[str, object]]:
    names = {field.name: str(field.verbose_name) for field in Refund._meta.fields}
    order: object = link(change_url(refund.order), refund.order) if may(request, Order, "view") else refund.order
    return [
        (names["order"], order),
        (gettext("Paid"), words.money((refund.surplus or refund.order).amount_fen)),
        *([(gettext("Surplus payment"), refund.surplus)] if refund.surplus else []),
        (gettext("Gives back"), words.money(refund.amount_fen)),
        (names["quota_due"], grouped(refund.quota_due)),
        (names["quota"], grouped(refund.quota)),
        (names["reason"], refund.reason or "—"),
        (names["requested_by"], refund.requested_by),
        (names["approved_by"], refund.approved_by or "—"),
        (names["refund_id"], refund.refund_id or "—"),
        (names["said"], in_words(refund.said) or "—"),
        (names["asked"], str(refund.asked)),
        (names["succeeded_at"], moment(refund.succeeded_at)),
    ]


def _timeline(refund: Refund, request: HttpRequest) -> list[Moment]:
    """Its own moments, and what the platform was told and said about the order meanwhile."""
    calls = GatewayCall.objects.filter(order_no=refund.order.order_no, operation__startswith="refund")
    calls = calls.filter(created__gte=refund.created).order_by("-pk")[:50]
    moments = [*refund_timeline(refund, request)]
    for call in calls:
        url = change_url(call) if may(request, GatewayCall, "view") else ""
        title = str(words.OPERATIONS.get(call.operation, call.operation))
        lines = call.response.strip().splitlines()
        tone = words.OUTCOME_TONES.get(call.outcome, "default")
        said = lines[-1][:200] if call.outcome != "ok" and lines else words.outcome(call.outcome)
        moments.append(Moment(call.created, title, said, url, "info" if call.outcome == "ok" else tone))
    return sorted(moments, key=lambda each: each.when)
