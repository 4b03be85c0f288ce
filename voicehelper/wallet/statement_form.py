"""What is asked of a statement, in the address of its page, its file and its route alike."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from voicehelper import clock
from voicehelper.day_field import DayField

from .account_statement import LineKind, StatementPeriod

DAYS = 30
UNITS = (
    ("day", gettext_lazy("by day")),
    ("week", gettext_lazy("by week")),
    ("month", gettext_lazy("by month")),
)


class StatementForm(forms.Form):
    """`from` and `to` are Beijing days, both included. Neither in the address: the last thirty; an empty one: from the
    beginning, or up to now."""

    kind = forms.ChoiceField(
        choices=[("", gettext_lazy("All kinds")), *LineKind.choices], required=False, label=gettext_lazy("Kind")
    )
    by = forms.ChoiceField(
        choices=[("", gettext_lazy("each change")), *UNITS], required=False, label=gettext_lazy("Break down")
    )

    def __init__(self, typed: Mapping[str, Any]) -> None:
        since, until = last_days(DAYS)
        asked = {name: typed.get(name, "") for name in ("kind", "by")}
        whole = {"from": since.isoformat(), "to": until.isoformat()}
        days = {name: typed.get(name, "") for name in whole} if {"from", "to"} & set(typed) else whole
        super().__init__(asked | days)
        # "from" cannot be the name of an attribute.
        self.fields["from"] = DayField(required=False, label=gettext_lazy("From"))
        self.fields["to"] = DayField(required=False, label=gettext_lazy("To"))
        self.order_fields(["from", "to", "kind", "by"])

    def clean(self) -> dict[str, Any]:
        facts = super().clean() or {}
        since, until = facts.get("from"), facts.get("to")
        if since and until and since > until:
            self.add_error("to", _("The last day is before the first."))
        return facts

    @property
    def period(self) -> StatementPeriod:
        """What is right of it; whoever minds asks for the errors."""
        self.is_valid()
        return StatementPeriod(self.cleaned_data.get("from"), self.cleaned_data.get("to"))

    @property
    def kinds(self) -> list[LineKind]:
        self.is_valid()
        kind = self.cleaned_data.get("kind")
        return [LineKind(kind)] if kind else []

    @property
    def unit(self) -> str:
        """day, week, month; "": each change is asked for."""
        self.is_valid()
        return self.cleaned_data.get("by") or ""


def last_days(number: int) -> tuple[date, date]:
    today = clock.today()
    return today - timedelta(days=number - 1), today
