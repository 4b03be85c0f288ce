"""What the stand-ins remember: merchants, trades, notices to deliver, WeChat's apps and codes, scripted faults."""

import json
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class GatewayName(models.TextChoices):
    """The providers that are played here."""

    WECHAT = "wechat", _("WeChat Pay")
    ALIPAY = "alipay", _("Alipay")


class Merchant(models.Model):
    """Somebody who has signed up at a provider. The keys are this stand-in's own; none opens anything real.

    WeChat Pay uses `api_key`. Alipay uses the RSA keys, each in bare base64 (PKCS#8 and SPKI): the app's public key
    verifies requests, Alipay's private key signs answers and notices; the app's private key is kept only so that
    `open_sandbox_accounts` can print the same account again.
    """

    gateway = models.CharField(max_length=16, choices=GatewayName)
    name = models.CharField(max_length=64)
    app_id = models.CharField(max_length=32)
    merchant_id = models.CharField(max_length=32)
    api_key = models.CharField(max_length=32, blank=True)
    app_private_key = models.TextField(blank=True)
    app_public_key = models.TextField(blank=True)
    alipay_private_key = models.TextField(blank=True)
    alipay_public_key = models.TextField(blank=True)
    client_certificate = models.TextField(
        blank=True, default="", db_default="", help_text="WeChat Pay's, PEM: refunds over TLS want it."
    )
    client_key = models.TextField(blank=True, default="", db_default="")
    app_secret = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="Of WeChat Pay's app: its pages ask who pays."
    )
    other_app_ids = models.JSONField(
        default=list, db_default=[], help_text="Mini programs and the like, bound to the same merchant."
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("gateway", "name", name="sandbox_merchant_name"),
            models.UniqueConstraint("gateway", "app_id", name="sandbox_merchant_app"),
            models.UniqueConstraint("gateway", "merchant_id", name="sandbox_merchant_id"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.gateway} {self.merchant_id})"

    @property
    def key_hint(self) -> str:
        """Enough of the key to tell two apart, never enough to use it."""
        # Every RSA key of ours ends in the same exponent.
        return f"····{(self.api_key or self.alipay_public_key.removesuffix('IDAQAB'))[-4:]}"


class TradeState(models.TextChoices):
    """The states of a trade. Time moves one as well: see `Trade.state_at`."""

    WAITING = "waiting", _("waiting")
    PAID = "paid", _("paid")
    CLOSED = "closed", _("closed")


