"""The differences of all days: what each means, and what can be done about it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter

from voicehelper.admin.base import Action, Report, change_url, may, operator
from voicehelper.admin.columns import choice_label, link, moment
from voicehelper.admin.filters import choice
from voicehelper.numbers import grouped
from voicehelper.spreadsheet import Columns

from ..models import Difference, Order, Refund, SurplusPayment
from ..services import reconciliation
from ..stored_texts import in_words
from . import words
from .settling_together import SettlingTogether

Kind, State = Difference.Kind, Difference.State

STATE_TONES = {
    State.OPEN: "danger",
    State.WAITING: "info",
    State.EXPLAINED: "default",
    State.REPAIRED: "success",
    State.SETTLED: "success",
    State.VANISHED: "default",
}
_MEANINGS: dict[str, Any] = {
    Kind.NOT_CREDITED: _(
        "The bill says paid, and the user has no quota. Ask the platform: when it confirms, the quota is credited."
    ),
    Kind.UNKNOWN_HERE: _(
        "Another system with the same merchant number sold this, or the order was lost with a restored backup. If it"
        " is ours, credit the user by hand with the transaction number as the reason; else note whose it is."
    ),
    Kind.OTHER_ACCOUNT: _(
        "The order was agreed with another merchant account, app or mode than the bill’s. Compare both with the"
        " platform’s console before anything is credited or refunded."
    ),
    Kind.AMOUNT_DIFFERS: _(
        "The buyer paid another amount than was agreed. Look at the payment in the platform’s console; refund what is"
        " too much there, or settle what is missing with the user."
    ),
    Kind.TRANSACTION_DIFFERS: _(
        "The payment has another number there than here: it was credited by hand, or by another payment that is not in"
        " the bill. Compare both numbers in the platform’s console."
    ),
    Kind.PAID_TWICE: _(
        "The order was paid before; the user was credited once. Ask the platform: this second payment is then kept with"
        " the order, where it can be given back without touching the quota."
    ),
    Kind.LISTED_TWICE: _("The bill names the same payment more than once. Ask the platform."),
    Kind.MISSING_THERE: _(
        "The user has the quota, and the bill knows no such payment. Ask the platform about the order; one completed by"
        " hand needs its proof."
    ),
    Kind.REFUND_UNKNOWN_HERE: _(
        "Money went back in the platform’s console. Ask the platform: when it confirms, the refund is booked here and"
        " the quota is taken back."
    ),
    Kind.REFUND_UNKNOWN_ORDER: _("Money went back for an order that is not here. Find out whose order it was."),
    Kind.REFUND_UNFINISHED: _("The platform has carried it out, or given it up. Ask it: the refund ends here as well."),
    Kind.REFUND_AMOUNT_DIFFERS: _(
        "Another amount went back than was agreed here. Compare it with the platform’s console."
    ),
    Kind.REFUND_STATE_DIFFERS: _(
        "Here the refund failed and the user kept the quota, or the other way round. Compare with the platform’s"
        " console, and settle the rest with the user."
    ),
    Kind.REFUND_MISSING_THERE: _(
        "It counts as refunded here, and no bill up to this day has it. Ask the platform about the refund."
    ),
    Kind.NOT_UNDERSTOOD: _(
        "The bill has an entry that could not be read, or is of a kind that is not known here; everything else was"
        " compared. Look at its text: if an order of ours is in it, compare it with the platform’s console; else note"
        " it as settled."
    ),
    Kind.DATED_OUTSIDE: _(
        "Number and amount agree, but the entry is dated on another day than the bill’s. Compare the time with the"
        " platform’s console."
    ),
    Kind.OTHER_DAY: _("It is booked here on another day, close to midnight for instance. Nothing to do."),
}


@admin.register(Difference)
class DifferenceAdmin(SettlingTogether):
    list_display = ("shown_number", "day", "gateway_label", "kind", "num_theirs", "num_ours", "state_label")
    list_filter = (
        choice(_("state"), "state", lambda: State.choices),
        choice(_("kind"), "kind", lambda: Kind.choices),
        words.by_gateway("reconciliation__gateway"),
        ("reconciliation__day", RangeDateFilter),
    )
    list_select_related = ("reconciliation",)
    search_fields = ("=order_no", "=transaction_id", "=refund_no")
    search_help_text = _("Order, transaction or refund number")
    change_form_template = "admin/topup/difference/change_form.html"
    fields = ()
    export: ClassVar[Columns] = {
        "day": lambda row: row.reconciliation.day,
        "gateway": lambda row: row.reconciliation.gateway,
        "kind": lambda row: row.kind,
        "order_no": lambda row: row.order_no,
        "transaction_id": lambda row: row.transaction_no,
        "refund_no": lambda row: row.refund_no,
        "theirs_yuan": lambda row: words.signed_yuan(row.theirs_fen) if row.theirs_fen is not None else None,
        "ours_yuan": lambda row: words.signed_yuan(row.ours_fen) if row.ours_fen is not None else None,
        "time": lambda row: moment(row.at),
        "state": lambda row: row.state,
        "settled_by": lambda row: row.actor,
        "note": lambda row: row.note,
        "line": lambda row: row.line,
        "text": lambda row: row.text,
    }

    @admin.display(description=_("order number"))
    def shown_number(self, row: Difference) -> str:
        return row.order_no or gettext("line %(line)s") % {"line": row.line} if row.line else row.order_no

    @admin.display(description=_("day"))
    def day(self, row: Difference) -> str:
        return f"{row.reconciliation.day}"

    @admin.display(description=_("gateway"))
    def gateway_label(self, row: Difference) -> SafeString:
        return words.gateway(row.reconciliation.gateway)

    @admin.display(description=_("theirs"))
    def num_theirs(self, row: Difference) -> str:
        return words.money_or_dash(row.theirs_fen)

    @admin.display(description=_("ours"))
    def num_ours(self, row: Difference) -> str:
        return words.money_or_dash(row.ours_fen)

    @admin.display(description=_("state"))
    def state_label(self, row: Difference) -> SafeString:
        return settled_label(row)

    def actions_for(self, request: HttpRequest, record: Difference) -> Sequence[Action]:
        if not may(request, Difference, "change"):
            return ()
        if record.state == State.SETTLED:
            return [Action("reopen", gettext("Open it again"), asks_reason=True)]
        if record.state != State.OPEN:
            return ()
        hint = gettext("What was done about it outside of this system. It touches no money and no quota.")
        settle = Action("settle", gettext("Note as settled"), hint=hint, asks_reason=True)
        if record.kind not in Difference.REPAIRABLE or not may(request, Order, "change"):
            return [settle]
        hint = gettext("Only what the platform confirms, signed, is credited or booked.")
        return [Action("ask", gettext("Ask the payment platform"), hint=hint, main=True), settle]

    def do_ask(self, request: HttpRequest, record: Difference, reason: str) -> Report:
        done, why = reconciliation.ask_again(record, actor=operator(request))
        reconciliation.refresh_state(record.reconciliation)
        surplus = SurplusPayment.objects.filter(transaction_id=record.transaction_id, order__order_no=record.order_no)
        if record.kind == Kind.PAID_TWICE and (kept := surplus.first()):
            return Report(True, gettext("It is a surplus payment of this order: give it back here."), kept.order)
        return Report(done, gettext("The platform confirms it: put right.") if done else why)

    def do_settle(self, request: HttpRequest, record: Difference, reason: str) -> Report:
        done = reconciliation.settle(record, by=operator(request), reason=reason)
        return Report(done, gettext("Noted as settled.") if done else gettext("It is not open any more."))

    def do_reopen(self, request: HttpRequest, record: Difference, reason: str) -> Report:
        done = reconciliation.reopen(record, by=operator(request), reason=reason)
        return Report(done, gettext("It is open again.") if done else gettext("Somebody else was first."))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        difference: Difference = kwargs["obj"]
        context |= {
            "difference": difference,
            "title": difference.get_kind_display(),
            "state": settled_label(difference),
            "gateway": words.gateway(difference.reconciliation.gateway),
            "theirs": words.money_or_dash(difference.theirs_fen),
            "ours": words.money_or_dash(difference.ours_fen),
            "meaning": _MEANINGS[difference.kind],
            "facts": _facts(difference, request),
        }
        return super().render_change_form(request, context, *args, **kwargs)


def _facts(difference: Difference, request: HttpRequest) -> list[tuple[str, object]]:
    names = {field.name: str(field.verbose_name) for field in Difference._meta.fields}
    day = difference.reconciliation
    order = Order.objects.filter(order_no=difference.order_no).first()
    refund = (
        Refund.objects.filter(order=order, refund_no=difference.refund_no).first() if difference.refund_no else None
    )
    shown: object = difference.order_no or "—"
    if order is not None and may(request, Order, "view"):
        shown = link(change_url(order), order)
    refunded: object = difference.refund_no or "—"
    if refund is not None and may(request, Refund, "view"):
        refunded = link(change_url(refund), refund)
    return [
        (gettext("Day"), link(change_url(day), day.day)),
        (names["order_no"], shown),
        (gettext("State of the order here"), order.get_state_display() if order else gettext("No such order here")),
        (names["transaction_id"], difference.transaction_no or "—"),
        (names["refund_no"], refunded),
        (gettext("Time in the bill or here"), moment(difference.at)),
        (names["said"], in_words(difference.said) or "—"),
        *(
            [(names[name], in_words(str(getattr(difference, name)))) for name in ("line", "problem")]
            if difference.text
            else []
        ),
        (names["created"], moment(difference.created)),
        (names["ended"], moment(difference.ended)),
        (names["actor"], difference.actor or "—"),
        (names["note"], difference.note or "—"),
    ]


# --- How differences are worded and coloured -------------------------------------------------------------------------
def settled_label(difference: Difference) -> SafeString:
    return choice_label(difference, STATE_TONES)


def both(count: int, amount_fen: int) -> SafeString:
    """Money with the number of entries beside it."""
    return format_html("{} <small>× {}</small>", words.money(amount_fen), grouped(count))


def difference_label(theirs_fen: int, ours_fen: int) -> SafeString:
    """Theirs less ours; green when it is nothing."""
    difference = theirs_fen - ours_fen
    tone = "vh-minus" if difference else "vh-plus"
    return format_html('<span class="{}">{}</span>', tone, words.signed_money(difference))
