"""The operators' log: lines that nobody changes or deletes, written with what changed, by whom and from where, and read
back in the language of whoever reads.

A value is kept as JSON can hold it, so that a choice, a switch and a name of a field are worded when they are read. Of
a secret it is kept whether there was one, and nothing else.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.apps import apps
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.core.exceptions import FieldDoesNotExist
from django.db import models, transaction
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from voicehelper.accounts.operator_models import LoggedChange

from .differences import MOST_CHARS, Change, changes_since, is_secret, snapshot, words
from .origin import origin

_KEPT_CHARS = 2000


@dataclass(frozen=True)
class ReadChange:
    """A line of a change, worded: the field (and the line of a table in it), and its values."""

    field: str
    old: str
    new: str
    secret: bool = False

    def __str__(self) -> str:
        return f"{self.field}: {self.new}" if self.secret else f"{self.field}: {self.old} → {self.new}"


@transaction.atomic
def write(row: models.Model, changes: Sequence[Change], *, by: Any, flag: int = CHANGE, text: str = "") -> LogEntry:
    """A line about a row; `text` is what it says in place of its changes."""
    message: Any = text or "; ".join(map(str, changes))
    if flag != CHANGE:
        message = [{"added" if flag == ADDITION else "deleted": {}}]
    entry: Any = LogEntry.objects.log_actions(
        user_id=by.pk, queryset=[row], action_flag=flag, change_message=message, single_object=True
    )
    _write_details(entry, row, changes, own_text=bool(text))
    return entry  # type: ignore[no-any-return]


def write_deletions(rows: Iterable[models.Model], *, by: Any) -> None:
    """Before rows are deleted: what they were."""
    for row in rows:
        write(row, what_it_was(row), by=by, flag=DELETION)


def what_it_was(row: models.Model) -> list[Change]:
    """A row's values as changes to nothing."""
    fields: Any = row._meta
    return [Change(fields.get_field(name), value, None) for name, value in snapshot(row).items() if value]


def _write_details(entry: LogEntry, row: models.Model, changes: Sequence[Change], *, own_text: bool) -> None:
    came = origin()
    LoggedChange.objects.create(
        entry=entry,
        address=came.address or None,
        way=came.way,
        own_text=own_text,
        fields=list(dict.fromkeys(change.field.name for change in changes)),
        values=[_kept(change, row) for change in changes],
    )


def _kept(change: Change, row: models.Model) -> dict[str, Any]:
    field = change.field
    kept: dict[str, Any] = {"field": field.name, "line": str(change.line)}
    if field.model is not type(row):
        kept["model"] = field.model._meta.label_lower
    if change.secret:
        return kept | {"secret": True, "old": bool(change.old), "new": bool(change.new)}
    return kept | {"old": _plain(change.old), "new": _plain(change.new)}


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    match value:
        case None | bool() | int():
            return value
        case Decimal():
            return format(value.normalize(), "f")
        case datetime() | date():
            return value.isoformat()
        case list():
            return [_plain(each) for each in value]
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
    return words(value)[:_KEPT_CHARS]


# --- Reading ---------------------------------------------------------------------------------------------------------
def read(entry: LogEntry) -> list[ReadChange]:
    """What a line of the log changed; nothing when it only says so in a text."""
    logged = getattr(entry, "logged", None)
    model = entry.content_type.model_class() if entry.content_type else None
    return [_worded(kept, model) for kept in logged.values] if logged else []


def said(entry: LogEntry) -> str:
    """What a line says beside its changes: what a button said, or that something came or went."""
    logged = getattr(entry, "logged", None)
    only_changes = entry.action_flag == CHANGE and logged is not None and not logged.own_text
    return "" if only_changes else str(entry.get_change_message())


def _worded(kept: dict[str, Any], model: type[models.Model] | None) -> ReadChange:
    field = _field(kept, model)
    name = kept["field"].replace("_", " ") if field is None else field.verbose_name
    label = Change(field, None, None, kept["line"]).label if field is not None else str(name)
    if kept.get("secret"):
        done = _("changed") if kept["new"] else _("cleared")
        return ReadChange(label, "••••" if kept["old"] else "—", done, secret=True)
    return ReadChange(label, _shown(kept["old"], field), _shown(kept["new"], field))


def _field(kept: dict[str, Any], model: type[models.Model] | None) -> Any:
    try:
        named = apps.get_model(kept["model"]) if "model" in kept else model
        return named._meta.get_field(kept["field"]) if named else None
    except (LookupError, FieldDoesNotExist):
        # Of a release before, or after.
        return None


def _shown(value: Any, field: Any) -> str:
    if isinstance(field, models.DateTimeField) and isinstance(value, str):
        value = parse_datetime(value) or value
    elif isinstance(field, models.DecimalField) and isinstance(value, str):
        with suppress(InvalidOperation):
            value = Decimal(value)
    elif isinstance(field, models.BooleanField) and value is not None:
        value = bool(value)
    if field is None:
        return words(value)[:MOST_CHARS]
    return Change(field, value, value).shown(value)


def changed_by(before: dict[str, Any], row: models.Model) -> list[Change]:
    """What a button changed in a record, of what people know it by: its state, its switches, and what ended when."""
    now = type(row)._default_manager.filter(pk=row.pk).first()
    if now is None:
        return []
    found = changes_since(before, now, every=True)
    return [change for change in found if _is_a_state(change) and not is_secret(change.field)]


def _is_a_state(change: Change) -> bool:
    field = change.field
    ended = isinstance(field, models.DateTimeField) and change.old is None
    return bool(field.choices) or isinstance(field, models.BooleanField) or ended
