"""WeChat's sign-in on the web in the admin: its settings, with "test connection"."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import website
from ..models import WebsiteSettings
from .wechat_app import WeChatApp, WeChatAppAdmin


@admin.register(WebsiteSettings)
class WebsiteSettingsAdmin(WeChatAppAdmin):
    without = _("Not set up: the sign-in page has no WeChat button.")
    purpose = _("People sign in here by scanning a QR code with their WeChat. Empty: the button is not there.")
    fieldsets = ((_("Website app"), {"fields": ["app_id", "app_secret"]}),)
    placeholders = {
        "app_id": _("Please enter the website app’s app id"),
        "app_secret": _("Please enter the app secret"),
    }
    help_texts = {
        "app_id": _("open.weixin.qq.com → Management centre → Website apps."),
        "app_secret": _("On the same page, shown once when it is made. Stored encrypted and never shown again."),
    }

    def open_app(self, row: Any) -> WeChatApp:
        return website.open_website(row)

    def page_context(self, row: Any) -> dict[str, Any]:
        domain = settings.SERVER_ADDRESS.partition("://")[2]
        steps = [
            gettext("Register a website app at open.weixin.qq.com; WeChat reviews it for some days."),
            gettext("Authorisation callback domain: enter %(domain)s there, without https://.") % {"domain": domain},
            gettext("App id and app secret: on the app’s page. WeChat shows the secret once; enter it here at once."),
            gettext(
                "Bind the mini program to the same Open Platform account: only then are its users the same people here."
            ),
            gettext("Save, then test the connection: it shows whether app id and secret belong together."),
        ]
        address = settings.SERVER_ADDRESS + reverse("accounts:wechat_back")
        return {"address_title": gettext("Address WeChat comes back to"), "callback_address": address} | {
            "help_steps": steps
        }
