"""Filters of lists, in one form with one button; none reads its choices from a large table.

list_filter = (
    choice(_("state"), "state", lambda: Order.State.choices),
    marks(_("mark"), "mark", {"late": (_("Paid late"), Q(paid_late=True))}),
    username("wallet__user"),
    ("created", Days),
)
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter, RangeDateFilter, TextFilter

from voicehelper.accounts.models import User
from voicehelper.clock import midnight

# How many users a search for the beginning of a name takes into account.
USERS_SEARCHED = 100
Options = Callable[[], Iterable[tuple[str, Any]]]


class Choice(RadioFilter):  # type: ignore[misc]  # Unfold has no types
    """One of a few choices. Made by `choice` and `marks`."""

    options: Options
    narrow: Callable[[QuerySet[Any], str], QuerySet[Any]]

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Iterable[tuple[str, Any]]:
        return self.options()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return self.narrow(queryset, value) if value in dict(self.options()) else queryset


def choice(
    title: Any,
    parameter: str,
    options: Options,
    narrow: str | Callable[[QuerySet[Any], str], QuerySet[Any]] = "",
) -> type[Choice]:
    """A filter by one of `options`, (value, label) pairs read anew for each page. `narrow` is the lookup that takes the
    value, by default the parameter's own name, or a function of rows and value."""
    lookup = narrow or parameter

    def by_lookup(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(**{str(lookup): value})

    facts = {
        "title": title,
        "parameter_name": parameter,
        "options": staticmethod(options),
        "narrow": staticmethod(narrow if callable(narrow) else by_lookup),
    }
    return cast(type[Choice], type(f"ChoiceOf{parameter.title()}", (Choice,), facts))


def marks(title: Any, parameter: str, conditions: Mapping[str, tuple[Any, Q]]) -> type[Choice]:
    """A filter by one of a few conditions: value → label and what then is true of a row."""
    labels = [(value, label) for value, (label, _condition) in conditions.items()]
    return choice(title, parameter, lambda: labels, lambda rows, value: rows.filter(conditions[value][1]))


class Exactly(TextFilter):  # type: ignore[misc]  # Unfold has no types
    """A text as it is typed, spaces around it aside. Made by `username` and `user_group`."""

    narrow: Callable[[QuerySet[Any], str], QuerySet[Any]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        typed = str(self.value() or "").strip()
        return self.narrow(queryset, typed) if typed else queryset


def _exactly(title: Any, parameter: str, narrow: Callable[[QuerySet[Any], str], QuerySet[Any]]) -> type[Exactly]:
    facts = {"title": title, "parameter_name": parameter, "narrow": staticmethod(narrow)}
    return cast(type[Exactly], type(f"Exactly{parameter.title()}", (Exactly,), facts))


def username(path: str = "user", narrow: Callable[[QuerySet[Any], str], QuerySet[Any]] | None = None) -> type[Exactly]:
    """The exact user name; `path` leads from the row to the user, unless `narrow` finds the rows another way."""
    by_path = narrow or (lambda rows, name: rows.filter(**{f"{path}__username": name}))
    return _exactly(_("user name"), "username", by_path)


def user_group(path: str = "user") -> type[Exactly]:
    """The group the user is in now; `path` leads from the row to the user."""
    return _exactly(_("user group"), "group", lambda rows, name: rows.filter(**{f"{path}__group": name}))


def users_like(**like: str) -> list[int]:
    """The numbers of the users a list is searched for: the indexes of long tables are on those."""
    return list(User.objects.filter(**like).values_list("pk", flat=True)[:USERS_SEARCHED])


class Days(RangeDateFilter):  # type: ignore[misc]  # Unfold has no types
    """From one Beijing day to another, both included."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = self.parameter_name
        first, last = (_day(self.used_parameters.get(f"{name}_{end}")) for end in ("from", "to"))
        if first:
            queryset = queryset.filter(**{f"{name}__gte": midnight(first)})
        if last:
            queryset = queryset.filter(**{f"{name}__lt": midnight(last + timedelta(days=1))})
        return queryset


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value).replace("/", "-"))
    except ValueError:
        return None
