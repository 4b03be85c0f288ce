"""The form of an API key: what it is called, and what it may be used for."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.timezone import localdate
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _

from voicehelper import clock
from voicehelper.accounts.key_limits import MOST_ADDRESSES, MOST_MODELS, KeyLimits, limits_of, model_pattern
from voicehelper.accounts.models import ApiKey
from voicehelper.net.addresses import network
from voicehelper.wallet.models import Budget
from voicehelper.wallet.services import MAX_QUOTA
from voicehelper.words_field import WordsField


def _number(label: Any, most: int, placeholder: Any) -> forms.IntegerField:
    widget = forms.NumberInput(attrs={"placeholder": placeholder, "inputmode": "numeric"})
    return forms.IntegerField(label=label, min_value=1, max_value=most, required=False, widget=widget)


class KeyForm(forms.Form):
    """What a new key, or one that is changed, is called and good for."""

    name = forms.CharField(max_length=64)
    quota = _number(_("Quota"), MAX_QUOTA, _("unlimited"))
    period = forms.ChoiceField(label=_("Quota counts"), choices=Budget.Period.choices, required=False)
    rpm = _number(_("Calls per minute"), 1_000_000, _("unlimited"))
    tpm = _number(_("Tokens per minute"), 2_000_000_000, _("unlimited"))
    until = forms.DateField(label=_("Last day"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    models = WordsField(
        model_pattern,
        MOST_MODELS,
        gettext_lazy("“%(word)s” is no name of a model."),
        label=_("Models"),
        widget=forms.TextInput(attrs={"placeholder": _("all; or for example: doubao-pro, claude-*")}),
    )
    addresses = WordsField(
        network,
        MOST_ADDRESSES,
        gettext_lazy("“%(word)s” is neither an address nor a network."),
        label=_("From these addresses"),
        widget=forms.TextInput(attrs={"placeholder": _("any; or for example: 203.0.113.0/24")}),
    )

    def clean_until(self) -> date | None:
        last: date | None = self.cleaned_data["until"]
        if last is not None and "until" in self.changed_data and last < clock.today():
            raise forms.ValidationError(gettext("This day is over."))
        return last

    @property
    def limits(self) -> Iterator[BoundField]:
        """The fields below the name."""
        return (field for field in self if field.name != "name")

    def key_limits(self, before: datetime | None = None) -> KeyLimits:
        """What was typed. A last day that was not changed leaves the moment as it was `before`."""
        typed = self.cleaned_data
        last, unchanged = typed["until"], "until" not in self.changed_data
        ends = before if unchanged else clock.midnight(last + timedelta(days=1)) if last else None
        return KeyLimits(
            quota=typed["quota"],
            period=typed["period"] or Budget.Period.TOTAL,
            rpm=typed["rpm"],
            tpm=typed["tpm"],
            expires_at=ends,
            models=typed["models"],
            addresses=typed["addresses"],
        )


def as_typed(key: ApiKey) -> dict[str, Any]:
    """A key as its form shows it."""
    limits = limits_of(key)
    return {
        **vars(limits),
        "name": key.name,
        "until": _last_day(limits.expires_at),
    }


def _last_day(ends: datetime | None) -> date | None:
    return localdate(ends - timedelta(microseconds=1), clock.BEIJING) if ends else None


def in_words(key: ApiKey, now: datetime) -> list[str]:
    """What a key has used and may be used for, as its owner reads it."""
    limits, budget = limits_of(key), key.budget or Budget()
    used = f"{budget.counted(now)[0]:,}"
    words = [gettext("%(used)s used") % {"used": used}]
    if limits.quota is not None:
        facts = {"used": used, "quota": f"{limits.quota:,}", "period": budget.get_period_display()}
        words = [gettext("%(used)s of %(quota)s %(period)s used") % facts]
    if limits.rpm is not None:
        words.append(gettext("%(number)s calls per minute") % {"number": f"{limits.rpm:,}"})
    if limits.tpm is not None:
        words.append(gettext("%(number)s tokens per minute") % {"number": f"{limits.tpm:,}"})
    if limits.expires_at is not None:
        over = limits.expires_at <= now
        day = {"day": f"{_last_day(limits.expires_at):%Y-%m-%d}"}
        words.append((gettext("expired on %(day)s") if over else gettext("until %(day)s")) % day)
    if limits.models:
        words.append(", ".join(limits.models))
    if limits.addresses:
        words.append(gettext("from %(addresses)s") % {"addresses": ", ".join(limits.addresses)})
    return words
