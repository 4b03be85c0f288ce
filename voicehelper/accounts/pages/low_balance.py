"""The page where a user asks to be told of a low balance."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.generic import FormView

from notifications.mail import can_mail
from voicehelper.numbers import grouped
from voicehelper.wallet.shown_balance import shown_balance
from voicehelper.wallet.worth import in_yuan

from .. import low_balance
from ..forms import LowBalanceForm
from ..services import user_of


@method_decorator(never_cache, name="dispatch")
class LowBalance(LoginRequiredMixin, FormView):  # type: ignore[type-arg]  # generic only in the stubs
    """An amount in yuan or quota; none switches it off."""

    template_name = "accounts/low_balance.html"
    form_class = LowBalanceForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = user_of(self.request)
        account, notice = shown_balance(user), low_balance.notice_of(user)
        facts: dict[str, Any] = {"can_mail": can_mail(), "account": account, "notice": notice}
        if notice is not None:
            facts |= {"quota": grouped(notice.threshold), "worth": in_yuan(notice.threshold, account.rate)}
        return super().get_context_data(**kwargs) | facts

    def form_valid(self, form: LowBalanceForm) -> HttpResponse:
        user, amount = user_of(self.request), form.cleaned_data["amount"]
        if amount is None:
            low_balance.end_notice(user)
            messages.success(self.request, _("You are not told of a low balance."))
            return redirect("accounts:low_balance")
        try:
            in_quota = form.cleaned_data["unit"] == "quota"
            low_balance.ask_for_notice(user, int(amount) if in_quota else low_balance.quota_for(amount))
        except low_balance.NoAddress:
            form.add_error(None, _("Confirm an email address first: the notice is mailed there."))
            return self.form_invalid(form)
        except low_balance.ThresholdRefused:
            form.add_error("amount", _("No balance can have this amount."))
            return self.form_invalid(form)
        messages.success(self.request, _("You are told once each time the balance falls to this amount."))
        return redirect("accounts:low_balance")
