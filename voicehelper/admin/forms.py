"""Forms in cards, for what operators edit: help under each field, secrets write-only, the password for what is grave.

What is sensitive (see voicehelper/changes.py) asks for the operator's password again (see stepup.py). A save is logged
with what it changed; one that changes nothing is not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import INPUT_CLASSES, UnfoldAdminPasswordWidget

from voicehelper.changes import Change, asks_password
from voicehelper.secrets import EncryptedField, SecretInput

from . import drafts, stepup
from .base import RecordActions, change_url, url_name
from .change_logging import Watched
from .effects import SEEN, SURE, Effects, ShownPrice, effects_of

PASSWORD = "current_password"  # noqa: S105  # a field's name


@dataclass(frozen=True)
class Status:
    """The line under a page's title. `tone` is on, off or trouble; `parts` are short facts."""

    tone: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Consequences:
    """What something does, before somebody does it: a card beside the form."""

    title: str
    texts: Sequence[str]


class PasswordAgain(forms.CharField):
    """The operator's own password: never stored, never logged, never a change."""

    widget = UnfoldAdminPasswordWidget

    def has_changed(self, initial: object, data: object) -> bool:
        return False


class WatchedForm(Watched, forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """A form that knows what it changes in its row."""


@dataclass(frozen=True)
class BoundSecret:
    """A stored secret goes to the address it was entered for, and to no other (CVE-2024-6587): whoever changes the
    address enters the secret again.

    `place` reads from the values of the fields `says_where` where the secret goes; `text` asks for it.
    """

    field: str
    says_where: Sequence[str]
    place: Callable[[Mapping[str, Any]], object]
    text: Any

    def leads_elsewhere(self, form: forms.BaseModelForm[Any]) -> bool:
        """Whether what is stored, and kept, would go somewhere new. What is read-only has not changed."""
        fields = {name: form.fields[name] for name in self.says_where if name in form.fields}
        kept = self.field in form.fields and self.field not in form.changed_data and form.initial.get(self.field)
        if form.instance.pk is None or not kept or not fields or not fields.keys() <= form.cleaned_data.keys():
            return False
        before = {name: form.get_initial_for_field(field, name) for name, field in fields.items()}
        return self.place(before) != self.place({name: form.cleaned_data[name] for name in fields})


class CardForm(WatchedForm):
    """A row's fields, checked as a whole by its admin, and the password when it is needed."""

    request: ClassVar[HttpRequest]
    card_admin: ClassVar["CardAdmin"]
    bound_secrets: ClassVar[Sequence[BoundSecret]] = ()
    # What the save would do to prices, while somebody has yet to agree to it.
    effects: Effects | None = None

    current_password = PasswordAgain(
        label=_("Your password"),
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "current-password"}),
    )

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        if data is not None:
            key = drafts.key_of(self._meta.model, kwargs.get("instance"))
            data = drafts.with_drafts(self.request, key, data)
        super().__init__(data, *args, **kwargs)
        if not asks_password(self._meta.model) or stepup.confirmed_until(self.request):
            self.fields.pop(PASSWORD, None)
        else:
            self.fields[PASSWORD].help_text = self.card_admin.password_help
        for name, field in self.fields.items():
            placeholder = self.card_admin.placeholders.get(name)
            if placeholder:
                field.widget.attrs["placeholder"] = placeholder
            if isinstance(self.initial.get(name), Decimal):
                # Without needless zeros, and still a number: a text would differ from whatever is sent back.
                self.initial[name] = self.initial[name].normalize() + 0

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for secret in self.bound_secrets:
            if secret.leads_elsewhere(self):
                self.add_error(secret.field, secret.text)
        return cleaned

    def _post_clean(self) -> None:
        # Here, because the checks need the row as it would be saved.
        super()._post_clean()  # type: ignore[misc]  # Django's own hook, not in the stubs
        for name, message in self.card_admin.problems(self.instance).items():
            field = name if name in self.fields else None
            if field is None or field not in self.errors:
                self.add_error(field, message)
        typed = self.cleaned_data.get(PASSWORD, "")
        # While there are mistakes it is not asked for: a password is not shown again, and would have to be typed twice.
        asked = PASSWORD in self.fields and any(change.sensitive for change in self.what_changed())
        if asked and (typed or not self.errors):
            error = stepup.confirm(self.request, typed)
            if error:
                self.add_error(PASSWORD, error)
        if not self.errors:
            self._look_at_effects()

    def prices_changed(self) -> bool:
        """Whether anything that makes a price is another than before."""
        prices: frozenset[str] = getattr(self.instance, "PRICES", frozenset())
        return bool(prices & {change.field.name for change in self.what_changed()})

    def _look_at_effects(self) -> None:
        """Prices that change are shown first; what was shown must be what is saved."""
        if self.instance.pk is None or not self.prices_changed():
            return
        stored = self.card_admin.stored(self.instance)
        found = effects_of(
            self.card_admin.prices_of(stored, self.instance), self.card_admin.prices_of(self.instance, stored)
        )
        if not found.changed:
            return
        if self.data.get(SEEN) != found.mark:
            self.add_error(None, _("Not saved yet: look at what it changes, then save again."))
        elif found.great and self.data.get(SURE) != "on":
            self.add_error(None, _("Not saved yet: prices change by more than half. Tick that this is meant."))
        self.effects = found if self.errors else None


