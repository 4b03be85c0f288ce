"""Codes one by one: found by what a customer reads out or pastes, and revoked with a reason."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import Action, ReadOnlyAdmin, Report, change_url, may, operator
from voicehelper.admin.columns import column, label, link, linked, moment, when
from voicehelper.admin.filters import marks
from voicehelper.numbers import grouped
from voicehelper.wallet.models import Entry
from voicehelper.wallet.worth import in_yuan, list_price

from .. import services
from ..models import CodeBatch, RedemptionCode
from ..models.codes import plain, shown
from ..services.redeeming import code_typed, ref_of

_STATES = {
    "unused": (_("Not redeemed"), Q(redeemed_at=None, revoked_at=None, batch__revoked_at=None)),
    "redeemed": (_("Redeemed"), Q(redeemed_at__isnull=False)),
    "revoked": (_("Revoked"), Q(revoked_at__isnull=False) | Q(batch__revoked_at__isnull=False, redeemed_at=None)),
}


def _ending(code: RedemptionCode) -> str:
    """No word, whatever its letters spell."""
    return format_html('<span translate="no">…{}</span>', shown(code.text.reveal())[-4:])


@admin.register(RedemptionCode)
class RedemptionCodeAdmin(ReadOnlyAdmin):
    list_display = ("ending", "batch_link", "worth", "state_label", "user_link", "time_redeemed")
    list_filter = (marks(_("state"), "state", _STATES),)
    list_select_related = ("batch", "redeemed_by")
    ordering = ("-pk",)
    search_fields = ("digest",)  # what is searched really is in find
    search_help_text = _("A whole code as it was typed or pasted, or the name of who redeemed it")
    batch_link = linked("batch", _("batch"))
    user_link = linked("redeemed_by", _("redeemed by"))
    time_redeemed = when("redeemed_at", _("redeemed"))
    # Whoever sees an unused code whole has its money.
    ending = column(_("redemption code"), _ending)
    worth = column(
        _("worth"),
        lambda code: f"¥{in_yuan(code.batch.quota, list_price().yuan_per_quota)} ({grouped(code.batch.quota)})",
    )
    expires = column(_("expires"), lambda code: moment(code.batch.expires_at))
    revoked = column(
        _("revoked"),
        lambda code: " · ".join(filter(None, (moment(code.revoked_at), code.revoked_by, code.reason))) or "—",
    )
    fields = (
        "ending",
        "batch_link",
        "worth",
        "state_label",
        "expires",
        "user_link",
        "time_redeemed",
        "entry",
        "revoked",
    )

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        if plain(term):
            code = code_typed(term)
            if code is not None:
                return rows.filter(pk=code.pk)
        return rows.filter(redeemed_by__username=term)

    @admin.display(description=_("state"))
    def state_label(self, code: RedemptionCode) -> SafeString:
        if code.redeemed_at:
            return label("success", gettext("Redeemed"))
        if code.revoked_at or code.batch.revoked_at:
            return label("danger", gettext("Revoked"))
        return label("info", gettext("Not redeemed"))

    @admin.display(description=_("ledger entry"))
    def entry(self, code: RedemptionCode) -> object:
        found = Entry.objects.filter(kind=Entry.Kind.GIFT, ref=ref_of(code)).first()
        return link(change_url(found), f"#{found.pk}") if found else "—"

    def actions_for(self, request: HttpRequest, record: RedemptionCode) -> Sequence[Action]:
        if not may(request, CodeBatch, "add"):
            return ()
        refusal = ""
        if record.redeemed_at:
            refusal = gettext("It is redeemed: take the quota back from the user’s wallet instead.")
        elif record.revoked_at or record.batch.revoked_at:
            refusal = gettext("It is revoked already.")
        hint = gettext("Nobody can redeem this code any more; the others of its batch stay good.")
        return [Action("revoke", gettext("Revoke"), hint=hint, refusal=refusal, asks_reason=True)]

    def do_revoke(self, request: HttpRequest, code: RedemptionCode, reason: str) -> Report:
        done = services.revoke_code(code, by=operator(request), reason=reason)
        return Report(done, gettext("The code is revoked.") if done else gettext("Somebody else was first."))
