"""What the law gives people a right to, beside their accounts: to be forgotten, and to have a copy of what is kept."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class AccountDeletion(models.Model):
    """An account that is deleted at `due` unless its user signs in before; see deleting.py.

    From `begun` on it cannot be called off. The row stays: it says when somebody was forgotten, and not who it was.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="deletion", verbose_name=_("user"), editable=False
    )
    asked = models.DateTimeField(_("asked for"), db_default=Now(), editable=False)
    due = models.DateTimeField(_("due"), editable=False)
    asked_by = models.CharField(
        _("asked for by"), max_length=150, blank=True, editable=False, help_text=_("Empty: the user.")
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True, editable=False)
    begun = models.DateTimeField(_("begun"), null=True, editable=False)
    finished = models.DateTimeField(_("finished"), null=True, editable=False)
    # Why the last try came to nothing.
    waits_for = models.CharField(_("waits for"), max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name = _("account deletion")
        verbose_name_plural = _("account deletions")
        indexes = [models.Index(fields=["due"], condition=Q(finished=None), name="deletion_due")]

    def __str__(self) -> str:
        return f"#{self.user_id}"


class DataExport(models.Model):
    """A copy of all that is kept of a user, as a ZIP file; see storage_backends/exporting.py.

    Whoever writes it holds it until `busy_until`. `bucket_id` and `key` say where the file lies: they are written
    before it, so that none is ever unknown.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Being made")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="data_exports", verbose_name=_("user"), editable=False
    )
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING, editable=False)
    asked = models.DateTimeField(_("asked for"), db_default=Now(), editable=False)
    busy_until = models.DateTimeField(null=True, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    # How much of it is written, in parts of the file.
    done = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    total = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    finished = models.DateTimeField(_("finished"), null=True, editable=False)
    expires = models.DateTimeField(_("expires"), null=True, editable=False)
    # Not a foreign key: accounts know no buckets.
    bucket_id = models.BigIntegerField(null=True, editable=False)
    key = models.CharField(max_length=128, blank=True, editable=False)
    size = models.BigIntegerField(_("size"), default=0, editable=False)

    class Meta:
        verbose_name = _("data export")
        verbose_name_plural = _("data exports")
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(state="waiting"), name="data_export_one_at_a_time")
        ]
        indexes = [models.Index(fields=["user", "-id"], name="data_export_of_user")]

    def __str__(self) -> str:
        return f"#{self.pk}"
