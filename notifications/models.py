"""Alerts and their way to people. A row is the outbox: what it says is sent after the commit, by `deliver_alerts`."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField

from .texts import in_words


class Level(models.TextChoices):
    CRITICAL = "critical", _("Critical")
    WARNING = "warning", _("Warning")
    INFO = "info", _("Info")


# From the one that matters most.
LEVELS = [str(level) for level in Level]


class Alert(models.Model):
    """Something an operator must know. Equal open alerts (same `key`) are one row with a count.

    `told` is the count at which deliveries were last made; from `tell_at` on, a higher count is told again.

    `title` and `content` are in the installation's language; `texts` is what they are made of (texts.py), to be worded
    for each reader. `about` is the record it is about, like "topup.order:17", and `platform` whose trouble it is.
    """

    Level = Level

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
    told = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    tell_at = models.DateTimeField(db_default=Now(), editable=False)
    texts = models.JSONField(default=dict, db_default={}, blank=True, editable=False)
    about = models.CharField(max_length=150, default="", db_default="", blank=True, editable=False)
    platform = models.CharField(_("platform"), max_length=40, default="", db_default="", blank=True, editable=False)
    snoozed_until = models.DateTimeField(_("snoozed until"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=Q(resolved_at=None), name="alert_one_open_per_key")
        ]
        indexes = [
            models.Index(fields=["-last"], name="alert_newest"),
            models.Index(fields=["tell_at"], condition=Q(count__gt=F("told")), name="alert_to_tell"),
        ]

    def __str__(self) -> str:
        """Its title in the current language; of one of a release before, as it was written."""
        return in_words(self.texts.get("title") or [self.title])[:200]


class Mute(models.Model):
    """A kind of event that is told nobody until it ends: of one record, or of all (`about` is empty). Its alerts are
    still written down."""

    event = models.CharField(_("event"), max_length=40, editable=False)
    # Of a record as `Alert.about` says it, or the key of an alert that has none.
    about = models.CharField(max_length=200, default="", blank=True, editable=False)
    until = models.DateTimeField(_("until"), editable=False)
    by = models.CharField(_("muted by"), max_length=150, editable=False)
    reason = models.CharField(_("reason"), max_length=200, editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    ended = models.DateTimeField(_("ended"), null=True, editable=False)

    class Meta:
        verbose_name = _("mute")
        verbose_name_plural = _("muted alerts")
        indexes = [models.Index(fields=["event", "until"], condition=Q(ended=None), name="mute_in_force")]

    def __str__(self) -> str:
        return " ".join(filter(None, [self.event, self.about]))


def languages() -> Iterable[tuple[str, Any]]:
    """In which a channel's readers are written to."""
    return settings.LANGUAGES


def kinds() -> Iterable[tuple[str, Any]]:
    """The kinds of channels. A callable, so that a new one needs no migration."""
    return (
        ("dingtalk", _("DingTalk robot")),
        ("email", _("Email")),
        ("sms_aliyun", _("SMS by Aliyun")),
        ("sms_tencent", _("SMS by Tencent Cloud")),
    )


