"""The page of one's data: a copy of it, and the end of the account."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView, TemplateView

from voicehelper.api.ratelimit import waiting
from voicehelper.numbers import grouped
from voicehelper.wallet.shown_balance import shown_balance

from .. import deleting, exports, proof
from ..forms import DeleteForm, ProofForm
from ..services import user_of


class ProvenForm(LoginRequiredMixin, FormView):  # type: ignore[type-arg]  # generic only in the stubs
    """A form with a proof that it is the user who asks; `proven` does what was asked for."""

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"user": user_of(self.request)}

    def form_valid(self, form: ProofForm) -> HttpResponse:
        try:
            proof.check(self.request, user_of(self.request), form.cleaned_data)
        except proof.NotProven as error:
            form.add_error(error.field, error.words)
            return waiting(self.form_invalid(form), error.wait_s)
        return self.proven(form)

    def proven(self, form: ProofForm) -> HttpResponse:
        raise NotImplementedError


@method_decorator(never_cache, name="dispatch")
class OwnData(LoginRequiredMixin, TemplateView):
    """What can be done about one's data, and the copies that were made."""

    template_name = "accounts/data.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = user_of(self.request)
        return super().get_context_data(**kwargs) | {"export": exports.latest_of(user), "days": exports.KEPT.days}


@method_decorator([sensitive_post_parameters("password", "code"), never_cache], name="dispatch")
class AskExport(ProvenForm):
    """A copy of everything, by the password."""

    template_name = "accounts/export.html"
    form_class = ProofForm

    def proven(self, form: ProofForm) -> HttpResponse:
        try:
            exports.ask(user_of(self.request))
        except exports.ExportRefused as error:
            form.add_error(None, error.words)
            return waiting(self.form_invalid(form), error.wait_s)
        return redirect("accounts:data")


@method_decorator([sensitive_post_parameters("password", "code"), never_cache], name="dispatch")
class FetchExport(ProvenForm):
    """An address for the copy, good for minutes, each time by the password."""

    template_name = "accounts/export_fetch.html"
    form_class = ProofForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        export = exports.ready_of(user_of(self.request))
        if export is None:
            raise Http404
        return super().get_context_data(**kwargs) | {"export": export}

    def proven(self, form: ProofForm) -> HttpResponse:
        export = exports.ready_of(user_of(self.request))
        if export is None:
            raise Http404
        try:
            # A link and no redirect: a form of ours may lead nowhere else, and the file may lie at a store's address.
            return self.render_to_response(self.get_context_data(address=exports.address_of(export)))
        except exports.ExportRefused as error:
            form.add_error(None, error.words)
            return self.form_invalid(form)


class DropExport(LoginRequiredMixin, View):
    """The copy is deleted now, rather than in a week."""

    def post(self, request: HttpRequest) -> HttpResponse:
        exports.drop(user_of(request))
        messages.success(request, _("The copy is deleted."))
        return redirect("accounts:data")


@method_decorator([sensitive_post_parameters("password", "code"), never_cache], name="dispatch")
class DeleteAccount(ProvenForm):
    """Says what is lost; the last word is the password."""

    template_name = "accounts/delete.html"
    form_class = DeleteForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        losses = deleting.losses_of(user_of(self.request))
        facts = {
            "obstacles": losses.obstacles,
            "quota": losses.quota,
            "balance": grouped(losses.quota),
            "worth": shown_balance(user_of(self.request)) if losses.quota else "",
            "days": deleting.GRACE.days,
        }
        return super().get_context_data(**kwargs) | facts

    def proven(self, form: ProofForm) -> HttpResponse:
        user = user_of(self.request)
        try:
            due = deleting.ask(user, gives_up_balance=form.cleaned_data["gives_up"])
        except deleting.DeletionRefused:
            return self.form_invalid(form)
        except deleting.BalanceLeft:
            form.add_error("gives_up", _("Tick this to go on: the balance cannot be paid out."))
            return self.form_invalid(form)
        logout(self.request)
        text = _("Your account will be deleted on %(due)s. Sign in before then to keep it.")
        messages.success(self.request, text % {"due": f"{timezone.localtime(due):%Y-%m-%d %H:%M}"})
        return redirect("accounts:sign_in")
