"""Accounts at messengers, and what came to them."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class Messenger(models.Model):
    """An account at a messenger: a robot of DingTalk, an SMS account, a mailbox.

    `key_id` is the robot's token, the key's id or the mail user. `variables` are those of the template, by name for
    Aliyun, by number for Tencent Cloud.
    """

    class Kind(models.TextChoices):
        DINGTALK = "dingtalk", "DingTalk"
        ALIYUN = "sms_aliyun", "Aliyun SMS"
        TENCENT = "sms_tencent", "Tencent Cloud SMS"
        SMTP = "email", "SMTP"

    kind = models.CharField(max_length=16, choices=Kind)
    key_id = models.CharField(max_length=64)
    secret = models.CharField(max_length=80)
    app_id = models.CharField(max_length=16, blank=True)
    sign_name = models.CharField(max_length=32, blank=True)
    template = models.CharField(max_length=32, blank=True)
    variables = models.JSONField(default=list)
    silenced_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("kind", "key_id", name="sandbox_messenger_key")]

    def __str__(self) -> str:
        return f"{self.kind} …{self.key_id[-4:]}"


class Arrival(models.Model):
    """A message that came to a messenger's address, taken or refused. `nonce` may be used once."""

    messenger = models.ForeignKey(Messenger, models.CASCADE, related_name="arrivals")
    to = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)
    raw = models.TextField(blank=True)
    accepted = models.BooleanField()
    answer = models.CharField(max_length=200)
    nonce = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["messenger", "-at"], name="sandbox_arrival_newest")]

    def __str__(self) -> str:
        return f"{self.messenger_id} {self.answer}"
