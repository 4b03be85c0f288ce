"""Channels: a form for each kind, a test that really sends, and what a channel is doing."""

from copy import copy
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper import clock
from voicehelper.admin import stepup
from voicehelper.admin.base import list_url, may
from voicehelper.admin.columns import column, label, moment, number
from voicehelper.admin.forms import PASSWORD, Status
from voicehelper.admin.front_page import OpenMatter
from voicehelper.admin.probing import ProbedAdmin
from voicehelper.net.probe import Probe

from ..delivery import send_test
from ..mail import can_mail, carries_letters
from ..models import Channel, kinds
from .forms import FORMS


@admin.register(Channel)
class ChannelAdmin(ProbedAdmin):
    """Each kind of channel has a form of its own."""

    purpose = _("A way to reach operators. Which alerts go through it is said by the rules.")
    test_label = _("Send a test message")
    test_hint = _("Sends one real message with what is saved.")
    list_display = ("name", "get_kind_display", "state", "num_waiting")
    ordering = ("name",)
    placeholders = {
        "webhook": "https://oapi.dingtalk.com/robot/send?access_token=…",
        "host": "smtp.example.com",
        "sender": "alerts@example.com",
        "sdk_app_id": "1400006666",
        "template": "SMS_123456789",
    }
    help_texts = {
        "name": _("What you call it."),
        "enabled": _("Alerts go through it as the rules say."),
        "language": _("In which its readers are written to."),
        "webhook": _("Stored encrypted and never shown again."),
        "secret": _("Stored encrypted and never shown again."),
    }

    # --- The list ---
    num_waiting = number("waiting", _("waiting"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        waiting = Count("deliveries", filter=Q(deliveries__next_try_at__isnull=False))
        rows: QuerySet[Channel] = super().get_queryset(request).annotate(waiting=waiting)
        return rows

    get_kind_display = column(_("kind"), lambda channel: channel.get_kind_display())

    @admin.display(description=_("state"))
    def state(self, channel: Channel) -> SafeString:
        status = self.status(channel)
        tone = {"on": "success", "off": "default", "trouble": "danger"}[status.tone]
        return format_html("{} {}", label(tone, status.parts[0]), " · ".join(status.parts[1:]))

    # --- The form ---
    def _kind(self, request: HttpRequest, obj: Channel | None) -> str:
        kind = obj.kind if obj is not None else request.GET.get("kind", "")
        return kind if kind in FORMS else ""

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Asks for the kind first."""
        if not self._kind(request, None):
            if not self.has_add_permission(request):
                raise PermissionDenied
            choices = [(kind, label, FORMS[kind].icon) for kind, label in kinds()]
            context = {"title": gettext("Add an alert channel"), "choices": choices}
            return self.page(request, "admin/notifications/choose.html", context)
        return super().add_view(request, form_url, extra_context)

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = FORMS[self._kind(request, obj)]
        form = super().get_form(request, obj, change=change, **kwargs)
        if "users" in form.base_fields and not request.user.is_superuser:
            switch = copy(form.base_fields["users"])
            switch.disabled, switch.help_text = True, _("Only a superuser switches it: these mails open accounts.")
            form.base_fields = {**form.base_fields, "users": switch}
        return form

    # Whoever says which server users' letters go through could read them, and have every password set anew.
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        mine = obj is None or request.user.is_superuser or not carries_letters(obj)
        return mine and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        mine = obj is None or request.user.is_superuser or not carries_letters(obj)
        return mine and super().has_delete_permission(request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        form = FORMS[self._kind(request, obj)]
        cards = [(title, {"fields": list(fields)}) for title, fields in form.cards]
        if not stepup.confirmed_until(request):
            cards.append((_("Confirm it is you"), {"fields": [PASSWORD]}))
        return cards

    def problems(self, row: Any) -> dict[str, str]:
        return {}

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        """Only what the form is about: the rest moves while a message leaves."""
        obj.save(update_fields=["name", "enabled", "language", "options", "webhook", "secret"] if change else None)

    def status(self, row: Any) -> Status:
        """On, resting after failures, or off."""
        last = gettext("last success %(time)s") % {"time": moment(row.last_ok)} if row.last_ok else ""
        if not row.enabled:
            return Status("off", tuple(filter(None, (gettext("Off"), last))))
        if row.rest_until and row.rest_until > clock.now():
            until = gettext("resting until %(time)s") % {"time": moment(row.rest_until)}
            return Status("trouble", (gettext("Failing"), until, row.last_error))
        if row.last_error:
            return Status("trouble", (gettext("Failing"), row.last_error))
        return Status("on", tuple(filter(None, (gettext("On"), last))))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row = kwargs.get("obj")
        kind = self._kind(request, row)
        context["help_steps"] = FORMS[kind].steps
        response = super().render_change_form(request, context, *args, **kwargs)
        if row is None:
            response.context_data["title"] = gettext("New channel: %(kind)s") % {"kind": dict(kinds())[kind]}
        return response

    def probe(self, request: HttpRequest, row: Channel) -> Probe:
        return send_test(row)


def users_cannot_be_mailed(request: HttpRequest) -> list[OpenMatter]:
    """Whoever forgets a password then has to ask an operator."""
    if not may(request, Channel, "view") or can_mail():
        return []
    title = gettext("No email channel mails to users: forgotten passwords need you")
    return [OpenMatter(title, 1, list_url(Channel), "warning")]
