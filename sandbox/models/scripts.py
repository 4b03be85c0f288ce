"""Scripted faults, of whoever is played here."""

import json

from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .trades import GatewayName


class Script(models.Model):
    """A fault that happens `times` times, to the next calls or payments that fit. `out_trade_no` narrows it to one."""

    class Speaker(models.TextChoices):
        """Who may be told to misbehave."""

        WECHAT = GatewayName.WECHAT.value, GatewayName.WECHAT.label
        ALIPAY = GatewayName.ALIPAY.value, GatewayName.ALIPAY.label
        WEIXIN = "weixin", _("WeChat sign-in")

    gateway = models.CharField(max_length=16, choices=Speaker)
    operation = models.CharField(max_length=16)
    fault = models.CharField(max_length=32)
    parameters = models.JSONField(default=dict)
    out_trade_no = models.CharField(max_length=64, blank=True)
    times = models.PositiveIntegerField(default=1)
    used = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.gateway} {self.operation}: {self.fault} ({self.used}/{self.times})"

    @property
    def parameters_json(self) -> str:
        """The parameters as they were asked for, for the page."""
        return json.dumps(self.parameters, ensure_ascii=False) if self.parameters else "—"

    def take(self) -> bool:
        """Use it once. False: it is used up."""
        return Script.objects.filter(pk=self.pk, used__lt=F("times")).update(used=F("used") + 1) == 1


class UpstreamScript(models.Model):
    """A fault of a model provider that happens to the next `times` calls; empty `provider` or `model`: to any."""

    provider = models.CharField(max_length=16, blank=True)
    model = models.CharField(max_length=128, blank=True)
    fault = models.CharField(max_length=32)
    number = models.FloatField(default=0)
    times = models.PositiveIntegerField(default=1)
    used = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.provider or 'any'} {self.model or 'any'}: {self.fault} ({self.used}/{self.times})"

    def take(self) -> bool:
        """Use it once. False: it is used up."""
        return UpstreamScript.objects.filter(pk=self.pk, used__lt=F("times")).update(used=F("used") + 1) == 1
