"""What an alert is about: the record's name, and its address in the admin, absolute, for every channel."""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

from .models import Alert


def name_of(alert: Alert) -> str:
    """The kind of record and what it is called, in the current language; empty when it is about none."""
    row = record_of(alert)
    return f"{capfirst(row._meta.verbose_name)} {row}" if row is not None else ""


def record_of(alert: Alert) -> models.Model | None:
    """The record, while it is there."""
    label, _colon, pk = alert.about.partition(":")
    try:
        model: Any = apps.get_model(label) if pk else None
        found: models.Model | None = model._default_manager.filter(pk=pk).first() if model else None
    except (LookupError, ValueError):
        return None
    return found


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
