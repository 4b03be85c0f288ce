"""The mini program in the admin: its settings with "test connection", and what users shared."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import ReadOnlyAdmin
from voicehelper.admin.columns import linked, number, when
from voicehelper.admin.filters import Days, username

from .. import mini_program, sharing
from ..models import MiniProgramSettings, Share
from .wechat_app import WeChatApp, WeChatAppAdmin


@admin.register(MiniProgramSettings)
class MiniProgramSettingsAdmin(WeChatAppAdmin):
    without = _("Not set up: mini program users cannot sign in.")
    purpose = _("The WeChat mini program whose users sign in here.")
    fieldsets = (
        (_("Mini program"), {"fields": ["app_id", "app_secret"]}),
        (_("Shared card"), {"fields": ["share_title", "share_image"]}),
    )
    placeholders = {
        "app_id": _("Please enter the mini program’s app id"),
        "app_secret": _("Please enter the app secret"),
        "share_image": "https://",
    }
    help_texts = {
        "app_id": _("mp.weixin.qq.com → Development → Development settings."),
        "app_secret": _("On the same page, shown once when it is made. Stored encrypted and never shown again."),
        "share_title": _("What friends read when a user shares the mini program. Empty: a friendly sentence of ours."),
        "share_image": _("Its address, five wide by four high, PNG or JPG. Empty: our own picture."),
    }

    def open_app(self, row: Any) -> WeChatApp:
        return mini_program.open_mini_program(row)

    def page_context(self, row: Any) -> dict[str, Any]:
        domain = settings.SERVER_ADDRESS
        steps = [
            gettext("App id: sign in at mp.weixin.qq.com → Development → Development settings; it begins with wx."),
            gettext("App secret: on the same page → Generate. WeChat shows it once; enter it here at once."),
            gettext("IP allow list: on the same page, if it is switched on, add this server’s outgoing address."),
            gettext(
                "Server domains: on the same page, enter %(domain)s as the domain for request, uploadFile and"
                " downloadFile. It must be HTTPS, and registered (ICP) for mainland China."
            )
            % {"domain": domain},
            gettext("For payment: pay.weixin.qq.com → Product centre → App id management, bind this app id."),
            gettext("Save, then test the connection: it shows whether app id and secret belong together."),
        ]
        return {"address_title": gettext("Server domain"), "callback_address": domain, "help_steps": steps}


@admin.register(Share)
class ShareAdmin(ReadOnlyAdmin):
    """Invitations, and how many came by them."""

    time_created = when("created", _("created"))
    user_link = linked("user", _("shared by"))
    num_visits = number("visit_count", _("visits"))
    num_sign_ups = number("sign_up_count", _("signed up"))
    list_display = ("time_created", "user", "num_visits", "num_sign_ups")
    list_filter = (username(), ("created", Days))
    list_select_related = ("user",)
    ordering = ("-pk",)
    search_fields = ("share_id",)
    fields = ("time_created", "user_link", "share_id", "num_visits", "num_sign_ups")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return sharing.counted(super().get_queryset(request))
