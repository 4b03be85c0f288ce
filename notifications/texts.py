"""What an alert says, kept as it was meant: an English msgid and its values, worded for whoever reads it.

raise_alert("late_payment", title=Text(_("Order %(order)s was paid late"), order=order.order_no))   # _ is gettext_noop
"""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext

# A value of a text that is itself to be worded.
_MSGID, _VALUES = "msgid", "values"


class Text:
    """A sentence with values. Several make a content, a line each; plain strings stand for what others said."""

    def __init__(self, msgid: str, **values: Any) -> None:
        self.msgid = msgid
        self.values = values

    def kept(self) -> dict[str, Any]:
        """As JSON keeps it."""
        values = {name: each.kept() if isinstance(each, Text) else _plain(each) for name, each in self.values.items()}
        return {_MSGID: self.msgid, _VALUES: values}

    def __str__(self) -> str:
        """In the current language."""
        return worded(self.kept())


Said = str | Text | Sequence[str | Text]


def kept(said: Said) -> list[Any]:
    """The lines of something said, as JSON keeps them."""
    lines: Sequence[str | Text] = [said] if isinstance(said, str | Text) else said
    return [line.kept() if isinstance(line, Text) else str(line) for line in lines if line]


def in_english(lines: Sequence[Any]) -> str:
    """For columns, logs and searches: the same words whoever reads."""
    with translation.override("en"):
        return in_words(lines)


def in_words(lines: Sequence[Any]) -> str:
    """What was kept, in the current language."""
    return "\n".join(map(worded, lines))


def worded(line: Any) -> str:
    """A line in the current language. What does not fit its values, in a release that words it otherwise, is shown as
    it is."""
    if not isinstance(line, dict):
        return str(line)
    values = {name: worded(value) for name, value in line.get(_VALUES, {}).items()}
    msgid = str(line.get(_MSGID, ""))
    try:
        return gettext(msgid) % values
    except (KeyError, TypeError, ValueError):
        return " ".join([msgid, *values.values()])


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | str):
        return f"{value}"
    with translation.override(settings.LANGUAGE_CODE):
        return str(value)
