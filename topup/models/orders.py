"""An order: what was agreed, frozen, and the only moves its state can make."""

import re
import secrets
from datetime import datetime
from enum import IntEnum
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from voicehelper import rows
from voicehelper.clock import BEIJING

from .accounts import MerchantAccount

MANUAL_MARK = "manual-"
# Reasons for a review that are known beforehand; whoever shows one translates it.
GIVEN_BACK = gettext_noop("Paid and refunded at the provider, never credited here.")
GIVEN_BACK_SOME = gettext_noop("Paid and refunded at the provider; how much of it is being asked.")
KEYLESS = gettext_noop(
    "Nobody can be asked: the keys of its merchant account are not known any more. Enter them in the settings again."
)


class Lane(IntEnum):
    """The sweep's queues, so that none of these keeps another waiting."""

    # Hardly asked about yet.
    FRESH = 0
    AGEING = 1
    # Ended here, and still payable there.
    WATCHED = 2


LANE = Case(
    When(asked__lt=5, state__in=["created", "pending"], then=Value(Lane.FRESH.value)),
    When(state__in=["created", "pending"], then=Value(Lane.AGEING.value)),
    default=Value(Lane.WATCHED.value),
)


class Order(models.Model):
    """A recharge. Money in fen, credit in quota; everything agreed is a snapshot that later settings cannot change."""

    class State(models.TextChoices):
        CREATED = "created", _("Created")
        PENDING = "pending", _("Waiting for payment")
        PAID = "paid", _("Paid")
        PARTLY_REFUNDED = "partly_refunded", _("Partly refunded")
        REFUNDED = "refunded", _("Refunded")
        CLOSED = "closed", _("Closed")
        FAILED = "failed", _("Failed")

    # The table of moves. A payment can always arrive late, so closed and failed still lead to paid.
    MOVES: dict[str, frozenset[str]] = {
        State.CREATED: frozenset({State.PENDING, State.PAID, State.FAILED, State.CLOSED}),
        State.PENDING: frozenset({State.PAID, State.CLOSED}),
        State.PAID: frozenset({State.PARTLY_REFUNDED, State.REFUNDED}),
        State.PARTLY_REFUNDED: frozenset({State.REFUNDED}),
        State.REFUNDED: frozenset(),
        State.CLOSED: frozenset({State.PAID}),
        State.FAILED: frozenset({State.PAID}),
    }
    OPEN = (State.CREATED, State.PENDING)
    CREDITED = (State.PAID, State.PARTLY_REFUNDED, State.REFUNDED)

    order_no = models.CharField(_("order number"), max_length=32, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders", verbose_name=_("user"), editable=False
    )
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.CREATED, editable=False)

    # For life. Null: placed by code that knew no accounts; then it is the one of gateway, merchant, mode and app.
    account = models.ForeignKey(
        MerchantAccount,
        models.PROTECT,
        null=True,
        related_name="orders",
        verbose_name=_("merchant account"),
        db_index=False,
        editable=False,
    )
    gateway = models.CharField(_("gateway"), max_length=16, editable=False)
    trade_type = models.CharField(_("trade type"), max_length=16, editable=False)
    app_id = models.CharField(_("app id"), max_length=32, editable=False)
    merchant_id = models.CharField(_("merchant"), max_length=32, editable=False)
    live = models.BooleanField(_("live"), editable=False, help_text=_("Off: paid to a sandbox."))
    sign_type = models.CharField(max_length=16, editable=False)

    amount = models.BigIntegerField(_("amount"), editable=False, help_text=_("Units, or tokens, as the user asked."))
    amount_fen = models.BigIntegerField(_("money (fen)"), editable=False)
    quota = models.BigIntegerField(_("quota"), editable=False, help_text=_("All that is credited, the bonus included."))
    bonus_quota = models.BigIntegerField(_("bonus"), default=0, db_default=0, editable=False)
    unit_price = models.DecimalField(_("unit price"), max_digits=16, decimal_places=6, editable=False)
    ratio = models.DecimalField(_("group ratio"), max_digits=16, decimal_places=6, editable=False)
    discount = models.DecimalField(_("discount"), max_digits=16, decimal_places=6, editable=False)
    quota_per_unit = models.BigIntegerField(_("quota per unit"), editable=False)
    in_tokens = models.BooleanField(_("amount is tokens"), editable=False)

    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    expires_at = models.DateTimeField(_("expires"), editable=False)
    pay_url = models.CharField(_("QR content"), max_length=4096, blank=True, editable=False)
    # Of a payment inside WeChat: what the app is handed, and whose WeChat it is.
    prepay_id = models.CharField(max_length=64, blank=True, editable=False, default="", db_default="")
    openid = models.CharField(max_length=128, blank=True, editable=False, default="", db_default="")
    # An address for a browser is soon stale: then this is when the latest was made.
    offered_at = models.DateTimeField(_("shown"), null=True, editable=False)
    paid_at = models.DateTimeField(_("paid"), null=True, editable=False, help_text=_("By the provider's clock."))
    credited_at = models.DateTimeField(_("credited"), null=True, editable=False)
    closed_at = models.DateTimeField(_("closed"), null=True, editable=False)
    # When the buyer gave it up; it ends once the provider has said that nobody can pay it.
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, editable=False)
    credited_by = models.CharField(_("credited through"), max_length=16, blank=True, editable=False)
    transaction_id = models.CharField(_("transaction"), max_length=64, null=True, editable=False)
    failure = models.CharField(_("failure"), max_length=200, blank=True, editable=False)
    paid_late = models.BooleanField(_("paid late"), default=False, editable=False)
    review = models.CharField(_("needs review"), max_length=200, blank=True, editable=False)
    # What is known to have gone back at the provider before anything was credited: fen for certain, the refunds'
    # numbers (between spaces) as far as somebody told them, and who was the first to say so.
    refunded_fen = models.BigIntegerField(_("given back before (fen)"), default=0, db_default=0, editable=False)
    refund_numbers = models.TextField(blank=True, default="", db_default="", editable=False)
    refund_told_by = models.CharField(max_length=16, blank=True, default="", db_default="", editable=False)

    idempotency_key = models.CharField(max_length=128, null=True, editable=False)
    client_ip = models.GenericIPAddressField(_("client address"), editable=False)
    # When the sweep asks the provider next; nobody asks any more when it is null.
    next_ask_at = models.DateTimeField(null=True, editable=False)
    asked = models.PositiveIntegerField(_("times asked"), default=0, editable=False)
    # When an open page last made us ask; the brake on polling.
    polled_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "transaction_id"], name="order_transaction_once"),
            models.UniqueConstraint(fields=["user", "idempotency_key"], name="order_idempotency"),
            models.CheckConstraint(condition=Q(amount_fen__gt=0, quota__gt=0, amount__gt=0), name="order_positive"),
            models.CheckConstraint(
                condition=Q(bonus_quota__gte=0, bonus_quota__lt=F("quota")), name="order_bonus_in_quota"
            ),
            models.CheckConstraint(condition=Q(refunded_fen__gte=0), name="order_given_back"),
            models.CheckConstraint(
                condition=Q(state__in=["created", "pending", "closed", "failed"], credited_at=None)
                | Q(
                    state__in=["paid", "partly_refunded", "refunded"],
                    credited_at__isnull=False,
                    transaction_id__isnull=False,
                ),
                name="order_credited_iff_paid",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="order_history"),
            models.Index(
                "gateway", LANE, "next_ask_at", condition=Q(next_ask_at__isnull=False), name="order_to_ask_in_lane"
            ),
            models.Index(fields=["state", "-created"], name="order_by_state"),
            models.Index(fields=["-created"], name="order_by_day"),
            models.Index(fields=["account", "-created"], name="order_by_account"),
            models.Index(fields=["amount_fen", "-created"], name="order_by_amount"),
            models.Index(fields=["credited_at"], condition=Q(credited_at__isnull=False), name="order_income"),
            models.Index(fields=["paid_at"], condition=Q(paid_at__isnull=False), name="order_by_payment"),
            models.Index(fields=["-created"], condition=~Q(review=""), name="order_to_review"),
            models.Index(fields=["-created"], condition=Q(credited_by="manual"), name="order_by_hand"),
            models.Index(fields=["-created"], condition=Q(paid_late=True), name="order_paid_late"),
            models.Index(fields=["-created"], condition=Q(live=False), name="order_in_sandbox"),
            models.Index(fields=["-created"], condition=~Q(refund_told_by=""), name="order_given_back_before"),
        ]

    def __str__(self) -> str:
        return self.order_no

    @property
    def manual_mark(self) -> str:
        """What stands for the transaction of an order that was credited without one. No provider numbers so."""
        return f"{MANUAL_MARK}{self.order_no}"

    @property
    def without_proof(self) -> bool:
        """Completed by hand, and no payment of it was seen since."""
        return self.transaction_id == self.manual_mark

    @property
    def refunds_known(self) -> tuple[int, str]:
        """What is kept of refunds from before the credit. A credit rests on it, so it is compared and swapped too."""
        return self.refunded_fen, self.refund_numbers

    @property
    def given_back(self) -> bool:
        """All of it went back at the provider: there is nothing to credit."""
        return self.refunded_fen >= self.amount_fen

    @property
    def is_offered(self) -> bool:
        """Whether the provider has said how to pay."""
        return bool(self.pay_url or self.prepay_id)

    @property
    def is_payable(self) -> bool:
        """Whether its buyer may still be helped to pay it."""
        return self.state == self.State.PENDING and self.cancelled_at is None

    # What `new_number` makes; older orders may be numbered otherwise.
    NUMBER: ClassVar = re.compile(r"(?i)(?<![0-9a-z])20[0-9]{6}[0-9a-f]{24}(?![0-9a-z])")

    @staticmethod
    def new_number(now: datetime) -> str:
        """The Beijing date and 24 random hex digits: 32 characters that both providers accept, 96 bits unguessable."""
        return f"{now.astimezone(BEIJING):%Y%m%d}{secrets.token_hex(12)}"

    def move(self, to: State, **facts: Any) -> bool:
        """Compare-and-swap from the state this instance was read in, if the table allows it, writing `facts` as well.

        What was known of refunds then must be all that is known. False: not allowed, or somebody else was first; the
        row is then as they left it. The instance is not changed.
        """
        if to not in self.MOVES[self.state]:
            return False
        known = {"refunded_fen": self.refunded_fen, "refund_numbers": self.refund_numbers}
        return rows.change(Order, {"id": self.pk, "state": self.state, **known}, **facts, state=to)

    def moved_to(self, state: State, **facts: Any) -> None:
        """What `move` has written, for an instance that goes on being used."""
        self.state = state
        for name, value in facts.items():
            setattr(self, name, value)
