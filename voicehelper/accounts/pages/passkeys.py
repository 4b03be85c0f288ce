"""Passkeys: what static/js/passkey.js asks for and brings, in JSON, and the page of a single one."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import RedirectURLMixin
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, resolve_url
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import TemplateView

from voicehelper.api.ratelimit import TooMany, waiting

from .. import passkeys, proof, second_factor
from ..forms import NewPasskeyForm, PasskeyName, ProofForm
from ..models import Passkey, User
from ..services import user_of


def place_of(request: HttpRequest) -> dict[str, Any]:
    """For pages: whether passkeys work at the address they were asked at, and where else."""
    try:
        passkeys.site_of(request)
    except passkeys.NotAtThisAddress as elsewhere:
        return {"passkeys_there": elsewhere.there}
    return {"passkeys_here": True}


def _mistakes(form: Form) -> str:
    return " ".join(str(text) for texts in form.errors.values() for text in texts)


def _no(words: str, status: int = 400, wait_s: int = 0) -> HttpResponse:
    headers = {"Retry-After": str(wait_s)} if wait_s else {}
    return JsonResponse({"message": words}, status=429 if wait_s else status, headers=headers)


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class BeginPasskey(LoginRequiredMixin, View):
    """A name, and proof that it is really they → what the browser makes a passkey of."""

    def post(self, request: HttpRequest) -> HttpResponse:
        user = user_of(request)
        form = NewPasskeyForm(user, request.POST)
        if not form.is_valid():
            return _no(_mistakes(form))
        try:
            proof.check(request, user, form.cleaned_data)
            return JsonResponse({"options": passkeys.begin(request, user)})
        except proof.NotProven as error:
            return _no(error.words, 403, error.wait_s)
        except passkeys.PasskeyRefused as refused:
            return _no(refused.words)


@method_decorator(never_cache, name="dispatch")
class AddPasskey(LoginRequiredMixin, View):
    """What the browser made."""

    def post(self, request: HttpRequest) -> HttpResponse:
        form = PasskeyName(request.POST)
        if not form.is_valid():
            return _no(_mistakes(form))
        user = user_of(request)
        try:
            passkeys.add(request, user, form.cleaned_data["name"], request.POST.get("credential", ""))
        except passkeys.PasskeyRefused as refused:
            return _no(refused.words)
        if second_factor.is_required(user):
            request.session[second_factor.KEY] = second_factor.DONE
        messages.success(request, _("The passkey is added. You can sign in with it from now on."))
        return JsonResponse({"next": resolve_url("accounts:two_steps")})


@method_decorator(never_cache, name="dispatch")
class AskPasskey(View):
    """What the browser shall sign, for whoever is about to sign in, or gave the password already."""

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            return JsonResponse({"options": passkeys.ask(request, _half_way(request))})
        except TooMany as error:
            return _no(error.words, wait_s=error.wait_s)
        except passkeys.PasskeyRefused as refused:
            return _no(refused.words)


@method_decorator(never_cache, name="dispatch")
class PasskeySignIn(RedirectURLMixin, View):
    """What the browser signed: alone it is both steps, after the password the second."""

    def get_default_redirect_url(self) -> str:
        return resolve_url("topup:recharge")

    def post(self, request: HttpRequest) -> HttpResponse:
        half_way = _half_way(request)
        try:
            user = passkeys.check(request, request.POST.get("credential", ""), half_way)
        except TooMany as error:
            return _no(error.words, wait_s=error.wait_s)
        except passkeys.PasskeyRefused as refused:
            return _no(refused.words, 401)
        if half_way is None:
            login(request, user)
        else:
            request.session.cycle_key()
        request.session[second_factor.KEY] = second_factor.DONE
        return JsonResponse({"next": self.get_success_url()})


def _half_way(request: HttpRequest) -> User | None:
    """Who is signed in, but perhaps for the second step."""
    return request.user if isinstance(request.user, User) else None


@method_decorator([sensitive_post_parameters("password", "code"), never_cache], name="dispatch")
class OnePasskey(LoginRequiredMixin, TemplateView):
    """Rename it, or remove it with proof."""

    template_name = "accounts/passkey.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        row = self._row()
        names = {"naming": PasskeyName(initial={"name": row.name}), "form": ProofForm(user_of(self.request))}
        return super().get_context_data(**kwargs) | {"passkey": row} | names | kwargs

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        user, row = user_of(request), self._row()
        if request.POST.get("step") == "rename":
            naming = PasskeyName(request.POST)
            if not naming.is_valid():
                return self.render_to_response(self.get_context_data(naming=naming))
            passkeys.rename(user, row.pk, naming.cleaned_data["name"])
            messages.success(request, _("The passkey has another name."))
            return redirect("accounts:two_steps")
        if again := unproven(self, ProofForm(user, request.POST)):
            return again
        passkeys.remove(user, Passkey.objects.filter(pk=row.pk))
        if not second_factor.suffices(user):
            request.session.pop(second_factor.KEY, None)
        text = _("The passkey is removed here. Delete it in your device too, or it will go on offering it.")
        messages.success(request, text)
        return redirect("accounts:two_steps")

    def _row(self) -> Passkey:
        row = passkeys.passkeys_of(user_of(self.request)).filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return row


def refuse(page: Any, form: Any, error: proof.NotProven) -> HttpResponse:
    """The page again, with what is wrong at the field it is about."""
    form.add_error(error.field, error.words)
    return waiting(page.render_to_response(page.get_context_data(form=form)), error.wait_s)


def unproven(page: Any, form: Any) -> HttpResponse | None:
    """The page again, unless the form is right and shows that it is really they."""
    if not form.is_valid():
        shown: HttpResponse = page.render_to_response(page.get_context_data(form=form))
        return shown
    try:
        proof.check(page.request, user_of(page.request), form.cleaned_data)
    except proof.NotProven as error:
        return refuse(page, form, error)
    return None
