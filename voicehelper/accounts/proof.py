"""That it is really they, before something grave: a session alone may have been stolen.

Whoever has a password gives it; who has none, because WeChat signs them in, a code of the app; who has neither must
have signed in within the last minutes.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from voicehelper import clock

from . import second_factor
from .models import User
from .own_password import PasswordRefused, check_own_password

FRESH = timedelta(minutes=10)
_SIGNED_IN_AT = "signed_in_at"


class NotProven(Exception):
    """What was given is missing or wrong; with `wait_s` it was not looked at. `field`: the form's, if it is of one."""

    def __init__(self, field: str | None, words: str, wait_s: int = 0) -> None:
        super().__init__(words)
        self.field = field
        self.words = words
        self.wait_s = wait_s


def note_sign_in(request: HttpRequest | None, **_signal: Any) -> None:
    """Somebody has just signed in with a browser."""
    if request is not None:
        request.session[_SIGNED_IN_AT] = clock.now().isoformat()


def check(request: HttpRequest, user: User, given: Mapping[str, str]) -> None:
    """Raises NotProven unless what forms.ProofForm asked for was given, and is right. Wrong ones count as guesses."""
    try:
        if user.has_usable_password():
            check_own_password(request, user, given.get("password", ""))
        elif second_factor.is_on(user):
            second_factor.check(request, user, given.get("code", ""))
        elif not _is_fresh(request):
            text = _("Sign out and in again first: there is no password here that you could be asked for.")
            raise NotProven(None, text)
    except PasswordRefused as refused:
        raise NotProven("password", str(refused), refused.wait_s) from None
    except second_factor.WrongCode as error:
        raise NotProven("code", error.words, error.wait_s) from None


def signed_in_at(request: HttpRequest) -> datetime | None:
    """When this browser was signed in with; None: before that was noted."""
    try:
        return datetime.fromisoformat(str(request.session.get(_SIGNED_IN_AT, "")))
    except ValueError:
        return None


def _is_fresh(request: HttpRequest) -> bool:
    at = signed_in_at(request)
    return at is not None and clock.now() < at + FRESH
