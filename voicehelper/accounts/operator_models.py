"""What is kept about operators at work: the details of their log, the lists they want to see again, what they
noted about users, and the roles that came along."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


def ways() -> list[tuple[str, Any]]:
    """By what somebody changed something. A callable, so that another needs no migration."""
    return [("page", _("Page")), ("api", _("API")), ("command", _("Command"))]


class LoggedChange(models.Model):
    """What a line of the operators' log changed, field by field, and where from. Written once: the database refuses to
    change or delete it, as it does the line itself.

    `values` are the lines of voicehelper/change_log.py; `fields` the names of the fields in them, to be found by.
    """

    entry = models.OneToOneField(
        "admin.LogEntry", models.CASCADE, primary_key=True, related_name="logged", verbose_name=_("log entry")
    )
    address = models.GenericIPAddressField(_("address"), null=True)
    way = models.CharField(_("came by"), max_length=10, choices=ways, default="command", db_default="command")
    fields = ArrayField(models.CharField(max_length=60), verbose_name=_("fields"), default=list, db_default=[])
    values = models.JSONField(_("values"), encoder=DjangoJSONEncoder, default=list, db_default=[])
    # Whether the line says something that is not made of its values.
    own_text = models.BooleanField(default=False, db_default=False)

    class Meta:
        verbose_name = _("logged change")
        verbose_name_plural = _("logged changes")
        default_permissions = ()
        indexes = [GinIndex(fields=["fields"], name="logged_fields")]

    def __str__(self) -> str:
        return f"{self.entry_id}"


class SavedView(models.Model):
    """A list of the admin with its filters, search and order, as one operator wants to see it again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("operator"))
    # Which list: "topup.order".
    model = models.CharField(max_length=100)
    name = models.CharField(_("name"), max_length=40)
    query = models.CharField(max_length=1000)
    created = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "model", "name"], name="view_one_of_a_name")]

    def __str__(self) -> str:
        return f"{self.name}"


class SecretRotation(models.Model):
    """Encrypting everything anew, once: how far it is. Whoever works on it moves `beat` every few seconds; one whose
    beat stopped was killed, and the next goes on after `model` and `after`."""

    by = models.CharField(_("by"), max_length=150)
    started = models.DateTimeField(_("started"), db_default=Now())
    beat = models.DateTimeField(null=True)
    finished = models.DateTimeField(_("finished"), null=True)
    # The fingerprint of the key that was the newest when it began.
    key = models.CharField(max_length=16)
    # Up to where it is: a model's label, and the primary key of its last row that is done.
    model = models.CharField(max_length=100, blank=True, default="", db_default="")
    after = models.CharField(max_length=100, blank=True, default="", db_default="")
    done = models.PositiveBigIntegerField(_("done"), default=0, db_default=0)
    total = models.PositiveBigIntegerField(_("total"), default=0, db_default=0)
    # Rows that no key opens, by name.
    unreadable = models.JSONField(default=list, db_default=[])
    # When whoever works on it wrote it down last, by its own clock.
    noted_at = 0.0

    class Meta:
        verbose_name = _("encryption anew")
        verbose_name_plural = _("secrets and their keys")
        default_permissions = ("view", "change")
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=models.Q(finished=None), name="rotation_one_open")
        ]

    def __str__(self) -> str:
        return f"{self.started:%Y-%m-%d %H:%M}"


class UserNote(models.Model):
    """What an operator noted about a user. Rows are added and never changed: a trigger refuses it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notes", verbose_name=_("user"))
    author = models.CharField(_("written by"), max_length=150, editable=False)
    text = models.TextField(_("note"), editable=False)
    created = models.DateTimeField(_("time"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("note about a user")
        verbose_name_plural = _("notes about users")
        default_permissions = ("add",)
        indexes = [models.Index(fields=["user", "-id"], name="note_of_user")]

    def __str__(self) -> str:
        return f"{self.user_id} #{self.pk}"


class BuiltInRole(models.Model):
    """A role that came along: which group was made for it, and what that was given. Operators change and delete the
    group as they like; see roles.py."""

    name = models.CharField(max_length=16, unique=True, editable=False)
    group = models.OneToOneField(
        "auth.Group", models.SET_NULL, null=True, editable=False, related_name="built_in_role", verbose_name=_("role")
    )
    given = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), editable=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
