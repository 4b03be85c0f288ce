"""WeChat's sign-in on the web in the admin: its settings, with "test connection"."""

import time
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Max
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.columns import moment
from voicehelper.admin.forms import Status
from voicehelper.admin.sections import ProbedSectionAdmin
from voicehelper.net.probe import Probe, nothing_called, since_ms

from .. import website
from ..mini_program import NotSetUp
from ..models import WebsiteSettings, WeChatIdentity
from ..wechat.base import LoginFailed


@admin.register(WebsiteSettings)
class WebsiteSettingsAdmin(ProbedSectionAdmin):
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

    def status(self, row: Any) -> Status:
        """On with its last sign-in, or that something is missing."""
        if not (row.app_id and row.app_secret):
            return Status("off", (gettext("Not set up: the sign-in page has no WeChat button."),))
        last = WeChatIdentity.objects.filter(app_id=row.app_id).aggregate(last=Max("seen_at"))["last"]
        seen = gettext("last sign-in %(time)s") % {"time": moment(last)} if last else gettext("no sign-in yet")
        key = gettext("key ····%(last4)s") % {"last4": row.app_secret.last4} if row.app_secret.last4 else ""
        return Status("on", tuple(filter(None, (gettext("On"), seen, key))))

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

    def probe(self, request: HttpRequest, row: Any) -> Probe:
        return _try_out(row)


def _try_out(section: WebsiteSettings) -> Probe:
    """One real call to WeChat with what is saved."""
    try:
        app = website.open_website(section)
    except NotSetUp as error:
        hint = str(error) if section.app_id and section.app_secret else gettext("Fill these in, save, and test again.")
        return nothing_called(gettext("Nothing was called: the settings are not complete yet."), hint)
    started = time.monotonic_ns()
    try:
        app.check()
    except LoginFailed as error:
        text = f"{error} (errcode {error.errcode})" if error.errcode else str(error)
        return Probe(False, app.check_address, since_ms(started), text, error.hint)
    text = gettext("WeChat knows this app id, and the secret is right.")
    return Probe(True, app.check_address, since_ms(started), text)
