"""Answers to /v1/responses that are kept for their user."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class KeptResponse(models.Model):
    """An answer, and the items it answered, as JSON in texts; `previous` is the public id of the one that it goes on
    from, `item_ids` are those of all its items. The relay reads and writes them (llm/relay/kept.py)."""

    public_id = models.CharField(max_length=128, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="kept_responses", verbose_name=_("user")
    )
    previous = models.CharField(max_length=128, blank=True, default="", db_default="")
    body = models.TextField()
    input = models.TextField()
    item_ids = ArrayField(models.CharField(max_length=128))
    # Where it begins among all the bytes that were ever kept for its user.
    position = models.BigIntegerField(default=0, db_default=0)
    created = models.DateTimeField(_("time"), db_default=Now())
    expires = models.DateTimeField(_("expires"))

    class Meta:
        verbose_name = _("kept response")
        verbose_name_plural = _("kept responses")
        indexes = [
            GinIndex(fields=["item_ids"], name="kept_response_items"),
            models.Index(fields=["expires"], name="kept_response_expires"),
            models.Index(fields=["user", "position"], name="kept_response_position"),
        ]

    def __str__(self) -> str:
        return self.public_id


class KeptTotal(models.Model):
    """How many bytes of answers were ever kept for a user: where the next one begins."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+", verbose_name=_("user")
    )
    bytes = models.BigIntegerField(db_default=0)

    def __str__(self) -> str:
        return f"{self.user_id}: {self.bytes}"
