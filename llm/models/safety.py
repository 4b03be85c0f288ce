"""What must not be asked or answered: how it is looked for, the operator's own words, and what was found."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField
from voicehelper.sections import Section


def moderator_choices() -> list[tuple[str, Any]]:
    """A callable, so that a new one needs no migration."""
    return [("aliyun", _("Aliyun content moderation 2.0")), ("tencent", _("Tencent Cloud text moderation"))]


class SafetySettings(Section):
    """What is checked, by whom, and what becomes of a call nobody could check; and whether what models make says so."""

    SENSITIVE: ClassVar = frozenset({"questions", "answers", "moderator", "fail_open"})

    questions = models.BooleanField(_("check questions"), default=False, db_default=False)
    answers = models.BooleanField(_("check answers"), default=False, db_default=False)
    moderator = models.CharField(
        _("moderator"), max_length=16, choices=moderator_choices, blank=True, default="", db_default=""
    )
    key_id = models.CharField(_("access key"), max_length=128, blank=True, default="", db_default="")
    key_secret = EncryptedField(_("secret key"), db_default="")
    service = models.CharField(_("service or policy"), max_length=64, blank=True, default="", db_default="")
    fail_open = models.BooleanField(_("go on while the moderator is away"), default=True, db_default=True)
    producer = models.CharField(_("who provides the service"), max_length=128, blank=True, default="", db_default="")
    label_media = models.BooleanField(_("label sound and pictures of /v1"), default=True, db_default=True)

    class Meta(Section.Meta):
        verbose_name = verbose_name_plural = _("content safety")


class SafetyWord(models.Model):
    """A word that must occur neither in questions nor in answers, however it is written."""

    word = models.CharField(_("word"), max_length=64, unique=True)
    enabled = models.BooleanField(_("enabled"), default=True, db_default=True)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("forbidden word")
        verbose_name_plural = _("forbidden words")
        ordering = ["word"]

    def __str__(self) -> str:
        return self.word


class SafetyVerdict(models.Model):
    """What was found, and where: never the text itself. `rule` is the operator's word, or the moderator's label."""

    class Direction(models.TextChoices):
        QUESTION = "question", _("Question")
        ANSWER = "answer", _("Answer")

    class Outcome(models.TextChoices):
        REFUSED = "refused", _("Refused; nothing was charged")
        CUT = "cut", _("Cut; charged as far as it came")
        PASSED = "passed", _("Not checked: the moderator was away")
        CLOSED = "closed", _("Refused: the moderator was away")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user"))
    request_id = models.CharField(_("request id"), max_length=40)
    direction = models.CharField(_("where"), max_length=8, choices=Direction)
    source = models.CharField(_("found by"), max_length=16)
    rule = models.CharField(_("rule"), max_length=100, blank=True)
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome)
    created = models.DateTimeField(_("time"), db_default=Now())

    class Meta:
        verbose_name = _("safety verdict")
        verbose_name_plural = _("safety verdicts")
        indexes = [
            models.Index(fields=["-created"], name="safety_verdict_newest"),
            models.Index(fields=["user", "-created"], name="safety_verdict_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.request_id}"
