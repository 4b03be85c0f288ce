"""A walk over every page: through the links of one page to the next, and to the rows of every table in the admin."""

from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

# Facts by which the pages of a table's rows differ.
_TELLING = ("state", "event", "kind", "gateway", "outcome")
# What is no page of ours, or ends the walk.
_ELSEWHERE = ("/sandbox/", "/static/", "/i18n/", "/accounts/sign-out", "/admin/logout")


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href")
        if tag == "a" and address:
            self.found.append(address)


def links_of(page: str) -> list[str]:
    parser = _Links()
    parser.feed(page)
    return parser.found


def kind_of(path: str) -> str | None:
    """Pages of one kind differ in their row only; None where there is no page."""
    try:
        match = resolve(urlsplit(path).path)
    except Resolver404:
        return None
    return f"{match.view_name or match.url_name}"


def walk(client: Client, *starts: str, most: int) -> Iterator[tuple[str, Any]]:
    """Each page that `client` reaches from `starts` by links, with its answer: at most so many of each kind."""
    waiting, seen, kinds = list(starts), set(), Counter[str]()
    while waiting:
        path = waiting.pop(0)
        kind = kind_of(path)
        if path in seen or kind is None or path.startswith(_ELSEWHERE) or kinds[kind] >= most:
            continue
        seen.add(path)
        answer = client.get(path)
        if answer.status_code == 302 and path != answer["Location"]:
            waiting.insert(0, urljoin(path, answer["Location"]))
            continue
        if answer.streaming or not answer["Content-Type"].startswith("text/html"):
            continue
        kinds[kind] += 1
        yield path, answer
        for link in links_of(answer.text):
            address = urljoin(path, link)
            # Pages of a list, its order and its filters show the same once more.
            if address.startswith("/") and not ("?" in address and kinds[kind_of(address) or ""]):
                waiting.append(address.partition("#")[0])


def _examples(model: type[Model], most: int) -> list[Model]:
    """Rows of a table, as different from each other as they can be."""
    names = {field.name for field in model._meta.get_fields()}
    rows = model._default_manager.all()
    for name in _TELLING:
        if name in names:
            values = list(rows.order_by(name).values_list(name, flat=True).distinct())
            found = [rows.filter(**{name: value}).first() for value in values]
            return [row for row in found if row is not None][:most]
    return list(rows[:most])


def admin_starts(most: int) -> Iterator[str]:
    """The admin's own pages: its front page, each list, each way to add a row, and rows with what is done to them."""
    yield "/admin/"
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for page in ("changelist", "add"):
            yield from _address(f"{name}_{page}")
        for row in _examples(model, most):
            for page in ("change", "delete", "history"):
                yield from _address(f"{name}_{page}", row.pk)


def _address(name: str, *arguments: Any) -> Iterator[str]:
    try:
        yield reverse(name, args=arguments)
    except NoReverseMatch:
        return
