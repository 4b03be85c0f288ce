"""The page of minors' mode: on, off, and its limits."""

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from voicehelper.api.ratelimit import waiting

from .. import minors, proof
from ..minors_form import MinorsForm, PinForm
from ..models import MinorMode
from ..services import user_of


@method_decorator([sensitive_post_parameters("password", "code", "pin", "new_pin"), never_cache], name="dispatch")
class Minors(LoginRequiredMixin, FormView):  # type: ignore[type-arg]  # generic only in the stubs
    """Switched on with the password; from then on whatever makes it looser takes the PIN, or the password if there is
    none. Posting `off` switches it off."""

    template_name = "accounts/minors.html"

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.mode: MinorMode | None = minors.mode_of(user_of(request)) if request.user.is_authenticated else None

    def get_form_class(self) -> Any:
        return PinForm if self.request.POST.get("step") == "off" else MinorsForm

    def get_form_kwargs(self) -> dict[str, Any]:
        names = {"auto_id": "off_%s"} if self.get_form_class() is PinForm else {}
        return super().get_form_kwargs() | {"user": user_of(self.request), "mode": self.mode, **names}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs) | {"mode": self.mode}
        if self.mode is not None:
            context["minutes_used"] = minors.minutes_used(self.mode)
            context["recharge"], context["use"] = (
                Decimal(fen) / 100 for fen in (self.mode.recharge_fen, self.mode.use_fen)
            )
        if isinstance(context["form"], MinorsForm):
            # Two forms on one page: their inputs need names of their own.
            context["off_form"] = PinForm(user_of(self.request), self.mode, auto_id="off_%s")
        else:
            context["off_form"] = context["form"]
            context["form"] = MinorsForm(user_of(self.request), self.mode)
        return context

    def form_valid(self, form: Any) -> HttpResponse:
        user, given = user_of(self.request), form.cleaned_data
        try:
            if self.mode is not None and self.mode.pin:
                minors.check_pin(self.mode, given["pin"])
            else:
                proof.check(self.request, user, given)
        except (minors.WrongPin, proof.NotProven) as error:
            return self._refused(form, error)
        if isinstance(form, MinorsForm):
            minors.switch_on(user, form.limits, pin=given["new_pin"])
            messages.success(self.request, _("Minors’ mode is on."))
        else:
            minors.switch_off(user)
            messages.success(self.request, _("Minors’ mode is off."))
        return redirect("accounts:minors")

    def _refused(self, form: Any, error: minors.WrongPin | proof.NotProven) -> HttpResponse:
        form.add_error("pin" if isinstance(error, minors.WrongPin) else error.field, error.words)
        return waiting(self.form_invalid(form), error.wait_s)
