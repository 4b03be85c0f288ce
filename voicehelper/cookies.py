"""Names of cookies. Where there is TLS they begin with __Host-: a browser takes such a one from this very host only."""

from typing import Any

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .middleware import GetResponse


class FormerCookies:
    """Takes the cookies of 0.1, which had no prefix, where ours are missing: nobody is signed out by the upgrade, and
    nodes of either release know whoever was signed in before. To be removed with 0.3."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        ages = {
            settings.SESSION_COOKIE_NAME: settings.SESSION_COOKIE_AGE,
            settings.CSRF_COOKIE_NAME: settings.CSRF_COOKIE_AGE,
            settings.LANGUAGE_COOKIE_NAME: settings.LANGUAGE_COOKIE_AGE,
        }
        taken = {}
        for name in ages:
            former = name.removeprefix("__Host-")
            if former != name and not request.COOKIES.get(name) and former in request.COOKIES:
                taken[name] = request.COOKIES[name] = request.COOKIES[former]
        response = self.get_response(request)
        if not request.path.startswith(settings.STATIC_URL):
            for name, value in taken.items():
                self._hand_on(response, name, value, ages[name])
        return response

    def _hand_on(self, response: HttpResponseBase, name: str, value: str, age: int | None) -> None:
        said = response.cookies.get(name)
        if said is None:
            hidden = name == settings.SESSION_COOKIE_NAME
            response.set_cookie(name, value, max_age=age, secure=True, httponly=hidden, samesite="Lax")
        elif not said.value:
            # The session is over.
            response.delete_cookie(name.removeprefix("__Host-"), samesite="Lax")


class OurCookie(CookieStorage):
    """What is said on the next page, until then in a cookie."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cookie_name = f"{settings.COOKIE_PREFIX}messages"


class MessageStorage(FallbackStorage):
    storage_classes = (OurCookie, SessionStorage)
