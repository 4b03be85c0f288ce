"""The encryption keys: which encrypts how many secrets, and encrypting all of them anew with the newest."""

from typing import Any

from celery import current_app
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst
from django.utils.translation import gettext
from kombu.exceptions import OperationalError

from voicehelper import change_log, clock, rotation
from voicehelper.admin import stepup
from voicehelper.admin.base import OnePageAdmin, list_url, may, operator

from ..models import SecretRotation

REFRESH_S = 5


@admin.register(SecretRotation)
class SecretRotationAdmin(OnePageAdmin):
    """Has no list: its address is the page of the keys. The keys themselves are in the environment only."""

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Where the log leads."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(list_url(SecretRotation))

    def show(self, request: HttpRequest) -> HttpResponse:
        uses, whole = rotation.key_uses()
        latest = rotation.latest()
        running = latest is not None and latest.finished is None
        context = {
            "title": gettext("Encryption keys"),
            "uses": uses,
            "whole": whole,
            "rotation": latest,
            "running": running,
            "waits": latest is not None and running and not rotation.is_worked_on(latest, clock.now()),
            "refresh_s": REFRESH_S if running else 0,
            "may_begin": may(request, SecretRotation, "change"),
            "needed": any(use.count for use in uses if not use.newest),
            "asks_password": stepup.confirmed_until(request) is None,
        }
        return self.page(request, "admin/accounts/secret_keys.html", context)

    def save(self, request: HttpRequest) -> HttpResponse:
        back = HttpResponseRedirect(list_url(SecretRotation))
        if request.POST.get("everywhere") != "on":
            messages.error(request, gettext("Tick that every process knows the newest key: others could not read."))
            return back
        if problem := stepup.confirm_form(request):
            messages.error(request, problem)
            return back
        try:
            begun = rotation.begin(operator(request))
        except rotation.NotRotated as refused:
            messages.error(request, str(refused))
            return back
        text = capfirst(gettext("encryption anew with the key %(key)s") % {"key": begun.key})
        change_log.write(begun, (), by=request.user, text=text)
        try:
            current_app.send_task("voicehelper.accounts.tasks.rotate_secrets", retry=False)
        except OperationalError:
            messages.warning(request, gettext("The queue does not answer: it begins as soon as a worker runs."))
        else:
            messages.success(request, gettext("It has begun."))
        return back
