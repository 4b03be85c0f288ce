"""Middleware that belongs to accounts."""

from collections.abc import Mapping
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _

from voicehelper.middleware import GetResponse

from . import consents, deleting, known_devices, own_choice, returning, second_factor, sessions
from .models import User

# In the session: the versions of texts that were agreed to, as they were in force.
_AGREED = "consent"


class NoteBrowser:
    """Notes which browsers are signed in. Behind the sessions and whoever says who that is; an answer that did not look
    at the session does not depend on it, and notes nothing. Whoever signs out leaves nothing behind in the browser."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if request.session.accessed:
            sessions.note(request)
            returning.mark(request, response)
            known_devices.mark(request, response)
        if returning.has_signed_out(request):
            returning.forget(response)
            # Where TLS is. Cookies stay: the language, and that a browser is known.
            response["Clear-Site-Data"] = '"cache", "storage"'
        return response


class Returned:
    """Whoever signs in, with all that it takes, keeps the account that was to be deleted. Behind SecondStep."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (
            settings.SESSION_COOKIE_NAME in request.COOKIES
            and request.session.get(second_factor.KEY) != second_factor.DUE
        ):
            user = request.user
            if isinstance(user, User) and user.leaving_at and deleting.call_off(user):
                messages.success(request, _("Welcome back: your account is not deleted, and everything is as it was."))
        return self.get_response(request)


class AsksConsent:
    """Whoever is signed in and has not agreed to the texts in force is asked when the next page is opened. Programs,
    callbacks and operators' pages are left alone, and so are the ways out: signing out, one's data, the texts."""

    _open = ("/admin/", "/api/", "/static/", "/i18n/", "/files/", "/exports/", "/sandbox/", "/legal/", "/v1/")
    _ways_out = frozenset({"consent", "sign_out", "data", "export", "export_fetch", "export_drop", "delete", "code"})

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "GET" and settings.SESSION_COOKIE_NAME in request.COOKIES and self._asks(request):
            going = urlencode({"next": request.get_full_path()}, safe="/")
            return HttpResponseRedirect(f"{reverse('accounts:consent')}?{going}")
        return self.get_response(request)

    def _asks(self, request: HttpRequest) -> bool:
        if request.path.startswith(self._open) or request.path in map(self._path, self._ways_out):
            return False
        user = request.user
        if not isinstance(user, User):
            return False
        versions = consents.in_force()
        mark = consents.mark_of(versions)
        if not versions or request.session.get(_AGREED) == mark:
            return False
        if consents.missing_of(user, versions):
            return True
        request.session[_AGREED] = mark
        return False

    def _path(self, name: str) -> str:
        return reverse(f"accounts:{name}")


class SecondStep:
    """The gate of second_factor.py and own_choice.py: a session whose code is due, or of an operator who must set a
    factor up, or of somebody whose password an operator typed, gets no further than the page for it. Only browsers have
    sessions; programs are checked when they sign in."""

    # Where one may go meanwhile; and what the page that comes first has done by a script.
    _open = ("accounts:sign_out", "set_language")
    _of_page: Mapping[str, tuple[str, ...]] = {
        "accounts:code": ("accounts:ask_passkey", "accounts:passkey_sign_in"),
        "accounts:two_steps": ("accounts:begin_passkey", "accounts:add_passkey"),
        "accounts:password": (),
    }

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Without the cookie there is no session, and no answer should depend on one.
        page = self._due(request) if settings.SESSION_COOKIE_NAME in request.COOKIES else ""
        if not page or request.path in {reverse(name) for name in (page, *self._of_page[page], *self._open)}:
            return self.get_response(request)
        if request.path.startswith("/api/"):
            return JsonResponse({"success": False, "message": self._text(page)}, status=403)
        going = urlencode({"next": request.get_full_path()}, safe="/") if request.method == "GET" else ""
        return HttpResponseRedirect(f"{reverse(page)}?{going}" if going else reverse(page))

    def _due(self, request: HttpRequest) -> str:
        """The page that comes first; empty: none."""
        if SESSION_KEY not in request.session:
            return ""
        return self._step_due(request) or ("accounts:password" if own_choice.is_due(request) else "")

    def _step_due(self, request: HttpRequest) -> str:
        state = request.session.get(second_factor.KEY)
        if state == second_factor.DONE:
            return ""
        if state == second_factor.DUE:
            return "accounts:code"
        # Whoever became an operator, or signed in before it was asked for.
        user = request.user
        if not isinstance(user, User) or not second_factor.is_required(user):
            return ""
        return "accounts:code" if second_factor.suffices(user) else "accounts:two_steps"

    def _text(self, page: str) -> str:
        if page == "accounts:password":
            return own_choice.words()
        return _("Finish signing in first: the second step is missing.")
