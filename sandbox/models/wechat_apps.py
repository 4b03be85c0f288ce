"""WeChat's apps, and the codes that say who somebody is in one."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.utils import timezone


class WeChatApp(models.Model):
    """A mini program at WeChat, or a `website` app, whose visitors scan a QR code. Apps of one `open_platform` account
    see the same unionid; without one there is none.

    `allowed_address`: the only address that may ask for an access token; empty: any.
    """

    name = models.CharField(max_length=64, unique=True)
    app_id = models.CharField(max_length=32, unique=True)
    secret = models.CharField(max_length=64)
    open_platform = models.CharField(max_length=32, blank=True)
    allowed_address = models.CharField(max_length=64, blank=True)
    website = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.name} ({self.app_id})"


class ScanLogin(models.Model):
    """A QR code on somebody's screen, until it is answered on a phone and the screen has gone on."""

    WAITING: ClassVar = "waiting"
    ALLOWED: ClassVar = "allowed"
    REFUSED: ClassVar = "refused"

    app = models.ForeignKey(WeChatApp, models.CASCADE, related_name="scans")
    uuid = models.CharField(max_length=32, unique=True)
    redirect_uri = models.CharField(max_length=500)
    state = models.CharField(max_length=128, blank=True)
    person = models.CharField(max_length=64, blank=True)
    state_now = models.CharField(max_length=8, default=WAITING)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.uuid} {self.state_now}"


class LoginCode(models.Model):
    """What `wx.login` gave a person: good for one use, for one app, for five minutes."""

    app = models.ForeignKey(WeChatApp, models.CASCADE, related_name="codes")
    code = models.CharField(max_length=64, unique=True)
    person = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.person} → {self.app_id}"

    def use(self, now: datetime) -> bool:
        """False: it was used before."""
        return LoginCode.objects.filter(pk=self.pk, used_at=None).update(used_at=now) == 1


class WebCode(models.Model):
    """What a page was told of its visitor: good for one use, five minutes and one app. Only website apps learn the
    unionid."""

    code = models.CharField(max_length=64, unique=True)
    app_id = models.CharField(max_length=32)
    openid = models.CharField(max_length=64)
    unionid = models.CharField(max_length=64, blank=True, default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.openid} at {self.app_id}"

    def use(self, now: datetime) -> bool:
        """False: it was used before."""
        return WebCode.objects.filter(pk=self.pk, used_at=None).update(used_at=now) == 1