class Trade(models.Model):
    """One order number of a merchant. `params` are frozen: the same number with others is refused."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="trades")
    out_trade_no = models.CharField(max_length=64)
    params = models.JSONField()
    sign_type = models.CharField(max_length=16)
    amount_fen = models.BigIntegerField()
    coupon_fen = models.BigIntegerField(default=0, help_text="What the buyer did not pay in cash.")
    title = models.CharField(max_length=256)
    notify_url = models.CharField(max_length=256, blank=True)
    code = models.CharField(max_length=128, unique=True, help_text="The content of the QR code.")
    prepay_id = models.CharField(max_length=64, blank=True)
    transaction_id = models.CharField(max_length=32, blank=True)
    state = models.CharField(max_length=16, choices=TradeState, default=TradeState.WAITING)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(help_text="Nobody can pay from this moment on.")
    scanned_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("merchant", "out_trade_no", name="sandbox_trade_number"),
            models.UniqueConstraint(
                "transaction_id", condition=~Q(transaction_id=""), name="sandbox_trade_transaction"
            ),
            models.CheckConstraint(condition=Q(amount_fen__gte=1), name="sandbox_trade_amount"),
        ]

    def __str__(self) -> str:
        return f"{self.out_trade_no} ({self.state})"

    @property
    def amount_yuan(self) -> str:
        """The amount as people and Alipay write it: 7300 fen is "73.00"."""
        return yuan(self.amount_fen)

    def state_at(self, now: datetime) -> TradeState:
        """The state, time-out included: a trade that nobody paid in time is closed."""
        if self.state == TradeState.WAITING and self.expires_at <= now:
            return TradeState.CLOSED
        return TradeState(self.state)

    @property
    def rest_fen(self) -> int:
        """What was paid and can still be given back."""
        if self.state != TradeState.PAID:
            return 0
        return self.amount_fen - sum(r.amount_fen for r in self.refunds.all() if r.state != RefundState.CLOSED)

    @property
    def state_now(self) -> TradeState:
        """`state_at` this moment, for the pages."""
        return self.state_at(timezone.now())

    def scan(self, now: datetime, *, expires_at: datetime, transaction_id: str = "") -> bool:
        """A buyer has seen the code. False: somebody else was first, or it is too late."""
        unseen = Trade.objects.filter(pk=self.pk, scanned_at=None, state=TradeState.WAITING, expires_at__gt=now)
        return unseen.update(scanned_at=now, expires_at=expires_at, transaction_id=transaction_id) == 1

    def pay(self, now: datetime, transaction_id: str, *, coupon_fen: int = 0, late: bool = False) -> bool:
        """Move to paid, once. False: paid already, or closed or expired (unless `late`)."""
        payable = Q(state=TradeState.WAITING, expires_at__gt=now)
        if late:
            payable = ~Q(state=TradeState.PAID)
        moved = Trade.objects.filter(payable, pk=self.pk).update(
            state=TradeState.PAID,
            paid_at=now,
            scanned_at=Coalesce("scanned_at", now),
            transaction_id=transaction_id,
            coupon_fen=min(coupon_fen, self.amount_fen),
        )
        return moved == 1

    def close(self, now: datetime) -> bool:
        """Move to closed. False: it was paid, closed or expired before."""
        open_ = Trade.objects.filter(pk=self.pk, state=TradeState.WAITING, expires_at__gt=now)
        return open_.update(state=TradeState.CLOSED, closed_at=now) == 1


class WebCode(models.Model):
    """What a page inside WeChat was told of its visitor: good for one use, five minutes and one app."""

    code = models.CharField(max_length=64, unique=True)
    app_id = models.CharField(max_length=32)
    openid = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.openid} at {self.app_id}"

    def use(self, now: datetime) -> bool:
        """False: it was used before."""
        return WebCode.objects.filter(pk=self.pk, used_at=None).update(used_at=now) == 1


class RefundState(models.TextChoices):
    """What became of a refund. ABNORMAL: it could not reach the buyer."""

    PROCESSING = "processing", _("processing")
    SUCCEEDED = "succeeded", _("refunded")
    CLOSED = "closed", _("closed")
    ABNORMAL = "abnormal", _("abnormal")


class Refund(models.Model):
    """Money that goes back, in one number of the merchant's. A slow one ends after so many queries, as it was told."""

    trade = models.ForeignKey(Trade, models.CASCADE, related_name="refunds")
    out_refund_no = models.CharField(max_length=64)
    refund_id = models.CharField(max_length=64, unique=True)
    amount_fen = models.BigIntegerField()
    state = models.CharField(max_length=16, choices=RefundState, default=RefundState.PROCESSING)
    reason = models.CharField(max_length=256, blank=True)
    notify_url = models.CharField(max_length=256, blank=True)
    by_call = models.BooleanField(default=True, help_text="Off: made in the console.")
    queries_left = models.PositiveIntegerField(default=0)
    ends_as = models.CharField(max_length=16, choices=RefundState, default=RefundState.SUCCEEDED)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("trade", "out_refund_no", name="sandbox_refund_number")]

    def __str__(self) -> str:
        return f"{self.out_refund_no} ({self.state})"

    @property
    def amount_yuan(self) -> str:
        return yuan(self.amount_fen)


def refunded_fen(trade: Trade) -> int:
    """What was given back of a trade."""
    done = trade.refunds.filter(state=RefundState.SUCCEEDED)
    return done.aggregate(fen=models.Sum("amount_fen"))["fen"] or 0


class Delivery(models.Model):
    """One notice, frozen as it was signed, and how often it was sent. No `next_try_at`: it is not sent by itself."""

    trade = models.ForeignKey(Trade, models.CASCADE, related_name="deliveries")
    url = models.CharField(max_length=256)
    body = models.TextField()
    faults = models.JSONField(default=dict)
    copies = models.PositiveIntegerField(default=1, help_text="Sent at once by the first try.")
    schedule = models.JSONField(help_text="Seconds between two tries.")
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    last_answer = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [
            models.Index("next_try_at", condition=Q(acknowledged_at=None), name="sandbox_delivery_due")
        ]

    def __str__(self) -> str:
        return f"{self.url} ({self.tries})"


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


def yuan(fen: int) -> str:
    """Fen as yuan with two decimals."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


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


class WeChatApp(models.Model):
    """A mini program at WeChat. Apps of one `open_platform` account see the same unionid; without one there is none.

    `allowed_address`: the only address that may ask for an access token; empty: any.
    """

    name = models.CharField(max_length=64, unique=True)
    app_id = models.CharField(max_length=32, unique=True)
    secret = models.CharField(max_length=64)
    open_platform = models.CharField(max_length=32, blank=True)
    allowed_address = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.name} ({self.app_id})"


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
