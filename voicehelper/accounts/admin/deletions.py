"""Accounts that are to be deleted, or were: what an operator sees of them, and does for a user who asks."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.admin import stepup
from voicehelper.admin.base import Action, Input, ReadOnlyAdmin, Report, may, operator
from voicehelper.admin.columns import column, linked, moment, when
from voicehelper.admin.filters import marks
from voicehelper.numbers import grouped

from .. import deleting
from ..models import AccountDeletion, User


def leaving_actions(user: User) -> list[Action]:
    """On a user's page: delete the account, or keep one that is to be deleted."""
    if known := deleting.deletion_of(user):
        if known.finished:
            return []
        refusal = gettext("It has begun, and cannot be called off.") if known.begun else ""
        hint = gettext("It is to be deleted on %(due)s. Signing in keeps it, too.") % {"due": moment(known.due)}
        return [Action("keep_account", gettext("Keep this account"), hint=hint, refusal=refusal, asks_reason=True)]
    losses = deleting.losses_of(user)
    hint = gettext(
        "For somebody who asked for it. After %(days)d days name, conversations, keys and files are gone, and a balance"
        " of %(quota)s is forfeited; orders and entries stay without the name. Signing in before then keeps it."
    ) % {"days": deleting.GRACE.days, "quota": grouped(losses.quota)}
    inputs = [Input("current_password", gettext("Your password"), kind="password")]
    label = gettext("Delete this account")
    return [
        Action(
            "delete_account",
            label,
            hint=hint,
            refusal=" ".join(losses.obstacles),
            asks_reason=True,
            inputs=inputs,
        )
    ]


def start_deletion(request: HttpRequest, user: User, reason: str) -> Report:
    """By an operator, with his password."""
    if problem := stepup.confirm(request, request.POST.get("current_password", "")):
        return Report(False, problem)
    try:
        due = deleting.ask(user, gives_up_balance=True, by=operator(request), reason=reason)
    except deleting.DeletionRefused as error:
        return Report(False, str(error))
    return Report(True, gettext("The account will be deleted on %(due)s.") % {"due": moment(due)})


def end_deletion(user: User) -> Report:
    done = deleting.call_off(user)
    text = gettext("The account stays.") if done else gettext("It has begun, and cannot be called off.")
    return Report(done, text)


@admin.register(AccountDeletion)
class AccountDeletionAdmin(ReadOnlyAdmin):
    """When who is to be forgotten; of those who were, that they were."""

    time_asked = when("asked", _("asked for"))
    time_due = when("due", _("due"))
    time_finished = when("finished", _("finished"))
    user_link = linked("user", _("user"))
    list_display = ("time_asked", "user", "by", "time_due", "time_finished", "waits_for")
    list_filter = (
        marks(
            _("state"),
            "state",
            {
                "due": (_("To be deleted"), Q(finished=None)),
                "waits": (_("Has to wait"), Q(finished=None) & ~Q(waits_for="")),
                "done": (_("Deleted"), Q(finished__isnull=False)),
            },
        ),
    )
    list_select_related = ("user",)
    ordering = ("-pk",)
    search_fields = ("user__username",)
    fields = ("user_link", "time_asked", "by", "reason", "time_due", "time_finished", "waits_for")

    by = column(_("asked for by"), lambda row: row.asked_by or gettext("the user"))

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(user__username=term)

    def actions_for(self, request: HttpRequest, record: AccountDeletion) -> Sequence[Action]:
        open_still = record.finished is None and may(request, User, "change")
        return leaving_actions(record.user) if open_still else ()

    def do_keep_account(self, request: HttpRequest, record: AccountDeletion, reason: str) -> Report:
        # The record goes with it: what is reported leads to the user.
        user = record.user
        report = end_deletion(user)
        return Report(report.ok, report.text, user if report.ok else None)