class CardAdmin(RecordActions):
    """A row edited in cards on one page, with a status line above and help beside; saving stays on the page."""

    form = CardForm
    change_form_template = "admin/section.html"
    formfield_overrides = {EncryptedField: {"widget": SecretInput({"class": " ".join(INPUT_CLASSES)})}}
    warn_unsaved_form = True
    # One sentence: what the page is for.
    purpose: Any = ""
    save_label: Any = _("Save settings")
    # Whether a link to delete the row stands beside it.
    delete_link = False
    password_help: Any = _(
        "Only needed when you replace or clear a key, change whose account it is, or switch the gateway on."
    )
    placeholders: Mapping[str, Any] = {}
    help_texts: Mapping[str, Any] = {}
    multiline_secrets: tuple[str, ...] = ()
    # What the file is called whose content a multiline secret is, "…" for what varies.
    key_files: Mapping[str, str] = {}

    def problems(self, row: Any) -> Mapping[str, str]:
        """What is wrong with a row: field → plain words."""
        try:
            row.clean_fields(exclude=[field.name for field in row._meta.fields if isinstance(field, EncryptedField)])
        except ValidationError as error:
            return {field: "; ".join(texts) for field, texts in error.message_dict.items()}
        return {}

    def prices_of(self, row: Any, other: Any) -> Mapping[str, ShownPrice]:
        """The prices a row makes, by label; of those that it or the `other` names, whose prices they are compared with.
        For rows with `PRICES`."""
        return {}

    def price_change(self, name: str, line: str, old: Any, new: Any) -> Change:
        """What was kept of a change of prices, read. See voicehelper/price_changes.py."""
        field: Any = self.model._meta.get_field(name)
        before, after = (each if line else field.to_python(each) for each in (old, new))
        return Change(field, before, after, line)

    def put_rows_back(self, row: Any, replaced: Sequence[Change]) -> Sequence[Change]:
        """Undo changes of prices that are rows of their own; for who has such."""
        raise NotImplementedError

    def status(self, row: Any) -> Status | None:
        """About the stored row; None for one that is only being added."""
        return None

    def page_context(self, row: Any) -> dict[str, Any]:
        """More for the template: help_steps; notes (icon, text); consequences. `row` is stored, None while adding."""
        return {}

    def _delete_url(self, row: Any) -> str:
        shown = self.delete_link and row is not None
        return reverse(f"admin:{url_name(self, 'delete')}", args=[row.pk]) if shown else ""

    def stored(self, row: Any) -> Any:
        """The row as the database has it: the form's may carry what was refused."""
        return self.model._default_manager.filter(pk=row.pk).first() if row is not None else None

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The row; locked while a form is being saved."""
        row = super().get_object(request, object_id, from_field)
        if row is None or not (request.method == "POST" and connection.in_atomic_block):
            return row
        return self.model._default_manager.select_for_update().filter(pk=row.pk).first()

    def formfield_for_dbfield(self, db_field: models.Field[Any, Any], request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.help_text = self.help_texts.get(db_field.name, field.help_text)
            if isinstance(field.widget, SecretInput):
                field.widget.multiline = db_field.name in self.multiline_secrets
                field.widget.attrs["data-file"] = self.key_files.get(db_field.name, False)
        return field

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.request, form.card_admin = request, self
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The row's cards, and the password's while it has to be asked for."""
        fieldsets = list(super().get_fieldsets(request, obj))
        allowed = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if asks_password(self.model) and allowed and not stepup.confirmed_until(request):
            fieldsets.append((_("Confirm it is you"), {"fields": [PASSWORD]}))
        return fieldsets

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        stored = self.stored(kwargs.get("obj"))
        self._keep_drafts(request, context, stored)
        confirmed = stepup.confirmed_until(request) if asks_password(self.model) else None
        if confirmed:
            # Perhaps by this very request, which had to show where to type it.
            form = context["adminform"]
            form.fieldsets = [(name, card) for name, card in form.fieldsets if PASSWORD not in card["fields"]]
        context |= {
            "purpose": self.purpose,
            "status": self.status(stored) if stored is not None else None,
            "confirmed": confirmed,
            "title": str(stored) if stored is not None else capfirst(self.model._meta.verbose_name),
            "subtitle": None,
            "save_label": self.save_label,
            "key_files": ", ".join(self.key_files.values()),
            "delete_url": self._delete_url(stored),
            **self.page_context(stored),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def _keep_drafts(self, request: HttpRequest, context: dict[str, Any], stored: Any) -> None:
        key = drafts.key_of(self.model, stored)
        form = context["adminform"].form
        if context.get("errors"):
            if not getattr(form, "effects", None):
                messages.error(request, _("Saving failed"))
            drafts.keep(request, key, form)
        else:
            drafts.forget(request, key)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, _("Saved successfully"))
        return HttpResponseRedirect(change_url(obj))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        messages.success(request, _("Saved successfully"))
        return HttpResponseRedirect(request.path)
