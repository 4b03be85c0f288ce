"""What the settings of an app at WeChat have in common in the admin: its state, and "test connection"."""

import time
from typing import Any, Protocol

from django.db.models import Max
from django.http import HttpRequest
from django.utils.translation import gettext

from voicehelper.admin.columns import moment
from voicehelper.admin.forms import Status
from voicehelper.admin.sections import ProbedSectionAdmin
from voicehelper.net.probe import Probe, nothing_called, since_ms

from ..mini_program import NotSetUp
from ..models import WeChatIdentity
from ..wechat.base import LoginFailed


class WeChatApp(Protocol):
    """An app as it is configured now."""

    @property
    def check_address(self) -> str:
        """What `check` calls."""
        ...

    def check(self) -> None:
        """Ask WeChat whether id and secret belong together. Raises LoginFailed."""


class WeChatAppAdmin(ProbedSectionAdmin):
    """A section with `app_id` and `app_secret`."""

    # What the status line says while one of them is missing.
    without: Any

    def open_app(self, row: Any) -> WeChatApp:
        """Raises NotSetUp."""
        raise NotImplementedError

    def status(self, row: Any) -> Status:
        """On with its last sign-in, or that something is missing."""
        if not (row.app_id and row.app_secret):
            return Status("off", (str(self.without),))
        last = WeChatIdentity.objects.filter(app_id=row.app_id).aggregate(last=Max("seen_at"))["last"]
        seen = gettext("last sign-in %(time)s") % {"time": moment(last)} if last else gettext("no sign-in yet")
        key = gettext("key ····%(last4)s") % {"last4": row.app_secret.last4} if row.app_secret.last4 else ""
        return Status("on", tuple(filter(None, (gettext("On"), seen, key))))

    def probe(self, request: HttpRequest, row: Any) -> Probe:
        """One real call to WeChat with what is saved."""
        try:
            app = self.open_app(row)
        except NotSetUp as error:
            hint = str(error) if row.app_id and row.app_secret else gettext("Fill these in, save, and test again.")
            return nothing_called(gettext("Nothing was called: the settings are not complete yet."), hint)
        started = time.monotonic_ns()
        try:
            app.check()
        except LoginFailed as error:
            text = f"{error} (errcode {error.errcode})" if error.errcode else str(error)
            return Probe(False, app.check_address, since_ms(started), text, error.hint)
        text = gettext("WeChat knows this app id, and the secret is right.")
        return Probe(True, app.check_address, since_ms(started), text)
