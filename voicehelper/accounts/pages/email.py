"""The page of one's mail address, and the one that the link in a mail leads to."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView, TemplateView

from notifications.mail import can_mail
from voicehelper.api.ratelimit import TooMany, waiting

from .. import emails
from ..forms import AddressForm
from ..own_password import PasswordRefused, check_own_password
from ..services import user_of


@method_decorator([sensitive_post_parameters("password"), never_cache], name="dispatch")
class ChangeEmail(LoginRequiredMixin, FormView):  # type: ignore[type-arg]  # generic only in the stubs
    """Enter, change or remove it, with the password."""

    template_name = "accounts/email.html"
    form_class = AddressForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"can_mail": can_mail()}

    def form_valid(self, form: AddressForm) -> HttpResponse:
        user, address = user_of(self.request), form.cleaned_data["email"]
        try:
            check_own_password(self.request, user, form.cleaned_data["password"])
            if not address:
                emails.remove(user)
                messages.success(self.request, _("You have no email address here any more."))
            else:
                emails.enter(user, address)
                text = _("We have sent a link to %(address)s. Your address counts once you open it.")
                messages.success(self.request, text % {"address": address})
        except PasswordRefused as refused:
            return self._refused(form, "password", str(refused), refused.wait_s)
        except TooMany as error:
            return self._refused(form, None, error.words, error.wait_s)
        return redirect("accounts:email")

    def _refused(self, form: AddressForm, field: str | None, text: str, wait_s: int) -> HttpResponse:
        form.add_error(field, text)
        return waiting(self.form_invalid(form), wait_s)


@method_decorator(never_cache, name="dispatch")
class ConfirmEmail(TemplateView):
    """Opened from a mail, often on another device: whoever reads the mail confirms with a button, signed in or not.
    Opening alone changes nothing, because programs that look through mail open links too."""

    template_name = "accounts/confirm_email.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        try:
            _user, context["address"] = emails.promised(kwargs["token"])
        except emails.LinkDead:
            context["dead"] = True
        return context

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        context = self.get_context_data(**kwargs)
        return self.render_to_response(context, status=410 if context.get("dead") else 200)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            emails.confirm(kwargs["token"])
        except (emails.LinkDead, emails.AddressTaken):
            return self.render_to_response({"dead": True}, status=410)
        messages.success(request, _("Your email address is confirmed."))
        return redirect("accounts:email")
