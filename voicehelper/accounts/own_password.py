"""The password again, before something grave: a session or a token alone may have been stolen."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.api.ratelimit import TooMany

from . import second_factor
from .backends import wait_s_of
from .models import User

FRESH = timedelta(minutes=10)


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


def check_own_proof(request: HttpRequest, user: User, password: str, code: str) -> None:
    """The password, or a code of the second factor. Who has neither (people of the mini program) must have signed in
    within FRESH. Raises PasswordRefused."""
    if code and second_factor.is_on(user):
        try:
            return second_factor.check(request, user, code)
        except second_factor.WrongCode as error:
            raise PasswordRefused(error.words, error.wait_s) from None
    if user.has_usable_password():
        return check_own_password(request, user, password)
    if second_factor.is_on(user):
        raise PasswordRefused(_("Enter the code of your app."))
    if user.last_login is None or user.last_login < clock.now() - FRESH:
        raise PasswordRefused(_("Sign out and in again first, to show that it is you."))
    return None
