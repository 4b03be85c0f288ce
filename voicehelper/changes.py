"""What an operator changes in a row: the operators' log, the alert, and what can be taken back.

The pages of the admin and /api/option both come here. Sensitive is a secret, what a model names in `SENSITIVE`, and
switching on what holds a key: it wants the operator's own password (accounts/own_password.py) and is told as a warning.
What a model names in `PRICES` can be taken back (price_changes.py).
"""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE
from django.db import models
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper.sections import Section
from voicehelper.wallet.models import PriceChange

from . import change_log
from .differences import Change as Change
from .differences import asks_password as asks_password
from .differences import changes_since as changes_since
from .differences import snapshot as snapshot


def record(row: models.Model, changes: Sequence[Change], *, by: Any, added: bool = False) -> None:
    """Write the operators' log and tell them; `by` is the user. Nothing for no change. Within the caller's transaction.

    Any change of a settings section is told, of other rows what is sensitive.
    """
    if not (changes or added):
        return
    entry = change_log.write(row, changes, by=by, flag=ADDITION if added else CHANGE)
    prices = [change for change in changes if change.is_price]
    if prices and not added:
        values = [(each.field.name, each.line, each.old, each.new) for each in prices]
        PriceChange.objects.create(entry=entry, values=values)
    sensitive = any(change.sensitive for change in changes)
    if sensitive or isinstance(row, Section):
        _tell(row, changes, by, level="warning" if sensitive else "info", entry=entry.pk)


def _tell(row: models.Model, changes: Sequence[Change], by: Any, *, level: str, entry: int) -> None:
    name = row._meta.verbose_name
    what = name if isinstance(row, Section) else Text("%(kind)s %(row)s", kind=name, row=row)
    title = Text(
        gettext_noop("%(user)s changed %(what)s: %(fields)s"),
        user=by.get_username(),
        what=what,
        fields=[change.told_label() for change in changes],
    )
    content = [change.told() for change in changes]
    # A key of its own: what is counted only, because an earlier change is still open, would reach nobody.
    key = f"settings_changed:{entry}"
    raise_alert("settings_changed", level=level, title=title, content=content, key=key, about=row)
