"""What is typed about minors' mode."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from .forms import ProofForm
from .minors import DEFAULT, MinorLimits
from .models import MinorMode, User

_PIN = RegexValidator(r"^\d{4,8}\Z", _("A PIN has 4 to 8 digits."))


def _digits(label: Any, *, required: bool, words: Any = "", complete: str = "off") -> forms.CharField:
    shown = forms.PasswordInput(attrs={"autocomplete": complete, "inputmode": "numeric"})
    return forms.CharField(
        label=label, required=required, max_length=8, validators=[_PIN], help_text=words, widget=shown
    )


class PinForm(ProofForm):
    """What shows that it is whoever switched the mode on: the PIN where there is one, else as for all that is grave."""

    def __init__(self, user: User, mode: MinorMode | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        if mode is not None and mode.pin:
            self.fields.clear()
            self.fields["pin"] = _digits(_("PIN"), required=True)


class MinorsForm(PinForm):
    """The limits, and a PIN for a guardian who does not share the password."""

    minutes = forms.IntegerField(label=_("Minutes of chat a day"), min_value=1, max_value=1440)
    recharge = forms.DecimalField(label=_("Recharge a day (yuan)"), min_value=0, max_value=100_000, decimal_places=2)
    use = forms.DecimalField(label=_("Use a day (yuan)"), min_value=0, max_value=100_000, decimal_places=2)

    def __init__(self, user: User, mode: MinorMode | None = None, *args: Any, **kwargs: Any) -> None:
        limits = DEFAULT if mode is None else MinorLimits(mode.minutes, mode.recharge_fen, mode.use_fen)
        yuan = {name: Decimal(fen) / 100 for name, fen in (("recharge", limits.recharge_fen), ("use", limits.use_fen))}
        kwargs["initial"] = {"minutes": limits.minutes, **yuan, **(kwargs.get("initial") or {})}
        super().__init__(user, mode, *args, **kwargs)
        asked = {name: deepcopy(type(self).base_fields[name]) for name in ("minutes", "recharge", "use")}
        proof = {name: field for name, field in self.fields.items() if name not in asked}
        has_pin = mode is not None and bool(mode.pin)
        label = _("New PIN (empty: stays as it is)") if has_pin else _("PIN of a guardian (optional)")
        words = _("4 to 8 digits. With one, only it switches the mode off; without, your password does.")
        new_pin = _digits(label, required=False, words=words, complete="new-password")
        self.fields = {**asked, "new_pin": new_pin, **proof}

    @property
    def limits(self) -> MinorLimits:
        """What was typed, in fen."""
        given = self.cleaned_data
        return MinorLimits(given["minutes"], int(given["recharge"] * 100), int(given["use"] * 100))
