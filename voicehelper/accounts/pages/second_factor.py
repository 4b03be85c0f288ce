"""The page that asks for the code after the password, and the one where the second factor is switched on and off."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, resolve_url
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView, TemplateView

from voicehelper.api.ratelimit import waiting
from voicehelper.qr import qr_image

from .. import passkeys, proof, second_factor, sessions, website
from ..forms import NewPasskeyForm, ProofForm, SecondFactorForm
from ..models import SecondFactor
from ..services import user_of
from .passkeys import place_of, refuse

# The factor that this session sets up: another one of the same user may not finish it.
_SETTING_UP = "second_factor_begun"


@method_decorator([sensitive_post_parameters("code"), never_cache], name="dispatch")
class AskCode(LoginRequiredMixin, RedirectURLMixin, FormView):  # type: ignore[type-arg]  # generic only in the stubs
    """The password was right; nothing else opens before the code is."""

    template_name = "accounts/code.html"
    form_class = SecondFactorForm

    def get_default_redirect_url(self) -> str:
        return resolve_url("home")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = user_of(self.request)
        steps = {"app": second_factor.is_on(user), "passkey": passkeys.passkeys_of(user).exists()}
        return super().get_context_data(**kwargs) | {"next": self.get_redirect_url()} | steps | place_of(self.request)

    def form_valid(self, form: SecondFactorForm) -> HttpResponse:
        try:
            second_factor.check(self.request, user_of(self.request), form.cleaned_data["code"])
        except second_factor.WrongCode as error:
            form.add_error("code", error.words)
            return waiting(self.form_invalid(form), error.wait_s)
        self.request.session.cycle_key()
        self.request.session[second_factor.KEY] = second_factor.DONE
        return HttpResponseRedirect(self.get_success_url())


@method_decorator([sensitive_post_parameters("code", "password"), never_cache], name="dispatch")
class TwoSteps(LoginRequiredMixin, TemplateView):
    """Off, being set up, or on. What changes it wants the password; switching on signs out everything else."""

    template_name = "accounts/two_steps.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = user_of(self.request)
        factor, begun = second_factor.factor_of(user), self._begun()
        context: dict[str, Any] = {
            "factor": factor,
            "required": second_factor.is_required(user) and not second_factor.suffices(user),
            "form": ProofForm(user),
            "passkeys": passkeys.passkeys_of(user),
            "adding": NewPasskeyForm(user, auto_id="passkey_%s"),
            "wechat": website.is_on() or website.is_bound(user),
            **place_of(self.request),
        }
        if factor is not None:
            context["codes_left"] = factor.codes.filter(used_at=None).count()
        elif begun is not None:
            address = second_factor.address_of(begun)
            context |= {"qr": qr_image(address), "secret": begun.secret.reveal(), "form": SecondFactorForm()}
        return super().get_context_data(**kwargs) | context | kwargs

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        steps = {"begin": self._begin, "confirm": self._confirm, "codes": self._codes, "remove": self._remove}
        step = steps.get(request.POST.get("step", ""))
        if step is None:
            return redirect("accounts:two_steps")
        user = user_of(request)
        form = SecondFactorForm(request.POST) if step == self._confirm else ProofForm(user, request.POST)
        try:
            if form.is_valid():
                if step != self._confirm:
                    proof.check(request, user, form.cleaned_data)
                return step(form)
        except proof.NotProven as error:
            return refuse(self, form, error)
        except second_factor.WrongCode as error:
            form.add_error("code", error.words)
            return waiting(self.render_to_response(self.get_context_data(form=form)), error.wait_s)
        return self.render_to_response(self.get_context_data(form=form))

    def _begun(self) -> SecondFactor | None:
        pk = self.request.session.get(_SETTING_UP)
        return SecondFactor.objects.filter(pk=pk, user=user_of(self.request), confirmed_at=None).first() if pk else None

    def _begin(self, _form: Any) -> HttpResponse:
        if not second_factor.is_on(user_of(self.request)):
            self.request.session[_SETTING_UP] = second_factor.begin(user_of(self.request)).pk
        return redirect("accounts:two_steps")

    def _confirm(self, form: Any) -> HttpResponse:
        begun, user = self._begun(), user_of(self.request)
        if begun is None:
            return redirect("accounts:two_steps")
        codes = second_factor.confirm(self.request, begun, form.cleaned_data["code"])
        sessions.end_all_others(self.request, user)
        self.request.session[second_factor.KEY] = second_factor.DONE
        del self.request.session[_SETTING_UP]
        return self.render_to_response(self.get_context_data(codes=codes))

    def _codes(self, _form: Any) -> HttpResponse:
        factor = second_factor.factor_of(user_of(self.request))
        if factor is None:
            return redirect("accounts:two_steps")
        return self.render_to_response(self.get_context_data(codes=second_factor.new_codes(factor)))

    def _remove(self, _form: Any) -> HttpResponse:
        second_factor.remove(user_of(self.request))
        self.request.session.pop(second_factor.KEY, None)
        messages.success(self.request, _("From now on your password alone signs you in."))
        return redirect("accounts:two_steps")
