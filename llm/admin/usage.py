"""The log of calls: found by request id or user, read, never edited; fast however long it grows."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper import clock
from voicehelper.admin.base import change_url, may, url_name
from voicehelper.admin.columns import column, label, link, linked, number, when
from voicehelper.admin.filters import Days, choice, username, users_like
from voicehelper.admin.keyset import EndlessAdmin
from voicehelper.spreadsheet import Columns, plain
from voicehelper.wallet.models import Entry, Hold

from ..kind_names import name_of
from ..models import Model, Usage
from . import words
from .prices import margin
from .spenders import SpenderPages
from .statistics import page_context


def _models() -> list[tuple[str, str]]:
    return [(name, name) for name in Model.objects.order_by("name").values_list("name", flat=True)]


@admin.register(Usage)
class UsageAdmin(SpenderPages, EndlessAdmin):
    list_display = (
        "time_created",
        "user",
        "model_name",
        "outcome_label",
        "num_tokens",
        "num_quota",
        "num_ms",
        "id_link",
    )
    list_display_links = ("time_created",)
    list_filter = (
        choice(_("outcome"), "outcome", lambda: Usage.Outcome.choices),
        choice(_("model"), "model_name", _models),
        # By the user's number, found first: the log's index is on that.
        username(narrow=lambda rows, name: rows.filter(user__in=users_like(username=name))),
        ("created", Days),
    )
    list_select_related = ("user",)
    ordering = ("-created",)
    search_fields = ("request_id",)  # what is searched really is in find
    search_help_text = _("Request id (req_…), or the beginning of a user name")
    change_list_template = "admin/llm/usage_list.html"
    change_form_template = "admin/llm/usage.html"
    time_created = when("created", _("time"))
    user_link = linked("user", _("user"))
    num_quota = number("quota", _("quota"))
    num_uncollected = number("uncollected", _("used beyond the balance, not charged"))
    kind_lines = column(_("of it by kind"), lambda usage: _kinds(usage.kinds) or "—")
    tier = column(_("service tier"), lambda usage: usage.service_tier or "—")
    num_cost = column(_("own cost"), lambda usage: "—" if usage.cost is None else f"{usage.cost:,}")
    num_margin = column(
        _("margin"),
        lambda usage: (
            "—" if usage.cost is None else f"{usage.quota - usage.cost:,} ({margin(usage.quota, usage.cost)})"
        ),
    )
    export: ClassVar[Columns] = {
        "time": lambda row: clock.beijing_iso(row.created),
        "user": lambda row: row.user.username,
        "model": lambda row: row.model_name,
        **plain("request_id", "provider", "operation", "input_tokens", "output_tokens"),
        "kinds": lambda row: " ".join(f"{kind}={number}" for kind, number in sorted(row.kinds.items())),
        **plain("service_tier", "quota", "cost"),
        "margin": lambda row: "" if row.cost is None else row.quota - row.cost,
        **plain("outcome", "latency_ms"),
    }
    fieldsets: ClassVar[Any] = (
        (
            _("Who asked for what"),
            {"fields": ("time_created", "user_link", "operation_name", "asked", "answered", "how")},
        ),
        (
            _("What was used"),
            {"fields": ("num_input", "num_output", "kind_lines", "tier", "known_from", "num_quota", "num_uncollected")},
        ),
        (_("What it brought"), {"fields": ("num_cost", "num_margin")}),
        (_("How it went"), {"fields": ("outcome_label", "num_ms", "num_first_ms", "tries", "error_text")}),
        (_("In the ledger"), {"fields": ("entry_link", "hold_link")}),
    )

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """One index or the other, never both: the page stays one walk along it."""
        if Usage.objects.filter(request_id=term).exists():
            return rows.filter(request_id=term)
        return rows.filter(user__in=users_like(username__startswith=term))

    # --- Columns and facts -------------------------------------------------------------------------------------------
    outcome_label = column(_("outcome"), words.outcome)
    num_tokens = column(_("in / out"), lambda usage: f"{usage.input_tokens:,} / {usage.output_tokens:,}")
    num_ms = column(_("took"), lambda usage: f"{usage.latency_ms:,} ms")
    id_link = column(_("request id"), lambda usage: usage.request_id)
    operation_name = column(_("operation"), lambda usage: words.OPERATIONS.get(usage.operation, usage.operation))
    asked = column(_("asked for"), lambda usage: usage.asked_model or gettext("any model"))
    answered = column(
        _("answered by"),
        lambda usage: " · ".join(filter(None, (usage.model_name, words.provider(usage.provider)))) or "—",
    )
    how = column(_("how"), lambda usage: gettext("streamed") if usage.streamed else gettext("in one piece"))
    num_input = column(_("input"), lambda usage: f"{usage.input_tokens:,} {_unit(usage)[0]}".strip())
    num_output = column(_("output"), lambda usage: f"{usage.output_tokens:,} {_unit(usage)[1]}".strip())

    @admin.display(description=_("usage known from"))
    def known_from(self, usage: Usage) -> SafeString:
        tone = {Usage.Source.ESTIMATE: "warning", Usage.Source.CUMULATIVE: "info"}.get(Usage.Source(usage.usage_source))
        return label(tone or "default", usage.get_usage_source_display())

    num_first_ms = column(
        _("first output after"), lambda usage: "—" if usage.first_token_ms is None else f"{usage.first_token_ms:,} ms"
    )
    error_text = column(_("error"), lambda usage: usage.error or "—")

    @admin.display(description=_("ledger entry"))
    def entry_link(self, usage: Usage) -> object:
        entry = Entry.objects.filter(kind=Entry.Kind.SPEND, ref=usage.request_id).first()
        return (
            link(change_url(entry), f"#{entry.pk} {entry.amount:+,}") if entry else gettext("none: nothing was charged")
        )

    @admin.display(description=_("hold"))
    def hold_link(self, usage: Usage) -> object:
        hold = Hold.objects.filter(ref=usage.request_id).first()
        text = f"{hold.amount:,} · {hold.get_state_display()}" if hold else ""
        return link(change_url(hold), text) if hold else "—"

    # --- Statistics --------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        statistics = self.admin_site.admin_view(self.statistics)
        return [path("statistics/", statistics, name=url_name(self, "statistics")), *super().get_urls()]

    def statistics(self, request: HttpRequest) -> HttpResponse:
        if not may(request, Usage, "view"):
            raise PermissionDenied
        context = page_context(request.GET)
        return self.page(request, "admin/llm/statistics.html", context)


def _kinds(counts: Mapping[str, int]) -> str:
    named = ((kind.partition(":"), number) for kind, number in sorted(counts.items()))
    return gettext(", ").join(f"{name_of(kind, variant)} {number:,}" for (kind, _colon, variant), number in named)


def _unit(usage: Usage) -> tuple[str, str]:
    """What input and output are counted in."""
    tokens = gettext("tokens")
    return {
        "transcription": (gettext("seconds"), ""),
        "speech": (gettext("characters"), ""),
        "images": ("", gettext("pictures") if not usage.input_tokens else tokens),
    }.get(usage.operation, (tokens, tokens))
