"""Several differences noted as settled at once, with one reason that is kept with each."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import REASON_CHARS, ReadOnlyAdmin, list_url, may, operator

from ..models import Difference
from ..services import reconciliation
from . import words

MOST = 500


class SettlingTogether(ReadOnlyAdmin):
    """The action of the list, and the page between that asks why."""

    actions = ("settle_together",)

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return may(request, Difference, "change")

    @admin.action(description=_("Note as settled, with one reason"), permissions=["settle"])
    def settle_together(self, request: HttpRequest, chosen: QuerySet[Difference]) -> HttpResponse | None:
        rows = list(chosen.filter(state=Difference.State.OPEN).select_related("reconciliation")[: MOST + 1])
        reason = request.POST.get("reason", "").replace("\0", "").strip()[:REASON_CHARS]
        if not rows:
            messages.error(request, gettext("None of them is open any more."))
        elif len(rows) > MOST:
            messages.error(request, gettext("At most %(most)d at once: choose fewer.") % {"most": MOST})
        elif not reason:
            return self._ask(request, rows)
        else:
            self._settle(request, rows, reason)
        return None

    def _settle(self, request: HttpRequest, rows: list[Difference], reason: str) -> None:
        done = 0
        for row in rows:
            if reconciliation.settle(row, by=operator(request), reason=reason):
                done += 1
                self.log_change(
                    request, row, " · ".join([gettext("Note as settled"), gettext("Noted as settled."), reason])
                )
        messages.success(request, gettext("%(count)d of %(all)d noted as settled.") % {"count": done, "all": len(rows)})

    def _ask(self, request: HttpRequest, rows: list[Difference]) -> HttpResponse:
        context: dict[str, Any] = {
            "title": gettext("Note %(count)d differences as settled") % {"count": len(rows)},
            "rows": [(row, words.money_or_dash(row.theirs_fen), words.money_or_dash(row.ours_fen)) for row in rows],
            "asked_again": "asked" in request.POST,
            "back": list_url(Difference, state="open"),
        }
        return self.page(request, "admin/topup/difference/settle.html", context)
