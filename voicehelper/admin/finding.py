"""The operators' one search box: whatever a customer can read out, and the record it means.

It belongs to no app: each says in AppConfig.ready() what it finds (`finds`), and whom one can ask about a number that
nobody here knows (`asks`). What is found is what the operator may see. Keys and codes are looked up by their digest and
go the other way round: they are posted, answered at once, and stand in no address, page or log.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from . import menu
from .base import change_url

MOST_CHARS = 200
# Of one kind.
MOST = 8


@dataclass(frozen=True)
class FoundRecord:
    """A record: of which kind, what it is called, and what tells it from others."""

    kind: str
    title: str
    note: str
    url: str
    icon: str


@dataclass(frozen=True)
class FoundGroup:
    """What was found of one kind; with `more` it is not all, and that leads to the rest."""

    records: Sequence[FoundRecord]
    more: str = ""


@dataclass(frozen=True)
class Finder:
    """How a model's records are found. `exactly` and `nearly` say which rows a term means and may mean; None: it is
    nothing of this kind. The smaller a `place`, the higher."""

    place: int
    model: type[Model]
    # What can be typed, for the page that explains it.
    what: Any
    icon: str
    exactly: Callable[[str], Q | None]
    nearly: Callable[[str], Q | None] = lambda term: None
    note: Callable[[Any], str] = lambda record: ""
    # Whether a term is somebody's secret.
    is_secret: Callable[[str], bool] = lambda term: False
    # The list with all that a term may mean.
    more: Callable[[str], str] = lambda term: ""


@dataclass(frozen=True)
class AskOutside:
    """A button that asks somebody outside about a term: where it is posted to, and what with it."""

    label: str
    address: str
    fields: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Findings:
    """`exact` is the one record a term means, if it can mean nothing else."""

    groups: Sequence[FoundGroup]
    exact: FoundRecord | None


Asks = Callable[[HttpRequest, str], Iterable[AskOutside]]

_finders: list[Finder] = []
_asks: list[Asks] = []


def finds(*finders: Finder) -> None:
    _finders.extend(finders)
    _finders.sort(key=lambda finder: finder.place)


def asks(read: Asks) -> None:
    _asks.append(read)


def is_secret(term: str) -> bool:
    """Whether it must not stand in an address."""
    return any(finder.is_secret(term) for finder in _finders)


def look_up(request: HttpRequest, term: str) -> Findings:
    """What a term means to this operator, a few of each kind."""
    exact: list[FoundRecord] = []
    groups: list[FoundGroup] = []
    for finder in _finders:
        sure = _rows(request, finder, finder.exactly(term))
        near = _rows(request, finder, finder.nearly(term), besides=sure)
        exact += sure
        if sure or near:
            rest = finder.more(term) if len(near) > MOST else ""
            groups.append(FoundGroup([*sure, *near[:MOST]], rest))
    all_of_it = [each for group in groups for each in group.records]
    # A number that is somebody's name as well as an amount is no answer yet.
    sole = exact if len(all_of_it) == 1 or not term.isdecimal() else []
    one = sole[0] if len(sole) == 1 else all_of_it[0] if len(all_of_it) == 1 else None
    return Findings(groups, one)


def _rows(
    request: HttpRequest, finder: Finder, which: Q | None, besides: Sequence[FoundRecord] = ()
) -> list[FoundRecord]:
    page: Any = admin.site.get_model_admin(finder.model)
    if which is None or not page.has_view_permission(request):
        return []
    rows = page.get_queryset(request).filter(which).order_by("-pk")[: MOST + 1 + len(besides)]
    found = [_found(finder, row) for row in rows]
    return [each for each in found if each not in besides]


def _found(finder: Finder, row: Model) -> FoundRecord:
    kind = capfirst(str(finder.model._meta.verbose_name))
    return FoundRecord(kind, str(row), finder.note(row), change_url(row), finder.icon)


def _pages(request: HttpRequest, term: str) -> list[FoundRecord]:
    """The admin's own pages of that name."""
    items = [item for group in menu.navigation(request) for item in group["items"]]
    named = [item for item in items if term.casefold() in str(item["title"]).casefold()]
    return [FoundRecord(_("Page"), str(item["title"]), "", str(item["link"]), item["icon"]) for item in named[:MOST]]


# --- The page --------------------------------------------------------------------------------------------------------
def address(term: str = "") -> str:
    return reverse("find") + (f"?{urlencode({'term': term})}" if term else "")


def view(request: HttpRequest) -> HttpResponse:
    """What was typed is posted. One record: there it goes. Else the list gets an address of its own, unless what was
    typed is a secret."""
    typed = request.POST if request.method == "POST" else request.GET
    term = typed.get("term", "").replace("\0", "").strip()[:MOST_CHARS]
    secret = is_secret(term)
    if secret and request.method != "POST":
        messages.warning(request, _("A key or code does not belong in an address. Type it into the box."))
        return HttpResponseRedirect(address())
    found = look_up(request, term) if term else Findings((), None)
    if request.headers.get("HX-Request"):
        return _palette(request, term, found)
    if found.exact:
        return HttpResponseRedirect(found.exact.url)
    if request.method == "POST" and not secret:
        return HttpResponseRedirect(address(term))
    return _page(request, "" if secret else term, found, bool(term))


def _page(request: HttpRequest, term: str, found: Findings, searched: bool) -> HttpResponse:
    pages = _pages(request, term) if term else []
    known = bool(found.groups)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Search"),
        "large_box": True,
        "term": term,
        "searched": searched,
        "groups": [*found.groups, *([FoundGroup(pages)] if pages else [])],
        "asks": [ask for read in _asks for ask in read(request, term)] if term and not known else [],
        "kinds": _kinds(request),
    }
    return TemplateResponse(request, "admin/find.html", context)


def _palette(request: HttpRequest, term: str, found: Findings) -> HttpResponse:
    """The same for unfold's command palette."""
    pages = _pages(request, term) if term and not is_secret(term) else []
    records = [each for group in found.groups for each in group.records]
    context = {"results": [*records, *pages], "searched": bool(term)}
    return TemplateResponse(request, "admin/parts/palette.html", context)


def _kinds(request: HttpRequest) -> list[tuple[str, str, str]]:
    """What can be searched for, by this operator: icon, kind, what to type."""
    return [
        (finder.icon, capfirst(str(finder.model._meta.verbose_name_plural)), str(finder.what))
        for finder in _finders
        if admin.site.get_model_admin(finder.model).has_view_permission(request)
    ]
