"""The pages of a forgotten password: asking for a link, and what the link leads to."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.views import INTERNAL_RESET_SESSION_TOKEN, PasswordResetConfirmView
from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.generic import FormView

from notifications.mail import can_mail
from voicehelper.api import ratelimit
from voicehelper.net.addresses import client_address, network_of

from .. import recovery
from ..forms import FirstPasswordForm, ForgottenForm
from ..models import User

PER_ASKED = "5 per hour"
PER_ADDRESS = "20 per hour"


@method_decorator(never_cache, name="dispatch")
class Forgotten(FormView):  # type: ignore[type-arg]  # generic only in the stubs
    """Answers the same whoever is asked for."""

    template_name = "accounts/forgot.html"
    form_class = ForgottenForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"can_mail": can_mail()}

    def form_valid(self, form: ForgottenForm) -> HttpResponse:
        asked = form.cleaned_data["who"]
        try:
            network = network_of(client_address(self.request))
            ratelimit.brake((PER_ADDRESS, "forgot-address", network), (PER_ASKED, "forgot", asked.casefold()))
        except ratelimit.TooMany as error:
            form.add_error(None, error.words)
            return ratelimit.waiting(self.form_invalid(form), error.wait_s)
        if can_mail():
            recovery.ask(asked)
        return self.render_to_response(self.get_context_data(form=form, asked=True))


class Reset(PasswordResetConfirmView):
    """Good once, for an hour. The token leaves the address before anything is shown."""

    template_name = "accounts/reset.html"
    form_class = FirstPasswordForm
    success_url = reverse_lazy("accounts:sign_in")
    user: User | None

    def get_user(self, uidb64: str) -> Any:
        user = super().get_user(uidb64)
        return user if user is not None and user.is_active else None

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> Any:
        return super().render_to_response(context, status=200 if self.validlink else 410, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            # Of two who use the link in the same moment, one does.
            user = User.objects.select_for_update().get(pk=cast(User, self.user).pk)
            self.validlink = self.token_generator.check_token(user, self.request.session[INTERNAL_RESET_SESSION_TOKEN])
            if not self.validlink:
                return cast(HttpResponse, self.render_to_response(self.get_context_data()))
            form.user = user
            response = super().form_valid(form)
            recovery.password_was_set(user)
        messages.success(self.request, _("Your new password is set. Sign in with it."))
        return response
