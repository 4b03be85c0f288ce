"""A password that an operator typed for somebody is good for choosing another, which comes first for whoever signs in
with it. Who signs in another way is not asked: they may never have been told it.
"""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from .backends import gave_password
from .models import User

_KEY = "choose_password"


class ChooseFirst(Exception):
    """A program signed in with a password that an operator typed."""


def words() -> str:
    return _("Choose a password of your own first: an operator knows this one.")


def mark(request: HttpRequest | None, user: User, **_signal: Any) -> None:
    """Somebody signed in with a browser: must they choose?"""
    if request is not None and user.password_given and gave_password(request):
        request.session[_KEY] = True


def is_due(request: HttpRequest) -> bool:
    return _KEY in request.session


def is_done(request: HttpRequest) -> None:
    """There is a password of their own."""
    request.session.pop(_KEY, None)


def check_token_sign_in(user: User) -> None:
    """Raises ChooseFirst."""
    if user.password_given:
        raise ChooseFirst
