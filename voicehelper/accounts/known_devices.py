"""A cookie of browsers that somebody signed in with. It lets in nobody: where it comes along, wrong passwords for that
name are counted for the browser and not for the name, so that strangers who guess keep no owner out
(https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies). It outlives signing out."""

import secrets

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare, salted_hmac

from . import second_factor
from .models import User

_SALT, _NEW = "voicehelper.accounts.known_devices", "new_device"
_LIFE_S = 180 * 24 * 3600


def _cookie() -> str:
    return f"{settings.COOKIE_PREFIX}device"


def _digest_of(name: str) -> str:
    """The name itself is not in the cookie."""
    return salted_hmac(_SALT, name.casefold(), algorithm="sha256").hexdigest()[:32]


def device_of(request: HttpRequest | None, name: str) -> str:
    """What tells this browser from others, if the user of this name signed in with it before; else empty."""
    text = request.COOKIES.get(_cookie(), "") if request is not None else ""
    if not text:
        return ""
    try:
        digest, device = signing.loads(text, salt=_SALT, max_age=_LIFE_S)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(device) if constant_time_compare(digest, _digest_of(name)) else ""


def expect(request: HttpRequest) -> None:
    """Somebody signs in here by the password. A session that was stolen later makes no other browser known."""
    request.session[_NEW] = True


def mark(request: HttpRequest, response: HttpResponseBase) -> None:
    """Leave it with whoever is expected, once signed in with all that it takes."""
    if _NEW not in request.session or request.session.get(second_factor.KEY) == second_factor.DUE:
        return
    del request.session[_NEW]
    user = request.user
    if isinstance(user, User) and not device_of(request, user.username):
        text = signing.dumps([_digest_of(user.username), secrets.token_hex(16)], salt=_SALT)
        response.set_cookie(
            _cookie(), text, max_age=_LIFE_S, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
        )
