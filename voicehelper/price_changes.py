"""Taking a change of prices back: what it replaced is kept for thirty days, and put back as a change of its own.

Which columns of a model are prices, the model says in `PRICES`. A table in one of them is kept line by line, so that
other lines may have changed since.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.core.exceptions import ObjectDoesNotExist
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.wallet.models import PriceChange

from .changes import Change, changes_since, record, snapshot

KEPT_FOR = timedelta(days=30)


class NotTakenBack(Exception):
    """This change cannot be taken back; the text says why, in the reader's language."""


def price_change_of(entry: LogEntry) -> PriceChange | None:
    """What a line of the log replaced, as long as it can be taken back."""
    kept = PriceChange.objects.filter(entry=entry, taken_back=None).first()
    return kept if kept and entry.action_time > clock.now() - KEPT_FOR else None


def take_back(
    change: PriceChange, *, by: Any, problems: Callable[[models.Model], Mapping[str, str]]
) -> Sequence[Change]:
    """Put the old values back, if nothing of them has changed since and the row is sound then; `problems` says what is
    wrong with it. Returns what that changed, which is logged and told like any other. Raises NotTakenBack."""
    with transaction.atomic():
        row = _locked(change.entry)
        before = snapshot(row)
        for name, line, old, new in change.values:
            _put_back(row, name, line, old, new)
        if wrong := problems(row):
            raise NotTakenBack(" ".join(wrong.values()))
        row.save()
        found = changes_since(before, row)
        record(row, found, by=by)
        if not PriceChange.objects.filter(pk=change.pk, taken_back=None).update(taken_back=Now()):
            raise NotTakenBack(_("Somebody has taken it back already."))
    return found


def _locked(entry: LogEntry) -> models.Model:
    model: Any = entry.content_type.model_class() if entry.content_type else None
    try:
        row: models.Model = model._default_manager.select_for_update().get(pk=entry.object_id)
    except (AttributeError, ObjectDoesNotExist) as error:
        raise NotTakenBack(_("What was changed is not there any more.")) from error
    return row


def _put_back(row: models.Model, name: str, line: str, old: Any, new: Any) -> None:
    field: Any = row._meta.get_field(name)
    now = getattr(row, name)
    if not line:
        if now != field.to_python(new):
            raise NotTakenBack(_changed_since(field))
        setattr(row, name, field.to_python(old))
        return
    if now.get(line) != new:
        raise NotTakenBack(_changed_since(field))
    rest = {key: value for key, value in now.items() if key != line}
    setattr(row, name, rest if old is None else {**rest, line: old})


def _changed_since(field: Any) -> str:
    text = _("“%(field)s” has been changed again since. Take that back first, or change it on its page.")
    return text % {"field": field.verbose_name}


def described(change: PriceChange) -> Iterator[str]:
    """What taking it back does, line by line."""
    model: Any = change.entry.content_type.model_class() if change.entry.content_type else None
    for name, line, old, new in change.values:
        field = model._meta.get_field(name)
        before, after = (value if line else field.to_python(value) for value in (new, old))
        yield str(Change(field, before, after, line))
