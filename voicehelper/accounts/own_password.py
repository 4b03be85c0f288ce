"""The password again, before something grave: a session or a token alone may have been stolen."""

from typing import Any

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils.translation import gettext as _

from voicehelper.api.ratelimit import TooMany

from .backends import wait_s_of


class PasswordRefused(Exception):
    """None was given, or a wrong one, or there were too many tries: `wait_s` then says for how long."""

    def __init__(self, text: str, wait_s: int = 0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


def check_own_password(request: HttpRequest, user: Any, password: str) -> None:
    """Raises PasswordRefused unless it is the user's own; wrong ones count as tries to sign in (see backends.py)."""
    if not password:
        raise PasswordRefused(_("Enter your own password to confirm this change."))
    found = authenticate(request, username=user.get_username(), password=password)
    if found is not None and found.pk == user.pk:
        return
    if wait_s := wait_s_of(request):
        raise PasswordRefused(TooMany(wait_s).words, wait_s)
    raise PasswordRefused(_("This is not your password."))
