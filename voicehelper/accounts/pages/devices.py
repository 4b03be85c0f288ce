"""Where one is signed in, and how to end it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from voicehelper.api.ratelimit import waiting

from .. import sessions
from ..forms import OwnPassword
from ..own_password import PasswordRefused, check_own_password
from ..services import user_of


@method_decorator([sensitive_post_parameters("password"), never_cache], name="dispatch")
class Devices(LoginRequiredMixin, FormView):  # type: ignore[type-arg]  # generic only in the stubs
    """Browsers and programs; posting the password ends all others."""

    template_name = "accounts/devices.html"
    form_class = OwnPassword

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user, here = user_of(self.request), self.request.session.session_key
        # This one may not have been noted yet.
        sessions.note(self.request)
        browsers = [
            {"row": row, "words": sessions.device_of(row.user_agent), "here": row.session_id == here}
            for row in sessions.browsers_of(user)
        ]
        return super().get_context_data(**kwargs) | {"browsers": browsers, "tokens": sessions.tokens_of(user)}

    def form_valid(self, form: OwnPassword) -> HttpResponse:
        user = user_of(self.request)
        try:
            check_own_password(self.request, user, form.cleaned_data["password"])
        except PasswordRefused as refused:
            form.add_error("password", str(refused))
            return waiting(self.form_invalid(form), refused.wait_s)
        sessions.end_all_others(self.request, user)
        messages.success(self.request, _("Everything but this browser is signed out."))
        return redirect("accounts:devices")


class EndBrowser(LoginRequiredMixin, View):
    """Signs one of one's own browsers out."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not sessions.end_browser(user_of(request), pk):
            raise Http404
        messages.success(request, _("That browser is signed out."))
        return redirect("accounts:devices")


class EndToken(LoginRequiredMixin, View):
    """Ends one of one's own tokens."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not sessions.end_token(user_of(request), pk):
            raise Http404
        messages.success(request, _("That program has to sign in again."))
        return redirect("accounts:devices")
