"""The models that stand in for another, chosen in order."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from unfold.widgets import SELECT_CLASSES

from ..models import Model

# So many at the most; more would only keep a caller waiting.
PLACES = 4


class FallbacksWidget(forms.Widget):
    """A select per place, the first asked first."""

    choices: Sequence[tuple[str, str]] = ()

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen = [str(key) for key in value or ()]
        places = max(PLACES, len(chosen))
        selects = ((number + 1, self._select(name, number, chosen)) for number in range(places))
        return format_html('<ol class="vh-places">{}</ol>', format_html_join("", "<li><span>{}</span>{}</li>", selects))

    def _select(self, name: str, number: int, chosen: Sequence[str]) -> SafeString:
        own = chosen[number] if number < len(chosen) else ""
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            ((key, " selected" if key == own else "", label) for key, label in (("", "—"), *self.choices)),
        )
        label = _("Fallback %(number)d") % {"number": number + 1}
        classes = " ".join(SELECT_CLASSES)
        return format_html('<select name="{}" aria-label="{}" class="{}">{}</select>', name, label, classes, options)

    def id_for_label(self, id_: str) -> str:
        return ""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        return [key for key in data.getlist(name) if key]


class FallbacksField(forms.Field):
    """Other models, in order, each once. Cleans to a list of rows."""

    widget = FallbacksWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)

    def offer(self, models: Sequence[Model]) -> None:
        self._models = {str(model.pk): model for model in models}
        self.widget.choices = [(key, model.name) for key, model in self._models.items()]

    def clean(self, value: Any) -> list[Model]:
        unknown = [key for key in value if key not in self._models]
        if unknown:
            raise ValidationError(_("One of these models is gone, or is this model itself. Choose again."))
        if len(set(value)) < len(value):
            raise ValidationError(_("A model is there twice."))
        return [self._models[key] for key in value]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return [str(key) for key in initial or ()] != list(data or ())


def in_order(model: Model) -> list[int]:
    """The keys of a model's fallbacks, the first asked first."""
    through = Model.fallbacks.through
    rows = through._default_manager.filter(from_model_id=model.pk).order_by("pk")
    return list(rows.values_list("to_model_id", flat=True))


def keep_order(model: Model, fallbacks: Sequence[Model]) -> None:
    """Replace a model's fallbacks; the order of their rows is the order they are asked in."""
    model.fallbacks.clear()
    for other in fallbacks:
        model.fallbacks.add(other)
