"""What an alert says, kept as it was meant: an English msgid and its values, worded for whoever reads it.

raise_alert("late_payment", title=Text(gettext_noop("Order %(order)s was paid late"), order=order.order_no))
"""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise
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
        return {_MSGID: self.msgid, _VALUES: {name: _plain(each) for name, each in self.values.items()}}

    def __str__(self) -> str:
        """In the current language."""
        return worded(self.kept())


Said = str | Text | Sequence[str | Text]


def kept(said: Said) -> list[Any]:
    """The lines of something said, as JSON keeps them."""
    lines: Sequence[str | Text] = [said] if isinstance(said, str | Text) else said
    return [_plain(line) for line in lines if line]


def in_our_language(lines: Sequence[Any]) -> str:
    """For columns, logs and searches: the same words whoever reads."""
    with translation.override(settings.LANGUAGE_CODE):
        return in_words(lines)


def in_words(lines: Sequence[Any]) -> str:
    """What was kept, in the current language."""
    return "\n".join(map(worded, lines))


def worded(line: Any) -> str:
    """A line, or a value of one, in the current language; several joined. What does not fit its values, in a release
    that words it otherwise, is shown as it is."""
    if isinstance(line, list):
        return gettext(", ").join(map(worded, line))
    if not isinstance(line, dict):
        return str(line)
    values = {name: worded(value) for name, value in line.get(_VALUES, {}).items()}
    msgid = str(line.get(_MSGID, ""))
    try:
        # A name has no values, and may have a per cent sign.
        return gettext(msgid) % values if values else gettext(msgid)
    except (KeyError, TypeError, ValueError):
        return " ".join([msgid, *values.values()])


def _plain(value: Any) -> Any:
    """A value as JSON keeps it: a text, a lazy translation or a list of such stays to be worded."""
    if isinstance(value, Text):
        return value.kept()
    if isinstance(value, Promise):
        with translation.override("en"):
            return {_MSGID: str(value)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value)
