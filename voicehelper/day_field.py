"""A day in a form: as browsers send it, and one that can be reckoned with."""

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

FIRST, LAST = date(2000, 1, 1), date(2100, 12, 31)


class DayField(forms.DateField):
    """A Beijing day, `2026-12-01`, of this century."""

    widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})

    def __init__(self, **facts: Any) -> None:
        super().__init__(input_formats=["%Y-%m-%d"], **facts)
        self.validators += [MinValueValidator(FIRST), MaxValueValidator(LAST)]
