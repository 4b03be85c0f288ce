"""Alerts. A row is the outbox: whoever delivers it to a channel does so after the commit."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Alert(models.Model):
    """Something an operator must know. Equal open alerts (same `key`) are one row with a count."""

    class Level(models.TextChoices):
        CRITICAL = "critical", _("Critical")
        WARNING = "warning", _("Warning")
        INFO = "info", _("Info")

    event = models.CharField(_("event"), max_length=40, editable=False)
    level = models.CharField(_("level"), max_length=8, choices=Level, editable=False)
    title = models.CharField(_("title"), max_length=200, editable=False)
    content = models.TextField(_("content"), blank=True, editable=False)
    key = models.CharField(max_length=200, editable=False)
    count = models.PositiveIntegerField(_("times"), default=1, editable=False)
    created = models.DateTimeField(_("first"), db_default=Now(), editable=False)
    last = models.DateTimeField(_("last"), db_default=Now(), editable=False)
    resolved_at = models.DateTimeField(_("resolved"), null=True, blank=True, editable=False)
    resolved_by = models.CharField(_("resolved by"), max_length=150, blank=True, editable=False)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=models.Q(resolved_at=None), name="alert_one_open_per_key")
        ]
        indexes = [models.Index(fields=["-last"], name="alert_newest")]

    def __str__(self) -> str:
        return f"{self.title}"
