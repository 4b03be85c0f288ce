"""Names that callers may write instead of a model's own."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voicehelper.accounts.key_limits import model_pattern
from voicehelper.admin.columns import column
from voicehelper.admin.forms import CardAdmin, CardForm

from ..models import Alias, Model
from ..relay.snapshot import read_now
from . import words
from .live import list_with


class AliasForm(CardForm):
    """A name, and where it leads."""

    def clean_pattern(self) -> str:
        try:
            return model_pattern(str(self.cleaned_data["pattern"]))
        except ValueError:
            raise forms.ValidationError(_("Callers write this name into a request: no spaces.")) from None


@admin.register(Alias)
class AliasAdmin(CardAdmin):
    form = AliasForm
    list_display = ("pattern", "leads_to", "now", "shown")
    list_select_related = ("model",)
    ordering = ("pattern",)
    actions: Any = None
    purpose = _("A name callers may ask for instead of a model’s own, such as those that programs bring along.")
    save_label = _("Save")
    delete_link = True
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ["pattern", "shown"]}),
        (_("Where it leads"), {"fields": ["model", "provider"]}),
    )
    placeholders = {"pattern": "claude-*"}
    help_texts = {
        "pattern": _("* stands for anything. The longest name that fits counts; a model’s own name above all."),
        "shown": _("For a name without *: programs that list the models find it there."),
        "model": _("The model that is meant."),
        "provider": _("Instead of a model: the one of this provider with the highest quality that can be asked for."),
    }

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return list_with("catalogue", read_now)

    leads_to = column(_("leads to"), lambda row: row.model or words.provider(row.provider))
    now = column(_("now"), lambda row: getattr(row.catalogue.named(row.pattern.replace("*", "-")), "name", "—"))

    def problems(self, row: Any) -> Mapping[str, str]:
        found = dict(super().problems(row))
        if (row.model is None) == (not row.provider):
            found["model"] = gettext("Choose a model, or a provider whose best model is meant.")
        if row.pattern and "*" not in row.pattern and Model.objects.filter(name=row.pattern).exists():
            found["pattern"] = gettext("A model has this name already.")
        if row.pattern == "auto":
            found["pattern"] = gettext("“auto” is chosen by the router.")
        return found

    def page_context(self, row: Alias | None) -> dict[str, Any]:
        return {"title": row.pattern if row else gettext("New alias")}
