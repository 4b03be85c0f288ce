"""Asking for the password again before something grave, and remembering the answer for ten minutes."""

from datetime import datetime, timedelta

from django.http import HttpRequest

from voicehelper import clock
from voicehelper.accounts.own_password import PasswordRefused, check_own_password

VALID_FOR = timedelta(minutes=10)
_SESSION_KEY = "password_confirmed"


def confirmed_until(request: HttpRequest) -> datetime | None:
    """Until when this session need not ask again; None when it must."""
    try:
        until = datetime.fromisoformat(str(request.session.get(_SESSION_KEY, ""))) + VALID_FOR
    except ValueError:
        return None
    return until if clock.now() < until else None


def confirm_form(request: HttpRequest) -> str:
    """Check the password that came with a form, if it has to be asked for. Returns what is wrong."""
    return "" if confirmed_until(request) else confirm(request, request.POST.get("current_password", ""))


def confirm(request: HttpRequest, password: str) -> str:
    """Check the operator's own password (rate limited like signing in). Returns what is wrong; empty: confirmed."""
    try:
        check_own_password(request, request.user, password)
    except PasswordRefused as refused:
        return str(refused)
    request.session[_SESSION_KEY] = clock.now().isoformat()
    return ""
