"""A mark in browsers where somebody is signed in. It outlives the session, so that the page for signing in can say that
one has ended, and is taken away by signing out. It says nothing of who that was, and nothing is allowed by it."""

from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.http.response import HttpResponseBase

_HERE, _SIGNED_OUT = "1", "voicehelper.signed_out"
_LIFE_S = 180 * 24 * 3600


def _cookie() -> str:
    return f"{settings.COOKIE_PREFIX}returning"


def mark(request: HttpRequest, response: HttpResponseBase) -> None:
    """Leave it with whoever is signed in and has none."""
    if request.COOKIES.get(_cookie()) != _HERE and SESSION_KEY in request.session:
        response.set_cookie(
            _cookie(), _HERE, max_age=_LIFE_S, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
        )


def forget(response: HttpResponseBase) -> None:
    response.delete_cookie(_cookie(), samesite="Lax")


def note_sign_out(request: HttpRequest, **_signal: Any) -> None:
    """Somebody signed out with this request."""
    request.META[_SIGNED_OUT] = True


def has_signed_out(request: HttpRequest) -> bool:
    return _SIGNED_OUT in request.META


def has_ended(request: HttpRequest) -> bool:
    """Whether somebody was signed in here, and neither is nor has signed out."""
    return request.COOKIES.get(_cookie()) == _HERE and SESSION_KEY not in request.session
