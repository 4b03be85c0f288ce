"""What the law gives people a right to, beside their accounts: to be forgotten, and to have a copy of what is kept;
and what it has us tell them: the texts they agree to, and who runs the site. And what they asked to be told of."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from voicehelper.sections import Section


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


class LegalText(models.Model):
    """A version of what users agree to, in one language; Markdown. From `valid_from` on it is in force, and is
    what somebody agreed to: it does not change any more. With `asks_again` whoever agreed to an older one is asked."""

    class Kind(models.TextChoices):
        AGREEMENT = "agreement", _("User agreement")
        PRIVACY = "privacy", _("Privacy policy")

    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES)
    version = models.PositiveIntegerField(_("version"))
    text = models.TextField(_("text"))
    valid_from = models.DateTimeField(_("valid from"))
    asks_again = models.BooleanField(_("ask everybody again"), default=True, db_default=True)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("legal text")
        verbose_name_plural = _("legal texts")
        constraints = [
            models.UniqueConstraint(fields=["kind", "language", "version"], name="legal_text_once"),
            models.CheckConstraint(condition=Q(version__gt=0), name="legal_text_counted"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.version} ({self.language})"


class Consent(models.Model):
    """Somebody agreed to a version of a text: when, and from which address."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="consents", verbose_name=_("user"), editable=False
    )
    kind = models.CharField(_("kind"), max_length=16, choices=LegalText.Kind, editable=False)
    version = models.PositiveIntegerField(_("version"), editable=False)
    agreed = models.DateTimeField(_("agreed"), db_default=Now(), editable=False)
    address = models.GenericIPAddressField(_("address"), null=True, editable=False)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        constraints = [models.UniqueConstraint(fields=["user", "kind", "version"], name="consent_to_version_once")]

    def __str__(self) -> str:
        return f"#{self.user_id} {self.kind} {self.version}"


class SiteSettings(Section):
    """What the foot of each page says of whoever runs the site; what is empty is not shown."""

    icp_number = models.CharField(_("ICP filing number"), max_length=64, blank=True, default="", db_default="")
    police_number = models.CharField(
        _("public security filing number"), max_length=64, blank=True, default="", db_default=""
    )
    algorithm_number = models.CharField(
        _("algorithm filing number"), max_length=100, blank=True, default="", db_default=""
    )
    contact = models.CharField(_("contact"), max_length=200, blank=True, default="", db_default="")
    help_address = models.URLField(_("help page"), max_length=300, blank=True, default="", db_default="")

    class Meta(Section.Meta):
        verbose_name = verbose_name_plural = _("site information")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class MinorMode(models.Model):
    """The limits of a user who is a minor, Beijing days; there while the mode is on. Money in fen, 0: none at all.

    From `rests_from` to `rests_until` (hours) nothing is answered. `pin` is a hash, of a guardian's digits; empty: the
    password counts. `seconds` of `day` are counted up to `counted_to`: see minors.py.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="minor_mode", verbose_name=_("user"), editable=False
    )
    minutes = models.PositiveSmallIntegerField(
        _("minutes of chat a day"),
        default=60,
        db_default=60,
        validators=[MinValueValidator(1), MaxValueValidator(1440)],
    )
    recharge_fen = models.PositiveIntegerField(_("recharge a day (fen)"), default=5000, db_default=5000)
    use_fen = models.PositiveIntegerField(_("use a day (fen)"), default=1000, db_default=1000)
    rests_from = models.PositiveSmallIntegerField(
        _("rests from (hour)"), default=22, db_default=22, validators=[MaxValueValidator(23)]
    )
    rests_until = models.PositiveSmallIntegerField(
        _("rests until (hour)"), default=6, db_default=6, validators=[MaxValueValidator(23)]
    )
    pin = models.CharField(max_length=128, blank=True, editable=False)
    since = models.DateTimeField(_("on since"), db_default=Now(), editable=False)
    set_by = models.CharField(_("set by"), max_length=150, blank=True, editable=False)
    day = models.DateField(null=True, editable=False)
    seconds = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    counted_to = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("minors’ mode")
        verbose_name_plural = _("minors’ modes")

    def __str__(self) -> str:
        return f"#{self.user_id}"


class LowBalanceNotice(models.Model):
    """That a user wants a mail when the balance falls to `threshold` quota. `armed` while it is above: see
    low_balance.py."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="low_balance_notice", verbose_name=_("user")
    )
    threshold = models.BigIntegerField(_("threshold (quota)"), editable=False)
    armed = models.BooleanField(_("armed"), editable=False)

    class Meta:
        verbose_name = _("low balance notice")
        verbose_name_plural = _("low balance notices")
        indexes = [models.Index(fields=["user"], condition=models.Q(armed=True), name="low_balance_armed")]
        constraints = [models.CheckConstraint(condition=models.Q(threshold__gte=0), name="low_balance_not_negative")]

    def __str__(self) -> str:
        return f"{self.user} {self.threshold}"
