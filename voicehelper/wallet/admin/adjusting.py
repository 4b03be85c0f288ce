"""Giving and taking quota: the page behind the button on a wallet's page, and what was asked for, to approve."""

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin import stepup
from voicehelper.admin.base import Action, ReadOnlyAdmin, RecordActions, Report, change_url, may, url_name
from voicehelper.admin.columns import column, link, signed, when
from voicehelper.admin.filters import choice
from voicehelper.admin.sections import SectionAdmin
from voicehelper.numbers import grouped

from .. import adjusting
from ..models import Adjustment, Wallet, WalletSettings

TEMPLATE = "admin/wallet/wallet/adjust.html"
_SIGNS = {"give": 1, "take": -1}


class Adjusting(RecordActions):
    """The button on a wallet's page and the page behind it."""

    def actions_for(self, request: HttpRequest, record: Wallet) -> Sequence[Action]:
        if not may(request, Adjustment, "add"):
            return ()
        address = reverse(f"admin:{url_name(self, 'adjust')}", args=[record.pk])
        return [Action("adjust", gettext("Give or take quota …"), address=address)]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.adjust)
        return [path("<path:object_id>/adjust/", view, name=url_name(self, "adjust")), *super().get_urls()]

    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form; with what was typed into it, do it."""
        wallet = Wallet.objects.select_related("user").filter(pk=unquote(object_id)).first()
        if not may(request, Adjustment, "add") or not self.has_view_permission(request, wallet):
            raise PermissionDenied
        if wallet is None:
            raise Http404
        if "number" not in request.POST:
            return self._form(request, wallet)
        problem = stepup.confirm_form(request)
        try:
            if not problem:
                made = adjusting.request_adjustment(wallet, actor=_user(request), **_asked(request))
                return self._tell(request, wallet, made)
        except (ValueError, adjusting.AdjustmentRefused) as error:
            problem = str(error)
        return self._form(request, wallet, problem)

    def _tell(self, request: HttpRequest, wallet: Wallet, made: Adjustment) -> HttpResponse:
        text = _told(made)
        self.log_change(request, wallet, " · ".join([text, made.reason]))
        messages.success(request, text)
        return HttpResponseRedirect(change_url(made if made.state == Adjustment.State.WAITING else wallet))

    def _form(self, request: HttpRequest, wallet: Wallet, problem: str = "") -> HttpResponse:
        wallet.refresh_from_db()
        context: dict[str, Any] = {
            "title": gettext("Give or take quota"),
            "wallet": wallet,
            "available": grouped(wallet.available),
            "balance": grouped(wallet.balance),
            "hint": _hint(wallet, _user(request)),
            "back": change_url(wallet),
            "number": adjusting.next_number(wallet),
            "problem": problem,
            "typed": {name: request.POST.get(name, "") for name in ("direction", "amount", "reason")},
            "confirmed": stepup.confirmed_until(request),
        }
        return self.page(request, TEMPLATE, context, status=400 if problem else 200)


def _hint(wallet: Wallet, user: AbstractUser) -> str:
    if user.is_superuser:
        return ""
    limit = WalletSettings.load().approve_adjustments_above
    hint = gettext("Above %(limit)s quota a second person must approve it.") % {"limit": grouped(limit)}
    if used := adjusting.counted_quota(wallet, user):
        text = gettext("%(used)s of that are used up: by what was given and taken today, here or by you.")
        hint += " " + text % {"used": grouped(used)}
    return hint


def _asked(request: HttpRequest) -> dict[str, Any]:
    """What is asked for, as `request_adjustment` takes it. Raises ValueError."""
    sign, number = _SIGNS.get(request.POST.get("direction", "")), request.POST["number"]
    if sign is None:
        raise ValueError(gettext("Say whether quota is given or taken."))
    # Grouped, or in full width as Chinese keyboards write.
    typed = request.POST.get("amount", "").strip().replace(",", "").replace("，", "")
    amount = int(typed) if typed.isdecimal() and len(typed) <= 19 else 0
    return {
        "amount": sign * amount,
        "number": int(number) if number.isdecimal() and len(number) <= 9 else 0,
        "reason": request.POST.get("reason", "").replace("\0", ""),
    }


def _told(made: Adjustment) -> str:
    facts = {"quota": grouped(abs(made.amount)), "user": made.wallet.user.get_username()}
    if made.state == Adjustment.State.WAITING:
        return gettext("Nothing has changed yet: it waits until a second person approves.")
    if made.amount > 0:
        return gettext("%(quota)s quota were given to %(user)s.") % facts
    return gettext("%(quota)s quota were taken from %(user)s.") % facts


def _user(request: HttpRequest) -> AbstractUser:
    return cast(AbstractUser, request.user)


@admin.register(Adjustment)
class AdjustmentAdmin(ReadOnlyAdmin):
    time_created = when("created", _("created"))
    list_display = ("time_created", "user", "num_amount", "state", "reason", "requested_by", "decided_by")
    list_filter = (choice(_("state"), "state", lambda: Adjustment.State.choices),)
    list_select_related = ("wallet__user",)
    ordering = ("-created",)
    fields = ("time_created", "user", "num_amount", "state", "reason", "requested_by", "decided_by")

    user = column(_("user"), lambda adjustment: link(change_url(adjustment.wallet), adjustment.wallet.user))
    num_amount = column(_("amount"), lambda adjustment: signed(adjustment.amount))

    def actions_for(self, request: HttpRequest, record: Adjustment) -> Sequence[Action]:
        if not may(request, Adjustment, "change") or record.state != Adjustment.State.WAITING:
            return ()
        own = record.requested_by == _user(request).get_username()
        refusal = gettext("Somebody else must approve what you asked for.") if own else ""
        return [
            Action("approve", gettext("Approve"), refusal=refusal, main=True),
            Action("withdraw", gettext("Withdraw"), hint=gettext("Nothing was given or taken."), asks_reason=True),
        ]

    def do_approve(self, request: HttpRequest, adjustment: Adjustment, reason: str) -> Report:
        return self._decided(adjusting.approve_adjustment, request, adjustment)

    def do_withdraw(self, request: HttpRequest, adjustment: Adjustment, reason: str) -> Report:
        return self._decided(adjusting.withdraw_adjustment, request, adjustment)

    def _decided(self, decide: Any, request: HttpRequest, adjustment: Adjustment) -> Report:
        try:
            decide(adjustment, by=_user(request))
        except adjusting.AdjustmentRefused as error:
            return Report(False, str(error))
        withdrawn = adjustment.state == Adjustment.State.WITHDRAWN
        return Report(True, gettext("Nothing was given or taken.") if withdrawn else _told(adjustment))


@admin.register(WalletSettings)
class WalletSettingsAdmin(SectionAdmin):
    purpose = _("What operators may do to wallets by themselves.")
    password_help = _("Only needed when you change the limit.")
    fields = ["approve_adjustments_above"]
    help_texts = {
        "approve_adjustments_above": _(
            "Quota given or taken above this waits for a second person, unless a superuser asks; exactly this much does"
            " not. Counted together: within 24 hours to and from one wallet, and by one operator alone."
        )
    }
