"""The ledger to look at: wallets with their statements, entries, holds, audit runs. Nobody changes any of it here, but
for the button that gives and takes quota (adjusting.py)."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin.base import ReadOnlyAdmin, change_url, list_url, may
from voicehelper.admin.columns import choice_label, column, label, link, linked, moment, number, signed, when
from voicehelper.admin.filters import Days, choice, marks, username
from voicehelper.admin.front_page import OpenMatter
from voicehelper.admin.keyset import EndlessAdmin
from voicehelper.numbers import grouped
from voicehelper.spreadsheet import Columns

from ..actors import named
from ..models import AuditRun, ClosedPeriod, Entry, Hold, Wallet
from .adjusting import Adjusting

STATEMENT_ROWS = 50


@admin.register(Wallet)
class WalletAdmin(Adjusting, ReadOnlyAdmin):
    list_display = ("user", "num_balance", "num_held", "num_available", "num_used")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    search_help_text = _("Beginning of the user name")
    ordering = ("-pk",)
    change_form_template = "admin/wallet/wallet/change_form.html"
    user_link = linked("user", _("user"))
    num_balance = number("balance", _("balance"))
    num_held = number("held", _("held"))
    num_available = number("available", _("available"))
    num_used = number("used", _("used"))
    fields = ("user_link", "num_balance", "num_held", "num_available", "num_used")

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(user__username__startswith=term)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        wallet: Wallet = kwargs["obj"]
        entries = list(wallet.entries.order_by("-pk")[: STATEMENT_ROWS + 1])
        context |= {
            "title": str(wallet),
            "statement": [
                (entry, signed(entry.amount), grouped(entry.balance_after), named(entry.actor))
                for entry in entries[:STATEMENT_ROWS]
            ],
            "more": len(entries) > STATEMENT_ROWS,
            "all_entries": list_url(Entry, username=wallet.user.username),
            "holds": [
                (hold, grouped(hold.amount)) for hold in wallet.holds.filter(state=Hold.State.OPEN)[:STATEMENT_ROWS]
            ],
        }
        return super().render_change_form(request, context, *args, **kwargs)


class _LedgerList(EndlessAdmin):
    """What entries and holds have in common: a wallet, an amount, a reference to search by."""

    list_select_related = ("wallet__user",)
    search_fields = ("ref",)  # what is searched really is in find
    search_help_text = _("Reference (for a recharge: the order number), or user name")
    ordering = ("-created",)

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        wallets = list(Wallet.objects.filter(user__username=term).values_list("pk", flat=True))
        return rows.filter(self.by_reference(term) | Q(wallet__in=wallets))

    def by_reference(self, term: str) -> Q:
        return Q(ref=term)

    user = column(_("user"), lambda line: link(change_url(line.wallet), line.wallet.user))


@admin.register(Entry)
class EntryAdmin(_LedgerList):
    time_created = when("created", _("time"))
    num_balance = number("balance_after", _("balance after"))
    list_display = ("entry_number", "time_created", "user", "kind", "num_amount", "num_balance", "ref", "written_by")
    list_filter = (choice(_("kind"), "kind", lambda: Entry.Kind.choices), username("wallet__user"), ("created", Days))
    export: ClassVar[Columns] = {
        "id": lambda entry: entry.pk,
        "time": lambda entry: moment(entry.created),
        "user": lambda entry: entry.wallet.user.get_username(),
        "kind": lambda entry: entry.kind,
        "amount": lambda entry: entry.amount,
        "balance_after": lambda entry: entry.balance_after,
        "ref": lambda entry: entry.ref,
        "actor": lambda entry: entry.actor,
        "reason": lambda entry: entry.reason,
    }
    fields = ("time_created", "user", "kind", "num_amount", "num_balance", "ref", "written_by", "reason")

    def by_reference(self, term: str) -> Q:
        # The index is on (kind, ref).
        return Q(kind__in=Entry.Kind.values, ref=term)

    entry_number = column("#", lambda entry: entry.pk)
    num_amount = column(_("amount"), lambda entry: signed(entry.amount))
    written_by = column(_("who"), lambda entry: named(entry.actor))


@admin.register(Hold)
class HoldAdmin(_LedgerList):
    time_created = when("created", _("created"))
    time_expires = when("expires_at", _("expires"))
    num_amount = number("amount", _("amount"))
    list_display = ("time_created", "user", "num_amount", "state_label", "time_expires", "ref")
    list_filter = (choice(_("state"), "state", lambda: Hold.State.choices), username("wallet__user"), ("created", Days))
    fields = ("time_created", "user", "num_amount", "state_label", "time_expires", "ref")

    state_label = column(
        _("state"), lambda hold: choice_label(hold, {Hold.State.OPEN: "info", Hold.State.CAPTURED: "success"})
    )


@admin.register(AuditRun)
class AuditRunAdmin(ReadOnlyAdmin):
    time_started = when("started", _("started"))
    time_finished = when("finished", _("finished"))
    num_entries = number("up_to_entry", _("up to entry"))
    list_display = ("time_started", "scope", "result", "num_entries", "time_finished")
    list_filter = (
        marks(
            _("result"),
            "result",
            {
                "agrees": (_("The books agree"), Q(finished__isnull=False, findings=[])),
                "findings": (_("Findings"), ~Q(findings=[])),
            },
        ),
        ("started", Days),
    )
    ordering = ("-pk",)
    fields = ("time_started", "time_finished", "scope", "num_entries", "chain_text", "result", "found")

    chain_text = column(_("chain of closed periods"), lambda run: run.chain or "—")
    scope = column(_("scope"), lambda run: gettext("everything") if run.full else gettext("what is new"))

    @admin.display(description=_("result"))
    def result(self, run: AuditRun) -> SafeString:
        if run.finished is None:
            tone, text = "warning", gettext("not finished")
        elif run.findings:
            tone, text = "danger", gettext("%(count)d findings") % {"count": len(run.findings)}
        else:
            tone, text = "success", gettext("the books agree")
        return label(tone, text)

    @admin.display(description=_("findings"))
    def found(self, run: AuditRun) -> SafeString:
        if not run.findings:
            return mark_safe("—")
        return format_html(
            "<ol class=vh-findings>{}</ol>", format_html_join("", "<li>{}</li>", ((f,) for f in run.findings))
        )


@admin.register(ClosedPeriod)
class ClosedPeriodAdmin(ReadOnlyAdmin):
    time_closed = when("closed", _("closed"))
    num_entries = number("entries", _("entries"))
    num_up_to = number("up_to_entry", _("up to entry"))
    sums = column(_("totals"), lambda period: _sums(period.totals))
    list_display = ("number", "day", "num_entries", "sums", "num_up_to", "time_closed")
    ordering = ("-number",)
    fields = ("number", "day", "num_entries", "sums", "num_up_to", "digest", "previous", "chain", "time_closed")


def _sums(totals: dict[str, dict[str, int]]) -> str:
    """What each kind came to, and of how many entries."""
    names = dict(Entry.Kind.choices)
    found = ((names.get(kind, kind), each["sum"], each["count"]) for kind, each in sorted(totals.items()))
    return " · ".join(f"{name} {total:+,} ({count:,})" for name, total, count in found)


def findings(request: HttpRequest) -> list[OpenMatter]:
    """For the front page: what the last audit found."""
    if not may(request, AuditRun, "view"):
        return []
    last = AuditRun.objects.filter(finished__isnull=False).order_by("-pk").first()
    count = len(last.findings) if last else 0
    return [OpenMatter(gettext("Findings of the last audit"), count, list_url(AuditRun), "danger")]
