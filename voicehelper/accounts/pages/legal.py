"""The texts users agree to, and the page that asks for it."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import RedirectURLMixin
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.generic import FormView, TemplateView

from voicehelper.net.addresses import client_address

from .. import consents
from ..forms import ConsentForm
from ..legal_html import as_html
from ..services import user_of


class Legal(TemplateView):
    """One text: the newest in force, or with ?version= an older one, for whoever wants to know what it was."""

    template_name = "accounts/legal.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = self.request.GET.get("version", "")
        version = int(asked) if asked.isdecimal() and len(asked) < 10 else None
        text = consents.text_of(kwargs["kind"], version)
        if text is None:
            raise Http404
        return super().get_context_data(**kwargs) | {"text": text, "html": as_html(text.text)}


@method_decorator(never_cache, name="dispatch")
class AskConsent(LoginRequiredMixin, RedirectURLMixin, FormView):  # type: ignore[type-arg]  # generic only in the stubs
    """There are texts that this user has not agreed to."""

    template_name = "accounts/consent.html"
    form_class = ConsentForm

    def get_default_redirect_url(self) -> str:
        return resolve_url("home")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"next": self.get_redirect_url()}

    def form_valid(self, form: ConsentForm) -> HttpResponse:
        try:
            consents.agree(user_of(self.request), form.versions, client_address(self.request))
        except consents.TextsChanged:
            form.add_error(None, _("The texts have changed just now: read them again."))
            return self.form_invalid(form)
        return HttpResponseRedirect(self.get_success_url())
