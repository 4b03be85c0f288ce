"""A refund: money that goes back, the quota it takes along, and the only moves its state can make."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .orders import Order
from .surplus import SurplusPayment


class Refund(models.Model):
    """A full or partial refund of one order. The provider knows it by `refund_no`, once and for ever, the ledger by
    `ref`. `quota_due` is its share of what the order credited, `quota` what was there to be taken. One of a `surplus`
    payment is of that alone: it takes no quota, and the order stays as it is."""

    class State(models.TextChoices):
        REQUESTED = "requested", _("Requested")
        SUBMITTED = "submitted", _("At the payment platform")
        UNKNOWN = "unknown", _("Outcome unknown")
        SUCCEEDED = "succeeded", _("Refunded")
        FAILED = "failed", _("Failed")

    class Source(models.TextChoices):
        ADMIN = "admin", _("Made here")
        CONSOLE = "console", _("Made at the payment platform")

    # The table of moves. Only what was never sent may fail from requested.
    MOVES: dict[str, frozenset[str]] = {
        State.REQUESTED: frozenset({State.SUBMITTED, State.FAILED}),
        State.SUBMITTED: frozenset({State.UNKNOWN, State.SUCCEEDED, State.FAILED}),
        State.UNKNOWN: frozenset({State.SUBMITTED}),
        State.SUCCEEDED: frozenset(),
        State.FAILED: frozenset(),
    }
    OPEN = (State.REQUESTED, State.SUBMITTED, State.UNKNOWN)

    order = models.ForeignKey(Order, models.PROTECT, related_name="refunds", verbose_name=_("order"), editable=False)
    surplus = models.ForeignKey(
        SurplusPayment,
        models.PROTECT,
        null=True,
        related_name="refunds",
        verbose_name=_("surplus payment"),
        editable=False,
    )
    number = models.PositiveSmallIntegerField(_("number"), editable=False, help_text=_("Counted per order."))
    ref = models.CharField(_("reference"), max_length=64, unique=True, editable=False)
    refund_no = models.CharField(_("refund number"), max_length=64, editable=False)
    refund_id = models.CharField(_("platform’s refund number"), max_length=64, blank=True, editable=False)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.REQUESTED, editable=False)
    source = models.CharField(_("source"), max_length=8, choices=Source, default=Source.ADMIN, editable=False)

    amount_fen = models.BigIntegerField(_("money (fen)"), editable=False)
    quota_due = models.BigIntegerField(_("quota to take back"), editable=False)
    quota = models.BigIntegerField(_("quota taken back"), editable=False)
    reason = models.CharField(_("reason"), max_length=200, blank=True, editable=False)
    requested_by = models.CharField(_("requested by"), max_length=150, editable=False)
    needs_approval = models.BooleanField(_("needs approval"), default=False, editable=False)
    approved_by = models.CharField(_("approved by"), max_length=150, blank=True, editable=False)

    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    submitted_at = models.DateTimeField(_("submitted"), null=True, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, editable=False)
    succeeded_at = models.DateTimeField(
        _("refunded at"), null=True, editable=False, help_text=_("By the provider's clock.")
    )
    said = models.CharField(_("platform’s last word"), max_length=200, blank=True, editable=False)
    review = models.CharField(_("needs review"), max_length=200, blank=True, editable=False)
    # When the sweep asks next; nobody asks while it is null.
    next_ask_at = models.DateTimeField(null=True, editable=False)
    asked = models.PositiveIntegerField(_("times asked"), default=0, editable=False)

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="refund_counted"),
            models.UniqueConstraint(
                fields=["order", "refund_no"], condition=~Q(state="failed"), name="refund_number_once"
            ),
            models.CheckConstraint(condition=Q(amount_fen__gt=0), name="refund_positive"),
            models.CheckConstraint(condition=Q(quota__gte=0, quota__lte=F("quota_due")), name="refund_quota_in_due"),
            models.CheckConstraint(
                condition=Q(state__in=["requested", "submitted", "unknown"], finished_at=None)
                | Q(state__in=["succeeded", "failed"], finished_at__isnull=False),
                name="refund_finished_iff_final",
            ),
        ]
        indexes = [
            models.Index(fields=["next_ask_at"], condition=Q(next_ask_at__isnull=False), name="refund_to_ask"),
            models.Index(fields=["state", "-id"], name="refund_by_state"),
            models.Index(fields=["-created"], name="refund_by_day"),
            models.Index(fields=["refund_no"], name="refund_by_number"),
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="refund_finished"),
        ]

    def __str__(self) -> str:
        return self.refund_no

    @property
    def transaction_id(self) -> str:
        """Which of the order's payments it is of; empty: the one that credited it."""
        return self.surplus.transaction_id if self.surplus else ""

    @property
    def shortfall(self) -> int:
        """Quota that should have been taken back and had been spent."""
        return self.quota_due - self.quota

    @property
    def waits_for_approval(self) -> bool:
        return self.needs_approval and not self.approved_by

    def move(self, to: State, **facts: Any) -> bool:
        """Compare-and-swap from the state this instance was read in, if the table allows it, writing `facts` as well.

        False: not allowed, or somebody else was first; the row is then as they left it. The instance follows the row
        only in its state.
        """
        if to not in self.MOVES[self.state]:
            return False
        if Refund.objects.filter(pk=self.pk, state=self.state).update(state=to, **facts) != 1:
            return False
        self.state = to
        return True
