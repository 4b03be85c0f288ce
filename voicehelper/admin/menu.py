"""The sidebar (named in settings.UNFOLD). It belongs to no app: each adds its pages to a group in AppConfig.ready().

menu.add(menu.FILES, MenuPage(10, _("Files"), "folder", "storage_backends.storedfile"))
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class MenuPage:
    """An entry, for those who may view or change a model ("topup.order"): the smaller its `place`, the higher. It leads
    to the model's list, or to another `page` below it. `badge` is a word beside the title."""

    place: int
    title: Any
    icon: str
    model: str
    page: str = "changelist"
    badge: Callable[[], str | None] | None = None

    def is_for(self, request: HttpRequest) -> bool:
        app, model = self.model.split(".")
        return any(request.user.has_perm(f"{app}.{verb}_{model}") for verb in ("view", "change"))

    def item(self) -> dict[str, Any]:
        """As Unfold takes it."""
        address = reverse(f"admin:{self.model.replace('.', '_')}_{self.page}")
        shown = {"title": str(self.title), "icon": self.icon, "link": address, "show": True}
        return shown | ({"badge": self.badge()} if self.badge else {})


@dataclass(frozen=True)
class MenuGroup:
    """Pages under a title."""

    title: Any
    pages: list[MenuPage] = field(default_factory=list)
    tables: list[Callable[[], Iterable[MenuPage]]] = field(default_factory=list)

    def entries(self) -> list[MenuPage]:
        """All pages, by their place."""
        found = [*self.pages, *(page for read in self.tables for page in read())]
        return sorted(found, key=lambda page: page.place)


RECHARGE = MenuGroup(_("Recharge"))
MODELS = MenuGroup(_("Large models"))
FILES = MenuGroup(_("Files"))
LEDGER = MenuGroup(_("Ledger"))
USERS = MenuGroup(_("Users"))
ALERTS = MenuGroup(_("Alerts"))
SETTINGS = MenuGroup(_("Settings"))


def add(group: MenuGroup, *pages: MenuPage) -> None:
    group.pages.extend(pages)


def add_from(group: MenuGroup, read: Callable[[], Iterable[MenuPage]]) -> None:
    """One page for each row of a table, which is read anew each time."""
    group.tables.append(read)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of pages; an operator sees those that Django's permissions allow."""
    overview = {"title": gettext("Overview"), "icon": "space_dashboard", "link": reverse("admin:index"), "show": True}
    shown: list[dict[str, Any]] = [{"title": "", "items": [overview]}]
    for group in (RECHARGE, MODELS, FILES, LEDGER, USERS, ALERTS, SETTINGS):
        items = [page.item() for page in group.entries() if page.is_for(request)]
        shown.append({"title": str(group.title), "items": items})
    _mark_where_we_are(request, [item for group in shown for item in group["items"]])
    return shown


def _mark_where_we_are(request: HttpRequest, items: list[dict[str, Any]]) -> None:
    """One entry at the most: a page below another's address would light up both."""
    index = reverse("admin:index")
    around = [item["link"] for item in items if request.path.startswith(item["link"]) and item["link"] != index]
    here = max(around, key=len, default=index if request.path == index else "")
    for item in items:
        item["active"] = item["link"] == here


def environment(request: HttpRequest) -> list[str] | None:
    """A badge while the providers are stand-ins."""
    return [gettext("Demo: no real money"), "warning"] if settings.SANDBOX else None
