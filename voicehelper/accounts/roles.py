"""The roles that come along: groups that are made after migrating, once, and are the operators' own from then on.

What was given once is not given again: an operator who took it away, renamed the group or deleted it meant that. What a
later release grants is added.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.utils import translation

from voicehelper import roles
from voicehelper.roles import ROLES

from .models import BuiltInRole


def granted(role: str) -> frozenset[str]:
    """What a role is given: "topup.view_order"; the read-only one may see whatever has a page."""
    return roles.granted(role) | (_views() if role == roles.READ_ONLY else set())


def _views() -> frozenset[str]:
    metas = [model._meta for model in admin.site._registry]
    return frozenset(f"{meta.app_label}.view_{meta.model_name}" for meta in metas if meta.app_label != "sandbox")


def plant(**_signal: Any) -> None:
    """Make what is missing. Idempotent, and two at once make it once. After going back to a schema before: nothing."""
    if BuiltInRole._meta.db_table not in connection.introspection.table_names():
        return
    known = {
        f"{app}.{codename}": pk
        for pk, app, codename in Permission.objects.values_list("pk", "content_type__app_label", "codename")
    }
    with transaction.atomic():
        BuiltInRole.objects.bulk_create([BuiltInRole(name=name) for name in ROLES], ignore_conflicts=True)
        for row in BuiltInRole.objects.select_for_update().filter(name__in=ROLES).order_by("pk"):
            _complete(row, known)


def _complete(row: BuiltInRole, known: Mapping[str, int]) -> None:
    fresh = granted(row.name) & set(known) - set(row.given)
    if not fresh:
        return
    if not row.given and row.group is None:
        row.group = Group.objects.create(name=_free_name(row.name))
    if row.group is not None:
        row.group.permissions.add(*(known[name] for name in fresh))
    row.given = sorted({*row.given, *fresh})
    row.save(update_fields=["group", "given"])


def _free_name(role: str) -> str:
    """In the language of the house; beside a group of that name that was there before, with a number."""
    with translation.override(settings.LANGUAGE_CODE):
        title = str(ROLES[role].title)
    taken = set(Group.objects.filter(name__startswith=title).values_list("name", flat=True))
    return next(name for name in _numbered(title) if name not in taken)


def _numbered(title: str) -> Iterable[str]:
    yield title
    yield from (f"{title} {number}" for number in range(2, 1000))


def title_of(group: Group) -> str:
    """A group's name, in the reader's language while it is the one it came with."""
    row = BuiltInRole.objects.filter(group=group).first()
    if row is None or row.name not in ROLES:
        return group.name
    title = ROLES[row.name].title
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            if str(title) == group.name:
                break
    else:
        return group.name
    return str(title)


def purpose_of(group: Group) -> str:
    """What a role that came along is for; "" for others."""
    row = BuiltInRole.objects.filter(group=group).first()
    return str(ROLES[row.name].purpose) if row and row.name in ROLES else ""
