"""Conversations, as far as they are an operator's business: that there are some, whose, when, and what they cost.

Neither titles (they are made of what users wrote) nor messages are shown to anybody: see docs/decisions.md.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Sum
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.columns import column, linked, when
from voicehelper.admin.filters import Days, username
from voicehelper.admin.keyset import EndlessAdmin
from voicehelper.numbers import grouped

from ..models import ChatSession


@admin.register(ChatSession)
class ChatSessionAdmin(EndlessAdmin):
    time_created = when("created", _("created"))
    time_last = when("last", _("last message"))
    user_link = linked("user", _("user"))
    position = "last"
    list_display = ("time_last", "user", "model_name", "time_created")
    list_filter = (username(), ("last", Days))
    list_select_related = ("user",)
    ordering = ("-last",)
    fields = ("user_link", "model_name", "time_created", "time_last", "num_messages", "num_quota")

    num_messages = column(
        _("messages"), lambda session: grouped(session.messages.aggregate(count=Count("pk"))["count"])
    )
    num_quota = column(
        _("quota"), lambda session: grouped(session.messages.aggregate(quota=Sum("quota", default=0))["quota"])
    )

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["title"] = str(kwargs["obj"])
        return super().render_change_form(request, context, *args, **kwargs)
