"""What an operator changes in a row: old and new, what of it is sensitive, the operators' log, and the alert.

The pages of the admin and /api/option both come here. Sensitive is a secret, what a model names in `SENSITIVE`, and
switching on what holds a key: it wants the operator's own password (accounts/own_password.py) and is told as a warning.
What a model names in `PRICES` can be taken back (price_changes.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.db import models
from django.utils import translation
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from notifications.services import raise_alert
from voicehelper.secrets import EncryptedField
from voicehelper.sections import Section
from voicehelper.wallet.models import PriceChange

_MOST_CHARS = 200


@dataclass(frozen=True)
class Change:
    """A field with another value than before, or one line of a table in it; a row of a table of its own is a line too,
    and its values say all of it. Its text is in the current language."""

    field: "models.Field[Any, Any]"
    old: Any
    new: Any
    line: str = ""

    @property
    def sensitive(self) -> bool:
        model = self.field.model
        if isinstance(self.field, EncryptedField) or self.field.name in _named_by(model):
            return True
        return self.field.name == "enabled" and bool(self.new) and _holds_a_key(model)

    @property
    def is_price(self) -> bool:
        """Whether it can be taken back."""
        return self.field.name in getattr(self.field.model, "PRICES", ())

    @property
    def label(self) -> str:
        name = str(capfirst(self.field.verbose_name))
        return f"{name} ({self.line})" if self.line else name

    def __str__(self) -> str:
        if isinstance(self.field, EncryptedField):
            return f"{self.label}: {_('changed') if self.new else _('cleared')}"
        return f"{self.label}: {self._shown(self.old)} → {self._shown(self.new)}"

    def _shown(self, value: Any) -> str:
        chosen = dict(self.field.flatchoices).get(value) if self.field.choices else None
        return (_words(value) if chosen is None else str(chosen))[:_MOST_CHARS]


def asks_password(model: type[models.Model]) -> bool:
    """Whether anything in a row of this model is sensitive."""
    return bool(_named_by(model)) or _holds_a_key(model)


def snapshot(row: models.Model) -> dict[str, Any]:
    """What people edit in a row, as it is now, to be compared later."""
    fields = [field for field in row._meta.concrete_fields if field.editable and not field.primary_key]
    values = {field.name: getattr(row, field.name, None) for field in fields}
    return values | {field.name: _members(row, field.name) for field in row._meta.many_to_many}


def changes_since(before: Mapping[str, Any], row: models.Model) -> list[Change]:
    """How a row differs from its snapshot."""
    return [change for name, now in snapshot(row).items() for change in _compare(row, name, before[name], now)]


def record(row: models.Model, changes: Sequence[Change], *, by: Any, added: bool = False) -> None:
    """Write the operators' log and tell them; `by` is the user. Nothing for no change. Within the caller's transaction.

    Any change of a settings section is told, of other rows what is sensitive.
    """
    if not (changes or added):
        return
    entry: Any = LogEntry.objects.log_actions(
        user_id=by.pk,
        queryset=[row],
        action_flag=ADDITION if added else CHANGE,
        change_message=[{"added": {}}] if added else "; ".join(map(str, changes)),
        single_object=True,
    )
    prices = [change for change in changes if change.is_price]
    if prices and not added:
        values = [(each.field.name, each.line, each.old, each.new) for each in prices]
        PriceChange.objects.create(entry=entry, values=values)
    sensitive = any(change.sensitive for change in changes)
    if sensitive or isinstance(row, Section):
        _tell(row, changes, by, level="warning" if sensitive else "info", entry=entry.pk)


def _tell(row: models.Model, changes: Sequence[Change], by: Any, *, level: str, entry: int) -> None:
    with translation.override(settings.LANGUAGE_CODE):
        what = str(row) if isinstance(row, Section) else f"{row._meta.verbose_name} {row}"
        words = {"user": by.get_username(), "what": what, "fields": _words([change.label for change in changes])}
        title = _("%(user)s changed %(what)s: %(fields)s") % words
        content = "\n".join(map(str, changes))
    # A key of its own: what is counted only, because an earlier change is still open, would reach nobody.
    raise_alert("settings_changed", level=level, title=title, content=content, key=f"settings_changed:{entry}")


def _named_by(model: type[models.Model]) -> frozenset[str]:
    named: frozenset[str] = getattr(model, "SENSITIVE", frozenset())
    return named


def _holds_a_key(model: type[models.Model]) -> bool:
    return any(isinstance(field, EncryptedField) for field in model._meta.fields)


def _members(row: models.Model, name: str) -> list[str]:
    """The rows of a many-to-many field by name, in the order they were put there."""
    if row.pk is None:
        return []
    manager = getattr(row, name)
    links = manager.through._default_manager.filter(**{manager.source_field_name: row.pk}).order_by("pk")
    return [str(getattr(link, manager.target_field_name)) for link in links]


def _compare(row: models.Model, name: str, old: Any, new: Any) -> Iterator[Change]:
    field: Any = row._meta.get_field(name)
    if isinstance(field, EncryptedField):
        # The same secret typed again is another object, and a change: nobody learns by trying that it is the same.
        if old is not new and (old or new):
            yield Change(field, old, new)
    elif isinstance(old, dict) and isinstance(new, dict):
        for line in dict.fromkeys([*old, *new]):
            if _words(old.get(line)) != _words(new.get(line)):
                yield Change(field, old.get(line), new.get(line), str(line))
    elif old != new:
        yield Change(field, old, new)


def _words(value: Any) -> str:
    """A value for people, in the current language; numbers without needless zeros."""
    match value:
        case None | "" | [] | {}:
            return "—"
        case bool():
            return _("On") if value else _("Off")
        case Decimal():
            return format(value.normalize(), "f")
        case list():
            return _(", ").join(map(_words, value))
    return str(value)
