"""Alerts: what is open, what was resolved and by whom."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import Action, ReadOnlyAdmin, Report, may, moment, operator, when
from voicehelper.admin.filters import Choice, Days

from . import services
from .models import Alert

TONES = {Alert.Level.CRITICAL: "danger", Alert.Level.WARNING: "warning", Alert.Level.INFO: "info"}


class OpenFilter(Choice):
    title = _("state")
    parameter_name = "open"

    def options(self) -> Iterable[tuple[str, Any]]:
        return [("yes", _("Open")), ("no", _("Resolved"))]

    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(resolved_at__isnull=value == "yes")


class LevelFilter(Choice):
    title = _("level")
    parameter_name = "level"

    def options(self) -> Iterable[tuple[str, Any]]:
        return Alert.Level.choices


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    time_created = when("created", _("first"))
    time_last = when("last", _("last"))
    list_display = ("title", "level_label", "num_count", "time_last", "time_created", "resolution")
    list_filter = (OpenFilter, LevelFilter, ("last", Days))
    ordering = ("-last",)
    sortable_by = ("time_last",)
    search_fields = ("title", "content")
    actions = ("resolve_selected",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "level_label",
                    "title",
                    "text",
                    "num_count",
                    "time_created",
                    "time_last",
                    "event",
                    "resolution",
                )
            },
        ),
    )

    @admin.display(description=_("level"))
    def level_label(self, alert: Alert) -> SafeString:
        tone = TONES.get(Alert.Level(alert.level), "default")
        return format_html('<span class="vh-label vh-{}">{}</span>', tone, alert.get_level_display())

    @admin.display(description=_("times"))
    def num_count(self, alert: Alert) -> str:
        return f"{alert.count:,}"

    @admin.display(description=_("content"))
    def text(self, alert: Alert) -> SafeString:
        return format_html('<div class="vh-text">{}</div>', alert.content or "—")

    @admin.display(description=_("resolved"))
    def resolution(self, alert: Alert) -> object:
        if alert.resolved_at is None:
            return format_html('<span class="vh-label vh-warning">{}</span>', gettext("Open"))
        return gettext("%(time)s by %(who)s") % {"time": moment(alert.resolved_at), "who": alert.resolved_by}

    def actions_for(self, request: HttpRequest, record: Alert) -> Sequence[Action]:
        if not may(request, Alert, "change"):
            return ()
        refusal = gettext("It is resolved already.") if record.resolved_at else ""
        hint = gettext("The same event raises a new alert when it happens again.")
        return [Action("resolve", gettext("Mark as resolved"), hint=hint, refusal=refusal, main=True)]

    def do_resolve(self, request: HttpRequest, alert: Alert, reason: str) -> Report:
        done = services.resolve(alert, by=operator(request))
        return Report(done, gettext("Resolved.") if done else gettext("It is resolved already."))

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return may(request, Alert, "change")

    @admin.action(description=_("Mark the selected alerts as resolved"), permissions=["resolve"])
    def resolve_selected(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        done = [alert for alert in queryset if services.resolve(alert, by=operator(request))]
        for alert in done:
            self.log_change(request, alert, gettext("Resolved."))
        text = ngettext("%(count)d alert resolved.", "%(count)d alerts resolved.", len(done)) % {"count": len(done)}
        messages.success(request, text)
