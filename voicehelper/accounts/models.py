"""Who people are, and the tokens their programs sign in with."""

import hashlib
import secrets

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField
from voicehelper.sections import Section


class User(AbstractUser):
    """Somebody who can sign in. `group` chooses the price ratio (recharge settings: group ratios)."""

    group = models.CharField(_("group"), max_length=64, default="default", help_text=_("Chooses the price ratio."))

    class Meta(AbstractUser.Meta):
        swappable = "AUTH_USER_MODEL"
        verbose_name = _("user")  # type: ignore[assignment]  # lazy texts are what Django wants here
        verbose_name_plural = _("users")  # type: ignore[assignment]


class AccessToken(models.Model):
    """A bearer token, kept as SHA-256 only. It dies when it expires, is revoked, or the user's password changes."""

    user = models.ForeignKey(User, models.CASCADE, related_name="access_tokens", verbose_name=_("user"))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # The session hash at the time of issue: it depends on the password, so changing that ends the token.
    session_hash = models.CharField(max_length=128, editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    expires_at = models.DateTimeField(_("expires"))
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")

    def __str__(self) -> str:
        return f"{self.user} #{self.pk}"

    @staticmethod
    def new_text() -> str:
        """A fresh token: 256 random bits."""
        return f"vh-{secrets.token_urlsafe(32)}"

    @staticmethod
    def digest_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()


class MiniProgramSettings(Section):
    """The WeChat mini program users sign in from."""

    app_id = models.CharField(_("app id"), max_length=32, blank=True)
    app_secret = EncryptedField(_("app secret"))

    class Meta(Section.Meta):
        verbose_name = verbose_name_plural = _("mini program settings")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)
