"""Reconciliation: a provider's bill of one day beside our books, and what they do not agree on."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

# No provider numbers so.
LINE_MARK = "line-"


class Reconciliation(models.Model):
    """One Beijing day of one merchant account. Comparing again is the same row, once more.

    `ours_…` is what our books hold of the bill's payments and refunds, and what by its time belongs to the day and is
    not in the bill: theirs minus ours is the sum of the differences.
    """

    class State(models.TextChoices):
        RUNNING = "running", _("Under way")
        AGREED = "agreed", _("Agrees")
        DIFFERS = "differs", _("Differs")
        NO_BILL = "no_bill", _("No usable bill")

    class Apart(models.TextChoices):
        """Whose a row is that is not ours. SHOP: the file tells no app, and no order of ours is numbered so."""

        APP = "app", _("Of other apps")
        MERCHANT = "merchant", _("Of sub-merchants and other merchants")
        SHOP = "shop", _("Of other shops")

    gateway = models.CharField(_("gateway"), max_length=16, editable=False)
    merchant_id = models.CharField(_("merchant"), max_length=32, editable=False)
    live = models.BooleanField(_("live"), editable=False)
    day = models.DateField(_("day"), editable=False, help_text=_("Of Beijing."))
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.RUNNING, editable=False)
    # Why the last try came to nothing.
    problem = models.CharField(_("problem"), max_length=500, blank=True, editable=False)

    theirs_payments = models.PositiveIntegerField(default=0, editable=False)
    theirs_payments_fen = models.BigIntegerField(default=0, editable=False)
    theirs_refunds = models.PositiveIntegerField(default=0, editable=False)
    theirs_refunds_fen = models.BigIntegerField(default=0, editable=False)
    ours_payments = models.PositiveIntegerField(default=0, editable=False)
    ours_payments_fen = models.BigIntegerField(default=0, editable=False)
    ours_refunds = models.PositiveIntegerField(default=0, editable=False)
    ours_refunds_fen = models.BigIntegerField(default=0, editable=False)
    # In yuan, negative when it was taken from us: whatever sign and precision the bill has.
    fee = models.DecimalField(_("fees"), max_digits=20, decimal_places=5, default=0, editable=False)

    # What the bill holds that is not ours, by whose it is: payments, payments_fen, refunds, refunds_fen, others.
    apart = models.JSONField(default=dict, db_default={}, editable=False)
    # Totals of the file that are not what its rows add up to, and prove nothing: label, said, found.
    remarks = models.JSONField(default=list, db_default=[], editable=False)

    runs = models.PositiveIntegerField(_("times compared"), default=0, editable=False)
    actor = models.CharField(_("asked for by"), max_length=150, editable=False)
    started = models.DateTimeField(_("started"), db_default=Now(), editable=False)
    # When a whole bill was last compared; null: never.
    compared = models.DateTimeField(_("compared"), null=True, editable=False)

    class Meta:
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        ordering = ["-day", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "merchant_id", "live", "day"], name="reconciliation_once"),
        ]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.day}"


class Difference(models.Model):
    """Something that the bill and our books say differently. Found again, it is the same row."""

    class Kind(models.TextChoices):
        NOT_CREDITED = "not_credited", _("Paid there, not credited here")
        UNKNOWN_HERE = "unknown_here", _("Paid there, no such order here")
        OTHER_ACCOUNT = "other_account", _("Agreed with another merchant account")
        AMOUNT_DIFFERS = "amount_differs", _("Another amount was paid")
        TRANSACTION_DIFFERS = "transaction_differs", _("Another transaction number")
        PAID_TWICE = "paid_twice", _("Paid a second time")
        LISTED_TWICE = "listed_twice", _("Listed twice in the bill")
        MISSING_THERE = "missing_there", _("Credited here, not in the bill")
        REFUND_UNKNOWN_HERE = "refund_unknown_here", _("Refunded there, not here")
        REFUND_UNKNOWN_ORDER = "refund_unknown_order", _("Refunded there, no such order here")
        REFUND_UNFINISHED = "refund_unfinished", _("Refund ended there, still open here")
        REFUND_AMOUNT_DIFFERS = "refund_amount_differs", _("Another amount was refunded")
        REFUND_STATE_DIFFERS = "refund_state_differs", _("The refund ended differently")
        REFUND_MISSING_THERE = "refund_missing_there", _("Refunded here, not in the bill")
        NOT_UNDERSTOOD = "not_understood", _("Not understood")
        DATED_OUTSIDE = "dated_outside", _("Dated outside of the bill’s day")
        OTHER_DAY = "other_day", _("Booked here on another day")

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        WAITING = "waiting", _("Waits for the next day’s bill")
        EXPLAINED = "explained", _("In another day’s bill")
        REPAIRED = "repaired", _("Put right")
        SETTLED = "settled", _("Noted as settled")
        VANISHED = "vanished", _("Gone when compared again")

    # What a provider's signed answer can put right: nothing is believed of the bill itself.
    REPAIRABLE = (Kind.NOT_CREDITED, Kind.PAID_TWICE, Kind.REFUND_UNKNOWN_HERE, Kind.REFUND_UNFINISHED)

    reconciliation = models.ForeignKey(
        Reconciliation,
        models.PROTECT,
        related_name="differences",
        verbose_name=_("reconciliation"),
        editable=False,
    )
    kind = models.CharField(_("kind"), max_length=24, choices=Kind, editable=False)
    order_no = models.CharField(_("order number"), max_length=64, blank=True, editable=False)
    transaction_id = models.CharField(_("transaction"), max_length=64, blank=True, editable=False)
    refund_no = models.CharField(_("refund number"), max_length=64, blank=True, editable=False)
    # Null: that side knows nothing of it.
    theirs_fen = models.BigIntegerField(_("theirs"), null=True, editable=False)
    ours_fen = models.BigIntegerField(_("ours"), null=True, editable=False)
    at = models.DateTimeField(_("time"), null=True, editable=False)
    said = models.CharField(_("platform’s word"), max_length=64, blank=True, editable=False)
    # Of an entry that was not understood: where it stood when last seen, itself, and what is wrong with it. Its
    # transaction is LINE_MARK and what tells its text from any other.
    line = models.PositiveBigIntegerField(_("line of the bill"), null=True, editable=False)
    text = models.TextField(_("text of the line"), blank=True, default="", db_default="", editable=False)
    problem = models.CharField(
        _("why it is not understood"), max_length=200, blank=True, default="", db_default="", editable=False
    )

    state = models.CharField(_("state"), max_length=12, choices=State, default=State.OPEN, editable=False)
    note = models.CharField(_("note"), max_length=300, blank=True, editable=False)
    actor = models.CharField(_("settled by"), max_length=150, blank=True, editable=False)
    ended = models.DateTimeField(_("settled"), null=True, editable=False)
    created = models.DateTimeField(_("found"), db_default=Now(), editable=False)
    # The comparison that saw it last, counted by Reconciliation.runs.
    seen = models.PositiveIntegerField(editable=False)

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["reconciliation", "kind", "order_no", "transaction_id", "refund_no"], name="difference_once"
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="difference_by_state"),
            models.Index(fields=["order_no"], name="difference_by_order"),
        ]

    def __str__(self) -> str:
        return self.refund_no or self.order_no or self.transaction_no or f"line {self.line}"

    @property
    def transaction_no(self) -> str:
        """The provider's number; empty where there is none to be read."""
        return "" if self.transaction_id.startswith(LINE_MARK) else self.transaction_id
