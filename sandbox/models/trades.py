"""What payment platforms remember: merchants, trades, refunds, notices to deliver."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
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
    api_v3_key = models.CharField(max_length=32, blank=True, default="", db_default="")
    public_key_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    public_key = models.TextField(blank=True, default="", db_default="", help_text="WeChat Pay's own (v3), PEM.")
    public_key_private = models.TextField(blank=True, default="", db_default="")
    platform_certificate = models.TextField(blank=True, default="", db_default="", help_text="What else signs v3, PEM.")
    platform_key = models.TextField(blank=True, default="", db_default="")
    by_public_key_percent = models.PositiveSmallIntegerField(
        default=100, db_default=100, help_text="Of v3's notices: the rest is signed with the platform certificate."
    )
    signs_refusals = models.BooleanField(default=True, db_default=True, help_text="Whether v3 signs 4xx and 5xx.")
    by_certificate = models.BooleanField(
        default=False, db_default=False, help_text="Alipay's application is in certificate mode."
    )
    app_certificate = models.TextField(blank=True, default="", db_default="", help_text="Alipay's, PEM.")
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
    def certificate_files(self) -> tuple[str, ...]:
        """What Alipay's console lets an application download."""
        return f"appCertPublicKey_{self.app_id}.crt", "alipayCertPublicKey_RSA2.crt", "alipayRootCert.crt"

    @property
    def key_hint(self) -> str:
        """Enough of the key to tell two apart, never enough to use it."""
        # Every RSA key of ours ends in the same exponent.
        return f"····{(self.api_key or self.alipay_public_key.removesuffix('IDAQAB'))[-4:]}"


class AlipayCertificate(models.Model):
    """What Alipay signs with for a merchant in certificate mode, the newest of the genuine ones."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="certificates")
    serial = models.CharField(max_length=32, help_text="cert_sn")
    pem = models.TextField(help_text="With its issuer's.")
    private_key = models.TextField()
    genuine = models.BooleanField(default=True, help_text="Off: an impostor's.")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("merchant", "serial", name="sandbox_alipay_certificate")]

    def __str__(self) -> str:
        return self.serial


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


def yuan(fen: int) -> str:
    """Fen as yuan with two decimals."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"