class Channel(models.Model):
    """A way to reach operators. `options` are what its kind's form asks for and is no secret.

    One message at a time leaves through it: whoever sends holds it until `busy_until`. `recent` are the moments of its
    last messages, which keeps all workers together under the far side's limit.
    """

    kind = models.CharField(_("kind"), max_length=16, choices=kinds)
    name = models.CharField(_("name"), max_length=50, unique=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    language = models.CharField(
        _("language"), max_length=10, choices=languages, default="zh-hans", db_default="zh-hans"
    )
    options = models.JSONField(default=dict, blank=True)
    webhook = EncryptedField(_("webhook address"))
    secret = EncryptedField(_("secret"))
    recent = ArrayField(models.DateTimeField(), default=list, blank=True, editable=False)
    busy_until = models.DateTimeField(null=True, editable=False)
    rest_until = models.DateTimeField(_("resting until"), null=True, editable=False)
    failures = models.PositiveSmallIntegerField(_("failures in a row"), default=0, editable=False)
    last_ok = models.DateTimeField(_("last success"), null=True, editable=False)
    last_error = models.CharField(_("last error"), max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name = _("alert channel")
        verbose_name_plural = _("alert channels")

    def __str__(self) -> str:
        return f"{self.name}"


class Rule(models.Model):
    """From which level on a channel tells an event; EVERY is for the events without a rule of their own."""

    EVERY = "*"

    class Least(models.TextChoices):
        INFO = "info", _("Everything")
        WARNING = "warning", _("Warnings and worse")
        CRITICAL = "critical", _("Critical only")
        NEVER = "never", _("Nothing")

    channel = models.ForeignKey(Channel, models.CASCADE, related_name="rules")
    event = models.CharField(_("event"), max_length=40)
    least = models.CharField(_("from"), max_length=8, choices=Least)

    class Meta:
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")
        constraints = [models.UniqueConstraint(fields=["channel", "event"], name="rule_one_per_event")]

    def __str__(self) -> str:
        return f"{self.event} → {self.channel}"

    def wants(self, level: str) -> bool:
        if self.least == self.Least.NEVER:
            return False
        # A level that is not listed is the least of all.
        rank = LEVELS.index(level) if level in LEVELS else len(LEVELS) - 1
        return rank <= LEVELS.index(self.least)


class Delivery(models.Model):
    """An alert on its way through a channel. `next_try_at` is null once its fate is settled; until then there is one
    per alert and channel. Told within another's message it is DIGESTED, and `digest` is that one."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Sent")
        DIGESTED = "digested", _("Sent in a digest")
        UNKNOWN = "unknown", _("No certain answer")
        FAILED = "failed", _("Failed")

    alert = models.ForeignKey(Alert, models.CASCADE, verbose_name=_("alert"), related_name="deliveries")
    channel = models.ForeignKey(Channel, models.CASCADE, verbose_name=_("channel"), related_name="deliveries")
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    count = models.PositiveIntegerField(_("times told"), default=0)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    created = models.DateTimeField(_("created"), db_default=Now())
    next_try_at = models.DateTimeField(_("next try"), null=True, db_default=Now())
    sent_at = models.DateTimeField(_("sent"), null=True)
    outcome = models.CharField(_("outcome"), max_length=300, blank=True)
    digest = models.ForeignKey("self", models.SET_NULL, null=True, related_name="told")

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(
                fields=["alert", "channel"], condition=Q(next_try_at__isnull=False), name="delivery_one_open"
            )
        ]
        indexes = [
            models.Index(
                fields=["channel", "next_try_at"], condition=Q(next_try_at__isnull=False), name="delivery_due"
            ),
            models.Index(fields=["-created"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.alert_id} → {self.channel_id}: {self.state}"


class JobRun(models.Model):
    """When a job of the schedule last succeeded (before it ever did: when it was first expected), how it ended the last
    time, and since when it runs. One that runs longer than any job may was killed."""

    name = models.CharField(max_length=60, primary_key=True)
    succeeded = models.DateTimeField(db_default=Now())
    # Of the run that began last of those that ended.
    started = models.DateTimeField(null=True, editable=False)
    took_ms = models.PositiveBigIntegerField(null=True, editable=False)
    error = models.CharField(max_length=300, default="", db_default="", blank=True, editable=False)
    # The run that began last and has not ended, by the id of its task.
    running = models.DateTimeField(null=True, editable=False)
    running_id = models.CharField(max_length=64, default="", db_default="", blank=True, editable=False)
    # Asked for by somebody, and not begun.
    asked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("scheduled job")
        verbose_name_plural = _("scheduled jobs")

    def __str__(self) -> str:
        return f"{self.name}"


class Mail(models.Model):
    """A mail to a user. It waits while `next_try_at` is set, until `until` at most.

    What it says may hold a link that opens an account: it is encrypted, and forgotten once its fate is settled.
    """

    to = models.EmailField(_("to"), editable=False)
    subject = models.CharField(_("subject"), max_length=200, editable=False)
    text = EncryptedField(editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    until = models.DateTimeField(_("good until"), editable=False)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0, editable=False)
    next_try_at = models.DateTimeField(_("next try"), null=True, db_default=Now(), editable=False)
    sent_at = models.DateTimeField(_("sent"), null=True, editable=False)
    outcome = models.CharField(_("outcome"), max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name = _("mail to a user")
        verbose_name_plural = _("mails to users")
        indexes = [models.Index(fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="mail_due")]

    def __str__(self) -> str:
        return f"{self.subject} → {self.to}"
