"""What is kept of passkeys: the public halves, and the challenges that are open."""

from typing import ClassVar

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Passkey(models.Model):
    """The public half of a key pair that lives in a user's device (WebAuthn). `user_handle` is what the device knows
    the account by, the same in all of a user's. `sign_count` never falls; devices that do not count say 0."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="passkeys", verbose_name=_("user"))
    credential_id = models.BinaryField(max_length=1023, unique=True, editable=False)
    public_key = models.BinaryField(max_length=2048, editable=False)
    user_handle = models.BinaryField(max_length=64, editable=False)
    sign_count = models.BigIntegerField(default=0, db_default=0, editable=False)
    transports = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), editable=False)
    name = models.CharField(_("name"), max_length=64)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)

    class Meta:
        verbose_name = _("passkey")
        verbose_name_plural = _("passkeys")

    def __str__(self) -> str:
        return f"{self.name}"


class PasskeyChallenge(models.Model):
    """What a session was given to sign, the latest only; it goes when it is answered, and with the session."""

    REGISTER: ClassVar = "register"
    SIGN_IN: ClassVar = "sign_in"

    # No constraint: nodes of the release before delete sessions too.
    session = models.OneToOneField(Session, models.CASCADE, db_constraint=False, related_name="passkey_challenge")
    purpose = models.CharField(max_length=16, editable=False)
    challenge = models.BinaryField(max_length=64, editable=False)
    created = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"{self.purpose} #{self.pk}"
