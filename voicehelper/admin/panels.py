"""What apps show on the admin's front page (settings.ADMIN_PANELS), without the page knowing them."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string


@dataclass(frozen=True)
class Card:
    """A figure with its meaning; `note` puts it into proportion, `url` leads to the rows behind it."""

    title: str
    value: str
    note: str = ""
    url: str = ""


@dataclass(frozen=True)
class Panel:
    """Four figures under a title that leads to more."""

    title: str
    url: str
    cards: Sequence[Card]


def panels(request: HttpRequest) -> list[Panel]:
    """Those this operator may see."""
    found = [import_string(path)(request) for path in settings.ADMIN_PANELS]
    return [panel for panel in found if panel is not None]
