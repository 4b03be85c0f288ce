"""The front page (named in settings.UNFOLD). It belongs to no app: each says in AppConfig.ready() what it shows there.

`begins` with where to start on a new installation, `asks` for what is open, `shows` figures and pictures. What is
registered is called with the request, and shows nothing to those who may not see it. The smaller a `place`, the higher.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from voicehelper.charts import Chart


@dataclass(frozen=True)
class Card:
    """A figure with its meaning; `note` puts it into proportion, `url` leads to the rows behind it."""

    title: str
    value: str
    note: str = ""
    url: str = ""


@dataclass(frozen=True)
class Panel:
    """Figures, or a picture, under a title that leads to more."""

    title: str
    url: str
    cards: Sequence[Card] = ()
    chart: Chart | None = None


@dataclass(frozen=True)
class OpenMatter:
    """Something to mend: how many, and the list that mends it."""

    title: str
    count: int
    url: str
    tone: str


@dataclass(frozen=True)
class FirstSteps:
    """What is missing, and the pages (title, address) where to begin."""

    text: str
    pages: Sequence[tuple[str, str]]


Begins = Callable[[HttpRequest], FirstSteps | None]
Asks = Callable[[HttpRequest], Iterable[OpenMatter]]
Shows = Callable[[HttpRequest], Panel | None]

_begins: list[Begins] = []
_asks: dict[int, Asks] = {}
_above: dict[int, Shows] = {}
_below: dict[int, Shows] = {}


def begins(read: Begins) -> None:
    _begins.append(read)


def asks(place: int, read: Asks) -> None:
    _asks[place] = read


def shows(place: int, read: Shows, *, above: bool = False) -> None:
    """A panel below what is open, or above it."""
    (_above if above else _below)[place] = read


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What templates/admin/index.html shows this operator."""
    found = [matter for _place, read in sorted(_asks.items()) for matter in read(request)]
    return context | {
        "title": _("Overview"),
        "large_box": True,
        "demo": settings.MODE == "demo",
        "one_step": not settings.STAFF_SECOND_FACTOR,
        "setup": next((steps for read in _begins if (steps := read(request)) is not None and steps.pages), None),
        "above": _panels(_above, request),
        "problems": [matter for matter in found if matter.count],
        "panels": _panels(_below, request),
    }


def _panels(registered: dict[int, Shows], request: HttpRequest) -> list[Panel]:
    panels = (read(request) for _place, read in sorted(registered.items()))
    return [panel for panel in panels if panel is not None]
