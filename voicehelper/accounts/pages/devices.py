"""Where one is signed in, and how to end it."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from .. import sessions
from ..forms import ProofForm
from ..models import AccessToken, BrowserSession
from ..services import user_of
from .own_data import ProvenForm


@method_decorator([sensitive_post_parameters("password", "code"), never_cache], name="dispatch")
class Devices(ProvenForm):
    """Browsers and programs; posting the password ends all others."""

    template_name = "accounts/devices.html"
    form_class = ProofForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user, here = user_of(self.request), self.request.session.session_key
        # This one may not have been noted yet.
        sessions.note(self.request)
        browsers = [
            {"row": row, "words": sessions.device_of(row.user_agent), "here": row.session_id == here}
            for row in sessions.browsers_of(user)
        ]
        return super().get_context_data(**kwargs) | {"browsers": browsers, "tokens": sessions.tokens_of(user)}

    def proven(self, form: ProofForm) -> HttpResponse:
        sessions.end_all_others(self.request, user_of(self.request))
        messages.success(self.request, _("Everything but this browser is signed out."))
        return redirect("accounts:devices")


@method_decorator([sensitive_post_parameters("password", "code"), never_cache], name="dispatch")
class EndBrowser(ProvenForm):
    """Signs one of one's own browsers out, by the password."""

    template_name = "accounts/end_session.html"
    form_class = ProofForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        row: BrowserSession | None = sessions.browsers_of(user_of(self.request)).filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return super().get_context_data(**kwargs) | {"words": sessions.device_of(row.user_agent), "row": row}

    def proven(self, form: ProofForm) -> HttpResponse:
        if not sessions.end_browser(user_of(self.request), self.kwargs["pk"]):
            raise Http404
        messages.success(self.request, _("That browser is signed out."))
        return redirect("accounts:devices")


@method_decorator([sensitive_post_parameters("password", "code"), never_cache], name="dispatch")
class EndToken(ProvenForm):
    """Ends one of one's own tokens, by the password."""

    template_name = "accounts/end_session.html"
    form_class = ProofForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        row: AccessToken | None = sessions.tokens_of(user_of(self.request)).filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return super().get_context_data(**kwargs) | {"words": _("A program or the mini program"), "row": row}

    def proven(self, form: ProofForm) -> HttpResponse:
        if not sessions.end_token(user_of(self.request), self.kwargs["pk"]):
            raise Http404
        messages.success(self.request, _("That program has to sign in again."))
        return redirect("accounts:devices")
