"""Who people are, the tokens their programs sign in with, and the keys they call models with."""

import hashlib
import secrets
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField
from voicehelper.sections import Section
from voicehelper.wallet.models import Budget

from .name_shape import NameShape
from .operator_models import BuiltInRole as BuiltInRole
from .operator_models import LoggedChange as LoggedChange
from .operator_models import SavedView as SavedView
from .operator_models import SecretRotation as SecretRotation
from .operator_models import UserNote as UserNote

# They belong to this app's models as well.
from .passkey_models import Passkey as Passkey
from .passkey_models import PasskeyChallenge as PasskeyChallenge
from .personal import AccountDeletion as AccountDeletion
from .personal import Consent as Consent
from .personal import DataExport as DataExport
from .personal import LegalText as LegalText
from .personal import LowBalanceNotice as LowBalanceNotice
from .personal import MinorMode as MinorMode
from .personal import SiteSettings as SiteSettings


class User(AbstractUser):
    """Somebody who can sign in. `group` chooses the price ratio (recharge settings: group ratios).

    `email` belongs to them when `email_verified_at` is set; `new_email` waits for them to open a link sent there.
    """

    group = models.CharField(_("group"), max_length=64, default="default", help_text=_("Chooses the price ratio."))
    email_verified_at = models.DateTimeField(_("email confirmed"), null=True, blank=True, editable=False)
    new_email = models.EmailField(_("email to be confirmed"), blank=True, default="", db_default="", editable=False)
    # What mails to them are written in: the one they last signed in with.
    language = models.CharField(_("language"), max_length=10, blank=True, default="", db_default="", editable=False)

    # When the account is deleted, if its user does not sign in before; see deleting.py.
    leaving_at = models.DateTimeField(_("to be deleted"), null=True, blank=True, editable=False)

    # Whether there is a MinorMode: asked with each call.
    minor = models.BooleanField(_("minors’ mode"), default=False, db_default=False, editable=False)

    # By an operator: whoever signs in with it chooses another (own_choice.py).
    password_given = models.BooleanField(default=False, db_default=False, editable=False)

    # How often everything was signed out at once.
    sign_outs = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    class Meta(AbstractUser.Meta):
        swappable = "AUTH_USER_MODEL"
        # Less than changing somebody: neither address nor password nor price.
        permissions = [("help_user", "Can help user")]  # Django's own form
        verbose_name = _("user")  # type: ignore[assignment]  # lazy texts are what Django wants here
        verbose_name_plural = _("users")  # type: ignore[assignment]
        constraints = [
            models.UniqueConstraint(
                Lower("email"), condition=models.Q(email_verified_at__isnull=False), name="user_of_verified_email"
            )
        ]
        indexes = [
            models.Index(NameShape("username"), name="user_name_shape"),
            # Statistics by group read the orders of those who are in another than nearly everybody.
            models.Index(fields=["group"], name="user_of_other_group", condition=~models.Q(group="default")),
        ]

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(raw_password)
        self.password_given = False

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What every session and token keeps of the moment it began: they end with the password, and all at once."""
        salt = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash"
        began = self.password if not self.sign_outs else f"{self.password} {self.sign_outs}"
        return salted_hmac(salt, began, secret=secret, algorithm="sha256").hexdigest()


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


class BrowserSession(models.Model):
    """What is shown of a browser that somebody is signed in with. Django's session says whether it still is."""

    # No constraint: nodes of the release before delete sessions too.
    session = models.OneToOneField(Session, models.CASCADE, db_constraint=False, related_name="browser")
    user = models.ForeignKey(User, models.CASCADE, related_name="browser_sessions", verbose_name=_("user"))
    session_hash = models.CharField(max_length=128, editable=False)
    user_agent = models.CharField(_("browser"), max_length=300, editable=False)
    address = models.CharField(_("address"), max_length=45, editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    seen_at = models.DateTimeField(_("last seen"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("signed-in browser")
        verbose_name_plural = _("signed-in browsers")

    def __str__(self) -> str:
        return f"{self.user} #{self.pk}"


class SecondFactor(models.Model):
    """The secret that a user's authenticator app knows. It counts from `confirmed_at` on; `last_step` is the half
    minute whose digits were used last."""

    user = models.OneToOneField(User, models.CASCADE, related_name="second_factor", verbose_name=_("user"))
    secret = EncryptedField(editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    confirmed_at = models.DateTimeField(_("on since"), null=True, editable=False)
    last_step = models.BigIntegerField(default=0, db_default=0, editable=False)

    class Meta:
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")

    def __str__(self) -> str:
        return f"{self.user}"


class RecoveryCode(models.Model):
    """A code on paper that stands in for the app once, kept as SHA-256 only."""

    factor = models.ForeignKey(SecondFactor, models.CASCADE, related_name="codes")
    digest = models.CharField(max_length=64, editable=False)
    used_at = models.DateTimeField(_("used"), null=True, editable=False)

    class Meta:
        verbose_name = _("recovery code")
        verbose_name_plural = _("recovery codes")
        constraints = [models.UniqueConstraint(fields=["factor", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        return f"{self.factor_id} #{self.pk}"


class ApiKey(models.Model):
    """A key for /v1, kept as SHA-256 only. `prefix` and `last4` are what its owner recognises it by."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys", verbose_name=_("user"))
    name = models.CharField(_("name"), max_length=64)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=8, editable=False)
    last4 = models.CharField(max_length=4, editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    # Names and wildcards (`claude-*`), and networks; none: any.
    model_names = models.JSONField(_("models"), default=list, db_default=models.Value([], models.JSONField()))
    addresses = models.JSONField(_("addresses"), default=list, db_default=models.Value([], models.JSONField()))
    # None: made before there were budgets.
    budget = models.OneToOneField(
        Budget, models.PROTECT, null=True, editable=False, related_name="api_key", verbose_name=_("budget")
    )

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        indexes = [models.Index(fields=["user", "-id"], name="api_key_of_user")]

    def __str__(self) -> str:
        return f"{self.name} {self.shown}"

    @property
    def shown(self) -> str:
        """The key as its owner may see it again."""
        return f"{self.prefix}…{self.last4}"

    @staticmethod
    def new_text() -> str:
        """A fresh key in the form OpenAI's clients know: 192 random bits."""
        return f"sk-{secrets.token_hex(24)}"

    @staticmethod
    def digest_of(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()


class WeChatIdentity(models.Model):
    """Who a user is to one WeChat app: an openid is valid under the app id it was issued for, and nowhere else.

    `unionid` is the same person's under every app of one Open Platform account; it is empty without such an account.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="wechat_identities", verbose_name=_("user"))
    app_id = models.CharField(_("app id"), max_length=32, editable=False)
    openid = models.CharField(_("openid"), max_length=128, editable=False)
    unionid = models.CharField(_("unionid"), max_length=128, blank=True, editable=False)
    # Decrypts what the mini program sends; it never leaves the server.
    session_key = EncryptedField(editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    seen_at = models.DateTimeField(_("last seen"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("WeChat identity")
        verbose_name_plural = _("WeChat identities")
        constraints = [models.UniqueConstraint(fields=["app_id", "openid"], name="wechat_identity_once")]
        indexes = [models.Index(fields=["unionid"], condition=~models.Q(unionid=""), name="wechat_identity_union")]

    def __str__(self) -> str:
        return f"{self.app_id} {self.openid}"


class MiniProgramSettings(Section):
    """The WeChat mini program users sign in from."""

    # See voicehelper/changes.py.
    SENSITIVE: ClassVar = frozenset({"app_id"})

    app_id = models.CharField(_("app id"), max_length=32, blank=True)
    app_secret = EncryptedField(_("app secret"))
    share_title = models.CharField(_("title of a shared card"), max_length=64, blank=True, default="", db_default="")
    share_image = models.URLField(_("picture of a shared card"), max_length=500, blank=True, default="", db_default="")

    class Meta(Section.Meta):
        verbose_name = verbose_name_plural = _("mini program settings")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class WebsiteSettings(Section):
    """The website app of WeChat's Open Platform: people sign in on the web by scanning a QR code with their WeChat."""

    SENSITIVE: ClassVar = frozenset({"app_id"})

    app_id = models.CharField(_("app id"), max_length=32, blank=True)
    app_secret = EncryptedField(_("app secret"))

    class Meta(Section.Meta):
        verbose_name = verbose_name_plural = _("WeChat sign-in on the web")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class Share(models.Model):
    """An invitation a user sent. `share_id` is what its address carries: 128 random bits."""

    user = models.ForeignKey(User, models.CASCADE, related_name="shares", verbose_name=_("shared by"))
    share_id = models.CharField(_("share id"), max_length=32, unique=True, editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("share")
        verbose_name_plural = _("shares")
        indexes = [models.Index(fields=["user", "-id"], name="share_of_user")]

    def __str__(self) -> str:
        return f"{self.user} #{self.pk}"


class ShareVisit(models.Model):
    """Somebody came by an invitation: a user, or a stranger, who is kept as a digest of the day and the address."""

    share = models.ForeignKey(Share, models.CASCADE, related_name="visits")
    visitor = models.ForeignKey(User, models.CASCADE, null=True, related_name="share_visits", verbose_name=_("visitor"))
    stranger = models.CharField(max_length=64, blank=True, editable=False)
    signed_up = models.BooleanField(_("signed up"), default=False)
    created = models.DateTimeField(_("time"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("visit")
        verbose_name_plural = _("visits")
        constraints = [
            models.UniqueConstraint(
                fields=["share", "visitor"], condition=models.Q(visitor__isnull=False), name="share_visit_of_user"
            ),
            models.UniqueConstraint(
                fields=["share", "stranger"], condition=~models.Q(stranger=""), name="share_visit_of_stranger"
            ),
            models.UniqueConstraint(
                fields=["visitor"], condition=models.Q(signed_up=True), name="share_visit_one_sign_up"
            ),
            models.CheckConstraint(
                condition=models.Q(visitor__isnull=False, stranger="")
                | (models.Q(visitor__isnull=True, signed_up=False) & ~models.Q(stranger="")),
                name="share_visit_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.share_id} #{self.pk}"
