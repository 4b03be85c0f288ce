"""How a row differs from what it was: field by field, with old and new value, as people read it.

Cleaned values are compared, not their texts: 0.950 is 0.95, and nothing is nothing however it is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import models
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from notifications.texts import Text
from voicehelper.clock import BEIJING
from voicehelper.secrets import EncryptedField

MOST_CHARS = 200
_NOTHING: tuple[Any, ...] = (None, "", [], {}, ())


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
    def secret(self) -> bool:
        """Whether its values are nobody's business."""
        return is_secret(self.field)

    @property
    def is_price(self) -> bool:
        """Whether it can be taken back."""
        return self.field.name in getattr(self.field.model, "PRICES", ())

    @property
    def label(self) -> str:
        name = str(capfirst(self.field.verbose_name))
        return f"{name} ({self.line})" if self.line else name

    def __str__(self) -> str:
        if self.secret:
            return f"{self.label}: {_('changed') if self.new else _('cleared')}"
        return f"{self.label}: {self.shown(self.old)} → {self.shown(self.new)}"

    def told_label(self) -> Text:
        """Its label, to be worded for whoever is told."""
        name = self.field.verbose_name
        named = Text("%(field)s (%(line)s)", field=name, line=self.line)
        return named if self.line else Text("%(field)s", field=name)

    def told(self) -> Text:
        """It, to be worded for whoever is told."""
        if self.secret:
            done = gettext_noop("changed") if self.new else gettext_noop("cleared")
            return Text("%(label)s: %(done)s", label=self.told_label(), done=Text(done))
        old, new = (self._told_value(value) for value in (self.old, self.new))
        return Text("%(label)s: %(old)s → %(new)s", label=self.told_label(), old=old, new=new)

    def _told_value(self, value: Any) -> Any:
        chosen = dict(self.field.flatchoices).get(value) if self.field.choices else None
        if chosen is None and isinstance(value, bool):
            return Text(gettext_noop("On") if value else gettext_noop("Off"))
        return self.shown(value) if chosen is None else chosen

    def shown(self, value: Any) -> str:
        """One of its values, in the current language."""
        chosen = dict(self.field.flatchoices).get(value) if self.field.choices else None
        return (words(value) if chosen is None else str(chosen))[:MOST_CHARS]


def is_secret(field: "models.Field[Any, Any]") -> bool:
    """A secret, or what a password is checked against."""
    return isinstance(field, EncryptedField) or field.name == "password"


def asks_password(model: type[models.Model]) -> bool:
    """Whether anything in a row of this model is sensitive."""
    return bool(_named_by(model)) or _holds_a_key(model)


def snapshot(row: models.Model, *, every: bool = False) -> dict[str, Any]:
    """What people edit in a row, as it is now, to be compared later; with `every`, all that has a name for people."""
    fields = [field for field in row._meta.concrete_fields if not field.primary_key and (field.editable or every)]
    named = [field for field in fields if field.editable or isinstance(getattr(field, "_verbose_name", None), Promise)]
    values = {field.name: getattr(row, field.name, None) for field in named}
    return values | {field.name: _members(row, field.name) for field in row._meta.many_to_many}


def changes_since(before: Mapping[str, Any], row: models.Model, *, every: bool = False) -> list[Change]:
    """How a row differs from its snapshot."""
    now = snapshot(row, every=every)
    return [change for name, value in now.items() for change in _compare(row, name, before[name], value)]


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
            if not _same(old.get(line), new.get(line)):
                yield Change(field, old.get(line), new.get(line), str(line))
    elif field.many_to_many and field.related_model._meta.app_label == "auth":
        # Roles have dozens of permissions: each that comes or goes is a line.
        yield from (Change(field, True, False, each) for each in old if each not in new)
        yield from (Change(field, False, True, each) for each in new if each not in old)
    elif not _same(old, new, numeric=isinstance(field, models.DecimalField | models.IntegerField)):
        yield Change(field, old, new)


def _same(old: Any, new: Any, *, numeric: bool = True) -> bool:
    """Whether two values mean the same: a number written another way, or nothing in another way, is no change."""
    if old == new or (old in _NOTHING and new in _NOTHING):
        return True
    if not numeric or isinstance(old, bool) or isinstance(new, bool):
        return False
    try:
        return Decimal(str(old)) == Decimal(str(new))
    except InvalidOperation:
        return words(old) == words(new)


def words(value: Any) -> str:
    """A value for people, in the current language; numbers without needless zeros."""
    match value:
        case None | "" | [] | {}:
            return "—"
        case bool():
            return _("On") if value else _("Off")
        case Decimal():
            return format(value.normalize(), "f")
        case datetime():
            return f"{value.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
        case list():
            return _(", ").join(map(words, value))
    return str(value)
