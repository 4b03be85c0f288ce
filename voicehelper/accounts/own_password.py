"""The password again, before something grave: a session or a token alone may have been stolen."""

from typing import Any

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


class PasswordRefused(Exception):
    """None was given, or a wrong one, or there were too many tries: `retry_after` then says for how many seconds."""

    def __init__(self, text: str, retry_after: int = 0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


def check_own_password(request: HttpRequest, user: Any, password: str) -> None:
    """Raises PasswordRefused unless it is the user's own; wrong ones count as tries to sign in (see backends.py)."""
    if not password:
        raise PasswordRefused(_("Enter your own password to confirm this change."))
    found = authenticate(request, username=user.get_username(), password=password)
    if found is not None and found.pk == user.pk:
        return
    wait_s = int(request.META.get("voicehelper.retry_after", 0))
    if not wait_s:
        raise PasswordRefused(_("This is not your password."))
    minutes = -(-wait_s // 60)
    text = ngettext(
        "Too many tries. Please wait %(minutes)d minute, then try again.",
        "Too many tries. Please wait %(minutes)d minutes, then try again.",
        minutes,
    )
    raise PasswordRefused(text % {"minutes": minutes}, wait_s)
