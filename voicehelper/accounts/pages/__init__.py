"""The pages of accounts: signing in, up and out, and changing the password; beside them those of the mail address
(email.py) and of a forgotten password (recovery.py)."""

from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView, RedirectURLMixin
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, resolve_url
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from voicehelper.api import ratelimit
from voicehelper.net.addresses import client_address, network_of

from .. import consents, emails, names, own_choice, returning, website
from ..forms import NewPasswordForm, SignInForm, SignUpForm
from ..models import User
from .passkeys import place_of

SIGN_UPS = "20 per hour"
PASSWORD_CHANGES = "10 per 10 minutes"  # noqa: S105  # a rate, not a password


class SignIn(LoginView):
    """Name and password, with the brake of backends.py. `next` leads only to this host."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True
    extra_context = {"demo": settings.MODE == "demo"}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ended = bool(self.get_redirect_url()) and returning.has_ended(self.request)
        facts = {"by_wechat": website.is_on(), "ended": ended}
        return super().get_context_data(**kwargs) | place_of(self.request) | facts

    def form_invalid(self, form: Any) -> HttpResponse:
        response = super().form_invalid(form)
        return ratelimit.waiting(response, form.wait_s)


@method_decorator([sensitive_post_parameters(), csrf_protect, never_cache], name="dispatch")
class SignUp(RedirectURLMixin, FormView):  # type: ignore[type-arg]  # generic only in the stubs
    """A new user, signed in at once. Limited per address."""

    template_name = "accounts/sign_up.html"
    form_class = SignUpForm
    next_page = settings.SIGN_UP_REDIRECT_URL

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return redirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    def get_default_redirect_url(self) -> str:
        return resolve_url(self.next_page)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"next": self.get_redirect_url()}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            ratelimit.brake((SIGN_UPS, "sign-up", network_of(client_address(request))))
        except ratelimit.TooMany as error:
            form = self.get_form()
            form.full_clean()
            form.errors.clear()
            form.add_error(None, error.words)
            return ratelimit.waiting(self.form_invalid(form), error.wait_s)
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: SignUpForm) -> HttpResponse:
        # Hashing the password takes its time: before others wait.
        user = form.save(commit=False)
        try:
            with transaction.atomic():
                names.check_and_hold(user.username)
                user.save()
                consents.agree(user, form.versions, client_address(self.request))
        except ValidationError as error:
            # Somebody else took one that looks like it.
            form.add_error("username", error)
            return self.form_invalid(form)
        except IntegrityError:
            # Somebody else took the name between the check and the insert.
            form.add_error("username", _("A user with that username already exists."))
            return self.form_invalid(form)
        login(self.request, user)
        self._ask_to_confirm(user, form.cleaned_data.get("new_email", ""))
        return HttpResponseRedirect(self.get_success_url())

    def _ask_to_confirm(self, user: User, address: str) -> None:
        if not address:
            return
        emails.enter(user, address)
        text = _("We have sent a link to %(address)s. Your address counts once you open it.")
        messages.success(self.request, text % {"address": address})


class SignOut(LogoutView):
    """By POST only: a link on another page must not sign anybody out."""


class ChangePassword(LoginRequiredMixin, PasswordChangeView):
    """Ends every other session and all tokens of the user. Wrong old passwords are limited per user."""

    template_name = "accounts/password.html"
    form_class = NewPasswordForm
    success_url = reverse_lazy("topup:recharge")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            with ratelimit.guess((PASSWORD_CHANGES, "password", str(request.user.pk))) as self.guess:
                return super().post(request, *args, **kwargs)
        except ratelimit.TooMany as error:
            facts = self.get_context_data(form=self.form_class(cast(User, request.user)), wait=error.words)
            return ratelimit.waiting(self.render_to_response(facts), error.wait_s)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        why = own_choice.words() if own_choice.is_due(self.request) else ""
        return super().get_context_data(**kwargs) | {"why": why}

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, _("Your password is changed. All other sessions are signed out."))
        own_choice.is_done(self.request)
        return super().form_valid(form)

    def form_invalid(self, form: Any) -> HttpResponse:
        self.guess.wrong = "old_password" in form.errors
        return super().form_invalid(form)
