"""What providers told us, and what we asked them: read-only, and a stored notice can be handled once more."""

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import Action, ReadOnlyAdmin, Report, change_url, may, operator
from voicehelper.admin.columns import link, when
from voicehelper.admin.filters import Days, choice

from .. import services
from ..gateways import GATEWAYS
from ..models import GatewayCall, MerchantAccount, Notice, Order
from ..services import receiving
from ..stored_texts import in_words
from . import accounts, words


def unfinished() -> QuerySet[Notice]:
    """Notices somebody should look at: genuine, not settled, and their order not credited since."""
    return Notice.objects.filter(verdict__in=Notice.UNFINISHED).exclude(order__state__in=Order.CREDITED)


def _verdicts() -> list[tuple[str, Any]]:
    return [("unfinished", _("Unfinished")), *Notice.Verdict.choices]


def _with_verdict(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    return rows.filter(pk__in=unfinished().values("pk")) if value == "unfinished" else rows.filter(verdict=value)


class _Traffic(ReadOnlyAdmin):
    """What notices and calls have in common: a gateway, and an order's number to search by."""

    search_fields = ("order_no",)  # what is searched really is in get_search_results
    search_help_text = _("Order number")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(order_no=term) if term else queryset), False

    @admin.display(description=_("gateway"))
    def gateway_label(self, row: Any) -> SafeString:
        return words.gateway(row.gateway)


@admin.register(Notice)
class NoticeAdmin(_Traffic):
    list_display = (
        "time_received", "gateway_label", "order_no", "verdict_label", "acknowledged", "source", "detail_told",
    )  # fmt: skip
    list_filter = (
        choice(_("verdict"), "verdict", _verdicts, _with_verdict),
        words.by_gateway(),
        ("received", Days),
    )
    ordering = ("-received",)
    sortable_by = ("time_received",)
    time_received = when("received", _("received"))
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "time_received",
                    "gateway_label",
                    "source",
                    "order_link",
                    "verdict_label",
                    "detail_told",
                    "acknowledged",
                    "replayed",
                )
            },
        ),
        (_("Content"), {"fields": ("fields_of_body", "body_as_it_came")}),
    )

    @admin.display(description=_("verdict"))
    def verdict_label(self, notice: Notice) -> SafeString:
        return words.verdict(notice)

    @admin.display(description=_("detail"))
    def detail_told(self, notice: Notice) -> str:
        return in_words(notice.detail) or "—"

    @admin.display(description=_("order"))
    def order_link(self, notice: Notice) -> object:
        return link(change_url(notice.order), notice.order) if notice.order else notice.order_no or "—"

    @admin.display(description=_("replay"))
    def replayed(self, notice: Notice) -> object:
        if notice.replay_of is None:
            return "—"
        original = gettext("of notice #%(number)d, by %(who)s") % {"number": notice.replay_of.pk, "who": notice.actor}
        return link(change_url(notice.replay_of), original)

    @admin.display(description=_("fields"))
    def fields_of_body(self, notice: Notice) -> SafeString:
        return fields_table(notice)

    @admin.display(description=_("as it came"))
    def body_as_it_came(self, notice: Notice) -> SafeString:
        return preformatted(notice.body)

    def actions_for(self, request: HttpRequest, record: Notice) -> Sequence[Action]:
        if not may(request, Notice, "change"):
            return ()
        return [
            Action(
                "replay",
                gettext("Replay"),
                hint=gettext("Handles the notice once more, as if it had just come. Nothing is credited twice."),
                main=True,
            )
        ]

    def do_replay(self, request: HttpRequest, notice: Notice, reason: str) -> Report:
        try:
            again = receiving.replay_notice(notice, actor=operator(request))
        except services.TopupError:
            return Report(False, gettext("The gateway is not completely configured."))
        text = gettext("Replayed: %(verdict)s") % {"verdict": again.get_verdict_display()}
        said = " · ".join(filter(None, [text, in_words(again.detail)]))
        return Report(again.acknowledged, said, again if again.pk else None)


@admin.register(GatewayCall)
class GatewayCallAdmin(_Traffic):
    list_display = (
        "time_created",
        "gateway_label",
        "account_label",
        "operation_label",
        "order_no",
        "outcome_label",
        "num_ms",
    )
    list_filter = (
        choice(_("outcome"), "outcome", words.OUTCOMES.items),
        words.by_gateway(),
        choice(_("merchant account"), "account", accounts.choices),
        choice(_("operation"), "operation", words.OPERATIONS.items),
        ("created", Days),
    )
    ordering = ("-created",)
    sortable_by = ("time_created",)
    time_created = when("created", _("time"))
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "time_created",
                    "gateway_label",
                    "account_label",
                    "operation_label",
                    "order_link",
                    "outcome_label",
                    "num_ms",
                )
            },
        ),
        (_("Content"), {"fields": ("request_text", "response_text")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[GatewayCall]:
        """Their accounts come along, without the keys."""
        light = Prefetch("account", MerchantAccount.objects.defer(*MerchantAccount.SECRETS))
        return cast(QuerySet[GatewayCall], super().get_queryset(request).prefetch_related(light))

    @admin.display(description=_("merchant account"))
    def account_label(self, call: GatewayCall) -> str:
        return accounts.title(call.account) if call.account else "—"

    @admin.display(description=_("operation"))
    def operation_label(self, call: GatewayCall) -> object:
        return words.OPERATIONS.get(call.operation, call.operation)

    @admin.display(description=_("outcome"))
    def outcome_label(self, call: GatewayCall) -> SafeString:
        return words.outcome(call.outcome)

    @admin.display(description=_("took"))
    def num_ms(self, call: GatewayCall) -> str:
        return f"{call.elapsed_ms:,} ms"

    @admin.display(description=_("order"))
    def order_link(self, call: GatewayCall) -> object:
        order = Order.objects.filter(order_no=call.order_no).first()
        return link(change_url(order), order) if order else call.order_no or "—"

    @admin.display(description=_("request"))
    def request_text(self, call: GatewayCall) -> SafeString:
        return preformatted(call.request)

    @admin.display(description=_("response"))
    def response_text(self, call: GatewayCall) -> SafeString:
        return preformatted(call.response)


def preformatted(text: str) -> SafeString:
    """As it is, escaped."""
    return format_html('<pre class="vh-pre">{}</pre>', text)


def fields_table(notice: Notice) -> SafeString:
    """The fields of a notice, escaped; a dash when its gateway cannot read it."""
    gateway = GATEWAYS.get(notice.gateway)
    fields = gateway.notice_fields(notice.body.encode()) if gateway else {}
    rows = format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", fields.items())
    return format_html('<table class="vh-fields" translate="no">{}</table>', rows) if rows else mark_safe("—")
