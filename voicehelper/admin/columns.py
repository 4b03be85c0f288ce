"""What stands in the columns of lists and among the facts of a record: times, numbers, links, coloured words.

A column's name says how CSS sets it: time_…, num_….
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from voicehelper.clock import BEIJING
from voicehelper.numbers import grouped

from .base import BaseAdmin, change_url


# --- Columns ---------------------------------------------------------------------------------------------------------
def column(label: Any, shown: Callable[[Any], object], ordering: str | None = None) -> Any:
    """A column, or a fact of a record, with what `shown` says of it."""

    @admin.display(description=label, ordering=ordering)
    def of_record(self: BaseAdmin, record: Any) -> object:
        return shown(record)

    return of_record


def when(field: str, label: Any) -> Any:
    """A column with the exact time; name it time_…"""
    return column(label, lambda record: moment(getattr(record, field)), field)


def number(field: str, label: Any) -> Any:
    """A column with a whole number; name it num_…"""
    return column(label, lambda record: grouped(getattr(record, field)))


def linked(field: str, label: Any) -> Any:
    """A column that leads to another record; a dash for none."""

    def shown(record: Any) -> object:
        other = getattr(record, field)
        return link(change_url(other), other) if other else "—"

    return column(label, shown)


# --- Words -----------------------------------------------------------------------------------------------------------
def link(address: str, text: object) -> SafeString:
    return format_html('<a class="vh-link" href="{}">{}</a>', address, text)


def moment(time: datetime | None) -> str:
    """Beijing time to the second: "2026-11-21 12:00:00"; a dash for none."""
    return f"{time.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}" if time else "—"


def signed(number: int) -> SafeString:
    """A change of a balance, coloured, always with its sign."""
    return format_html('<span class="{}">{}</span>', "vh-plus" if number > 0 else "vh-minus", f"{number:+,}")


def label(tone: str, text: object) -> SafeString:
    """A word on its colour: success, info, warning, danger or default."""
    return format_html('<span class="vh-label vh-{}">{}</span>', tone, text)


def choice_label(record: Any, tones: Mapping[Any, str], field: str = "state") -> SafeString:
    """What a field with choices says, in the colour of its value."""
    return label(tones.get(getattr(record, field), "default"), getattr(record, f"get_{field}_display")())
