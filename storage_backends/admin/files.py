"""Files, as far as they are an operator's business: whose, where, how large. Neither their names nor what they hold."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.columns import column, linked, when
from voicehelper.admin.filters import Days, username
from voicehelper.admin.keyset import EndlessAdmin

from ..contents import readable
from ..models import StoredFile
from .words import state_label


@admin.register(StoredFile)
class StoredFileAdmin(EndlessAdmin):
    time_created = when("created", _("created"))
    user_link = linked("user", _("user"))
    list_display = ("time_created", "user", "content_type", "size_text", "bucket", "purpose", "state_text")
    list_filter = (username(), ("created", Days))
    list_select_related = ("user", "bucket")
    fields = (
        "key",
        "user_link",
        "bucket",
        "content_type",
        "size_text",
        "sha256",
        "purpose",
        "state_text",
        "time_created",
    )

    size_text = column(_("size"), lambda file: readable(file.size))
    state_text = column(_("state"), lambda file: state_label(file))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["title"] = str(kwargs["obj"])
        return super().render_change_form(request, context, *args, **kwargs)
