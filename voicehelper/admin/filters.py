"""Filters whose choices are never read from a large table, in one form with one button."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RadioFilter, RangeDateFilter, TextFilter

from voicehelper.clock import BEIJING


class Choice(RadioFilter):  # type: ignore[misc]  # Unfold has no types
    """One of a few choices; `narrow` applies it."""

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Iterable[tuple[str, Any]]:
        return self.options()

    def options(self) -> Iterable[tuple[str, Any]]:
        raise NotImplementedError

    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        return rows.filter(**{self.parameter_name: value})

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return self.narrow(queryset, value) if value in dict(self.options()) else queryset


class Username(TextFilter):  # type: ignore[misc]  # Unfold has no types
    """The exact user name; `path` leads from the row to the user."""

    title = _("user name")
    parameter_name = "username"
    path = "user"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = str(self.value() or "").strip()
        return queryset.filter(**{f"{self.path}__username": name}) if name else queryset


class UserGroup(TextFilter):  # type: ignore[misc]
    """The group the user is in now; `path` leads from the row to the user."""

    title = _("user group")
    parameter_name = "group"
    path = "user"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = str(self.value() or "").strip()
        return queryset.filter(**{f"{self.path}__group": name}) if name else queryset


class WalletUsername(Username):
    path = "wallet__user"


class Days(RangeDateFilter):  # type: ignore[misc]  # Unfold has no types
    """From one Beijing day to another, both included."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = self.parameter_name
        first, last = (_day(self.used_parameters.get(f"{name}_{end}")) for end in ("from", "to"))
        if first:
            queryset = queryset.filter(**{f"{name}__gte": _midnight(first)})
        if last:
            queryset = queryset.filter(**{f"{name}__lt": _midnight(last + timedelta(days=1))})
        return queryset


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value).replace("/", "-"))
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), BEIJING)
