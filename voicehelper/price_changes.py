"""Taking a change of prices back: what it replaced is kept for thirty days, and put back as a change of its own.

Which columns of a model are prices, the model says in `PRICES`. A table in one of them is kept line by line, and so are
prices that are rows of their own, so that other lines may have changed since.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

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


class ChangedSince(NotTakenBack):
    """What a change made is not what is there now."""

    def __init__(self, change: Change) -> None:
        text = _("“%(field)s” has been changed again since. Take that back first, or change it on its page.")
        super().__init__(text % {"field": change.label})


class PricePage(Protocol):
    """What a page of the admin knows of its rows' prices."""

    def problems(self, row: Any) -> Mapping[str, str]:
        """What is wrong with a row."""

    def price_change(self, name: str, line: str, old: Any, new: Any) -> Change:
        """A line of `PriceChange.values` as the change it was."""

    def put_rows_back(self, row: Any, replaced: Sequence[Change]) -> Sequence[Change]:
        """Undo changes of prices that are rows of their own; returns what that changed. Raises NotTakenBack."""


def price_change_of(entry: LogEntry) -> PriceChange | None:
    """What a line of the log replaced, as long as it can be taken back."""
    kept = PriceChange.objects.filter(entry=entry, taken_back=None).first()
    return kept if kept and entry.action_time > clock.now() - KEPT_FOR else None


def take_back(change: PriceChange, *, by: Any, page: PricePage) -> Sequence[Change]:
    """Put the old values back, if nothing of them has changed since and the row is sound then. Returns what that
    changed, which is logged and told like any other. Raises NotTakenBack."""
    with transaction.atomic():
        row = _locked(change.entry)
        before = snapshot(row)
        replaced = [page.price_change(*values) for values in change.values]
        rows = [each for each in replaced if each.field.model is not type(row)]
        for each in replaced:
            if each not in rows:
                _put_back(row, each)
        if wrong := page.problems(row):
            raise NotTakenBack(" ".join(wrong.values()))
        row.save()
        found = [*changes_since(before, row), *(page.put_rows_back(row, rows) if rows else ())]
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


def _put_back(row: models.Model, change: Change) -> None:
    name, line = change.field.name, change.line
    now = getattr(row, name)
    if (now.get(line) if line else now) != change.new:
        raise ChangedSince(change)
    if not line:
        setattr(row, name, change.old)
        return
    rest = {key: value for key, value in now.items() if key != line}
    setattr(row, name, rest if change.old is None else {**rest, line: change.old})


def described(change: PriceChange, page: PricePage) -> Iterator[str]:
    """What taking it back does, line by line."""
    for values in change.values:
        made = page.price_change(*values)
        yield str(replace(made, old=made.new, new=made.old))
