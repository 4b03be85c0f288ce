"""A customer's page: what an operator wants to see while the customer is on the phone.

It belongs to accounts, and each app says in AppConfig.ready() what it adds: figures (`counts`), tables (`shows`) and
buttons (`offers`). What is registered is called with the request and the customer, and gives nothing to those who may
not see it. The smaller a `place`, the higher.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from voicehelper.accounts.models import User

from .base import Action
from .front_page import Card


@dataclass(frozen=True)
class Heading:
    """Of a column; figures stand to the right."""

    text: str
    is_figure: bool = False


@dataclass(frozen=True)
class CustomerTable:
    """Rows of a customer, a text or link per column. `url` leads to all of them; without any, `empty` stands there."""

    title: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[object]]
    empty: str
    url: str = ""

    @property
    def cells(self) -> list[list[tuple[Heading, object]]]:
        """Each cell with its heading, which a phone shows beside it."""
        return [list(zip(self.headings, row, strict=True)) for row in self.rows]


Counts = Callable[[HttpRequest, User], Iterable[Card]]
ShowsTable = Callable[[HttpRequest, User], CustomerTable | None]
Offers = Callable[[HttpRequest, User], Iterable[Action]]

_counts: dict[int, Counts] = {}
_tables: dict[int, ShowsTable] = {}
_offers: dict[int, Offers] = {}


def counts(place: int, read: Counts) -> None:
    _counts[place] = read


def shows(place: int, read: ShowsTable) -> None:
    _tables[place] = read


def offers(place: int, read: Offers) -> None:
    _offers[place] = read


def buttons(request: HttpRequest, user: User) -> list[Action]:
    """What other apps do for this customer, on pages of their own."""
    return [action for _place, read in sorted(_offers.items()) for action in read(request, user)]


def context(request: HttpRequest, user: User) -> dict[str, Any]:
    """What templates/admin/accounts/user/change_form.html shows."""
    tables = (read(request, user) for _place, read in sorted(_tables.items()))
    return {
        "customer_cards": [card for _place, read in sorted(_counts.items()) for card in read(request, user)],
        "customer_tables": [table for table in tables if table is not None],
    }
