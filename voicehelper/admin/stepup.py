"""Asking for the password again before something grave, and remembering the answer for ten minutes."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from voicehelper import clock

VALID_FOR = timedelta(minutes=10)
_SESSION_KEY = "password_confirmed"


def confirmed_until(request: HttpRequest) -> datetime | None:
    """Until when this session need not ask again; None when it must."""
    try:
        until = datetime.fromisoformat(str(request.session.get(_SESSION_KEY, ""))) + VALID_FOR
    except ValueError:
        return None
    return until if clock.now() < until else None


def confirm(request: HttpRequest, password: str) -> str:
    """Check the operator's own password (rate limited like signing in). Returns what is wrong; empty: confirmed."""
    if not password:
        return _("Enter your own password to change a key or to switch a gateway on.")
    user: Any = request.user
    found = authenticate(request, username=user.get_username(), password=password)
    if found is not None and found.pk == user.pk:
        request.session[_SESSION_KEY] = clock.now().isoformat()
        return ""
    wait_s = int(request.META.get("voicehelper.retry_after", 0))
    if not wait_s:
        return _("This is not your password.")
    minutes = -(-wait_s // 60)
    return ngettext(
        "Too many tries. Please wait %(minutes)d minute, then try again.",
        "Too many tries. Please wait %(minutes)d minutes, then try again.",
        minutes,
    ) % {"minutes": minutes}
