"""WeChat's QR code: signing in with it, and linking one's WeChat account to the user who is signed in."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import RedirectURLMixin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import TemplateView

from voicehelper.api import ratelimit
from voicehelper.api.errors import answer_to
from voicehelper.net.addresses import client_address, network_of

from .. import website
from ..forms import ProofForm
from ..mini_program import AnotherUsers, Inactive, NotSetUp
from ..models import User
from ..services import user_of
from ..wechat.base import CodeRefused, LoginFailed
from .passkeys import unproven

_REFUSED = (LoginFailed, NotSetUp, Inactive, AnotherUsers, website.QuestionDead, ratelimit.TooMany)


def _callback(request: HttpRequest) -> str:
    """Where WeChat sends people back to: the host that knows their session, which must be the one WeChat knows."""
    return request.build_absolute_uri(reverse("accounts:wechat_back"))


def _problem(request: HttpRequest, error: Exception) -> HttpResponse:
    answer = answer_to(error)
    facts = {"words": answer.text, "bound": request.user.is_authenticated}
    response = render(request, "accounts/wechat_problem.html", facts, status=answer.status)
    for name, value in answer.all_headers.items():
        response[name] = value
    return response


@method_decorator(never_cache, name="dispatch")
class WeChatStart(RedirectURLMixin, View):
    """On to WeChat's QR code. By GET: our pages' forms lead to nobody else."""

    def get_default_redirect_url(self) -> str:
        return resolve_url("topup:recharge")

    def get(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            return redirect(self.get_success_url())
        try:
            ratelimit.brake((website.QUESTIONS, "wechat-web", network_of(client_address(request))))
            question = website.WebQuestion(self.get_success_url())
            return HttpResponseRedirect(website.open_question(request.session, question, _callback(request)))
        except _REFUSED as error:
            return _problem(request, error)


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class WeChatBack(View):
    """Back from WeChat with the session's own state and, unless the visitor refused, a code."""

    def get(self, request: HttpRequest) -> HttpResponse:
        network = network_of(client_address(request))
        try:
            question = website.close_question(request.session, request.GET.get("state", ""))
            code = request.GET.get("code", "")[:128]
            if not code:
                messages.warning(request, _("You did not allow it on the phone: nothing has changed."))
                return redirect("accounts:wechat" if question.bind else "accounts:sign_in")
            with ratelimit.guess((website.REFUSED_CODES, "wechat-code", network), wrong=CodeRefused):
                return self._bound(request, question, code) if question.bind else self._in(request, question, code)
        except _REFUSED as error:
            return _problem(request, error)

    def _in(self, request: HttpRequest, question: website.WebQuestion, code: str) -> HttpResponse:
        login(request, website.sign_in(code))
        return HttpResponseRedirect(question.back)

    def _bound(self, request: HttpRequest, question: website.WebQuestion, code: str) -> HttpResponse:
        user = request.user
        # Whoever asked has proven it; nobody else gets the account.
        if not isinstance(user, User) or user.pk != question.bind:
            raise website.QuestionDead
        website.bind(user, code)
        messages.success(request, _("WeChat is linked: its QR code signs you in from now on."))
        return redirect("accounts:wechat")


@method_decorator([sensitive_post_parameters("password", "code"), never_cache], name="dispatch")
class WeChatLink(LoginRequiredMixin, TemplateView):
    """Link it, or unlink it; both with proof."""

    template_name = "accounts/wechat.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = user_of(self.request)
        facts = {"bound": website.is_bound(user), "can_bind": website.is_on(), "stays": website.has_another_way(user)}
        if not (facts["bound"] or facts["can_bind"]):
            raise Http404
        return super().get_context_data(**kwargs) | facts | {"form": ProofForm(user)} | kwargs

    def post(self, request: HttpRequest) -> HttpResponse:
        user = user_of(request)
        if again := unproven(self, ProofForm(user, request.POST)):
            return again
        return self._unbind(request, user) if request.POST.get("step") == "unbind" else self._bind(request, user)

    def _bind(self, request: HttpRequest, user: User) -> HttpResponse:
        try:
            question = website.WebQuestion(reverse("accounts:wechat"), user.pk)
            address = website.open_question(request.session, question, _callback(request))
        except NotSetUp as error:
            return _problem(request, error)
        return self.render_to_response(self.get_context_data(address=address))

    def _unbind(self, request: HttpRequest, user: User) -> HttpResponse:
        try:
            website.unbind_own(user)
        except website.NoOtherWay:
            return self.render_to_response(self.get_context_data(), status=409)
        user.refresh_from_db()
        update_session_auth_hash(request, user)
        messages.success(request, _("WeChat is unlinked. Whoever was signed in elsewhere as you is signed out."))
        return redirect("accounts:two_steps")
