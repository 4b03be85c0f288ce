"""Middleware that belongs to accounts."""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _

from voicehelper.middleware import GetResponse

from . import returning, second_factor, sessions
from .models import User


class NoteBrowser:
    """Notes which browsers are signed in. Behind the sessions and whoever says who that is; an answer that did not look
    at the session does not depend on it, and notes nothing."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.session.accessed:
            sessions.note(request)
            returning.mark(request, response)
        return response


class SecondStep:
    """The gate of second_factor.py: a session whose code is due, or of an operator who must set a factor up, gets no
    further than the page for it. Only browsers have sessions; programs are checked when they sign in."""

    # Where one may go meanwhile.
    _open = ("accounts:sign_out", "set_language")

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Without the cookie there is no session, and no answer should depend on one.
        page = self._due(request) if settings.SESSION_COOKIE_NAME in request.COOKIES else ""
        if not page or request.path in {reverse(name) for name in (page, *self._open)}:
            return self.get_response(request)
        if request.path.startswith("/api/"):
            text = _("Finish signing in first: the second step is missing.")
            return JsonResponse({"success": False, "message": text}, status=403)
        going = urlencode({"next": request.get_full_path()}, safe="/") if request.method == "GET" else ""
        return HttpResponseRedirect(f"{reverse(page)}?{going}" if going else reverse(page))

    def _due(self, request: HttpRequest) -> str:
        """The page that comes first; empty: none."""
        state = request.session.get(second_factor.KEY)
        if state == second_factor.DONE or SESSION_KEY not in request.session:
            return ""
        if state == second_factor.DUE:
            return "accounts:code"
        # Whoever became an operator, or signed in before it was asked for.
        user = request.user
        if not isinstance(user, User) or not second_factor.is_required(user):
            return ""
        return "accounts:code" if second_factor.is_on(user) else "accounts:two_steps"
