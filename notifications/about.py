"""What an alert is about: the record's name, and its address in the admin, absolute, for every channel."""

from collections.abc import Collection, Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

from .models import Alert

# Where an alert that was looked at keeps its record.
_READ = "_record"


def name_of(alert: Alert) -> str:
    """The kind of record and what it is called, in the current language; empty when it is about none."""
    row = record_of(alert)
    return f"{capfirst(row._meta.verbose_name)} {row}" if row is not None else ""


def record_of(alert: Alert) -> models.Model | None:
    """The record, while it is there."""
    if _READ not in vars(alert):
        read_records([alert])
    found: models.Model | None = vars(alert)[_READ]
    return found


def read_records(alerts: Iterable[Alert]) -> None:
    """Read the records of many alerts: one question for each kind of record."""
    kinds: dict[str, dict[str, list[Alert]]] = {}
    for alert in alerts:
        setattr(alert, _READ, None)
        label, _colon, pk = alert.about.partition(":")
        if pk:
            kinds.setdefault(label, {}).setdefault(pk, []).append(alert)
    for label, wanted in kinds.items():
        for pk, row in _rows(label, wanted).items():
            for alert in wanted.get(pk, ()):
                setattr(alert, _READ, row)


def _rows(label: str, keys: Collection[str]) -> dict[str, models.Model]:
    """Those that are there, by the key as a text."""
    try:
        model: Any = apps.get_model(label)
        # A key that cannot be one must not hide the others.
        known = [key for key in keys if _is_key(model, key)]
        return {str(row.pk): row for row in model._default_manager.filter(pk__in=known)}
    except (LookupError, ValueError):
        return {}


def _is_key(model: Any, key: str) -> bool:
    try:
        model._meta.pk.to_python(key)
    except ValidationError:
        return False
    return True


def path_of(alert: Alert) -> str:
    """The record's page; of an alert about none, the alert's own."""
    label, _colon, pk = alert.about.partition(":")
    try:
        return reverse(f"admin:{label.replace('.', '_')}_change", args=[pk]) if pk else _own(alert)
    except NoReverseMatch:
        return _own(alert)


def address_of(alert: Alert) -> str:
    """The same with the server's name, to be opened from anywhere."""
    return settings.SERVER_ADDRESS.rstrip("/") + path_of(alert)


def list_address() -> str:
    """All alerts that are open."""
    return f"{settings.SERVER_ADDRESS.rstrip('/')}{reverse('admin:notifications_alert_changelist')}?open=yes"


def _own(alert: Alert) -> str:
    return reverse("admin:notifications_alert_change", args=[alert.pk])
