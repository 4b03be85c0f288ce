"""The ledger. Amounts are integer quota. An entry is written once and never changed; a trigger sees to it."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from voicehelper import clock
from voicehelper.sections import Section


class Wallet(models.Model):
    """What a user owns. `balance` includes what is held; what can be spent is `balance - held`."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="wallet", verbose_name=_("user"), editable=False
    )
    balance = models.BigIntegerField(_("balance"), default=0, editable=False)
    held = models.BigIntegerField(_("held"), default=0, editable=False)
    used = models.BigIntegerField(_("used"), default=0, editable=False, help_text=_("Spent on models, in all."))

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0) & Q(held__lte=F("balance")), name="wallet_held_in_balance"),
            models.CheckConstraint(condition=Q(used__gte=0), name="wallet_used_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.user}"

    @property
    def available(self) -> int:
        return self.balance - self.held


class Entry(models.Model):
    """One line of a wallet's statement. `ref` names what caused it; the same (kind, ref) is written once."""

    class Kind(models.TextChoices):
        TOPUP = "topup", _("Recharge")
        SPEND = "spend", _("Spending")
        REFUND = "refund", _("Refund")
        GIFT = "gift", _("Gift")
        ADJUST = "adjust", _("Adjustment")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="entries", verbose_name=_("wallet"))
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    amount = models.BigIntegerField(_("amount"))
    balance_after = models.BigIntegerField(_("balance after"))
    ref = models.CharField(_("reference"), max_length=80)
    actor = models.CharField(_("who"), max_length=150, help_text=_("The user, operator or process that caused it."))
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    created = models.DateTimeField(_("time"), db_default=Now())

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        indexes = [
            models.Index(fields=["wallet", "-id"], name="entry_statement"),
            models.Index(fields=["-created"], name="entry_newest"),
            # The few that a statement shows one by one.
            models.Index(fields=["wallet", "-created"], condition=~Q(kind="spend"), name="entry_not_spending"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["kind", "ref"], name="entry_once"),
            models.CheckConstraint(condition=~Q(amount=0), name="entry_not_zero"),
            models.CheckConstraint(condition=Q(balance_after__gte=0), name="entry_balance_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.amount:+,d} {self.ref}"


class Budget(models.Model):
    """What may be spent of a wallet in one way, such as by one key: quota in a period, calls and tokens in a minute.

    Empty is unlimited; what is spent is counted all the same, by statements.py. Periods begin at Beijing's midnight.
    """

    class Period(models.TextChoices):
        TOTAL = "total", _("in all")
        DAY = "day", _("per day")
        WEEK = "week", _("per week")
        MONTH = "month", _("per month")

    quota = models.BigIntegerField(_("quota"), null=True, blank=True, validators=[MinValueValidator(1)])
    period = models.CharField(_("period"), max_length=5, choices=Period, default=Period.TOTAL)
    rpm = models.PositiveIntegerField(_("calls per minute"), null=True, blank=True, validators=[MinValueValidator(1)])
    tpm = models.PositiveIntegerField(_("tokens per minute"), null=True, blank=True, validators=[MinValueValidator(1)])
    counted_since = models.DateTimeField(_("counted since"), db_default=Now(), editable=False)
    held = models.BigIntegerField(_("held"), default=0, editable=False)
    used = models.BigIntegerField(_("used"), default=0, editable=False)
    # Where calls or tokens are limited: those of the last minute by second, {s, c, t}.
    lately = models.JSONField(default=list, editable=False)

    class Meta:
        verbose_name = _("budget")
        verbose_name_plural = _("budgets")
        constraints = [
            models.CheckConstraint(condition=Q(used__gte=0, held__gte=0), name="budget_not_negative"),
            models.CheckConstraint(condition=Q(quota=None) | Q(quota__gt=0), name="budget_some_quota"),
        ]

    def __str__(self) -> str:
        return f"{self.used} / {self.quota or '∞'} {self.get_period_display()}"

    def counted(self, now: datetime) -> tuple[int, int]:
        """What is used, and what is held, of the period that `now` is in."""
        today = now.astimezone(clock.BEIJING).date()
        days = {"total": None, "day": 0, "week": today.weekday(), "month": today.day - 1}[self.period]
        over = days is not None and self.counted_since < clock.midnight(today - timedelta(days=days))
        return (0, 0) if over else (self.used, self.held)


class Hold(models.Model):
    """Quota set aside for something under way. Open ones count in `Wallet.held`."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        CAPTURED = "captured", _("Captured")
        RELEASED = "released", _("Released")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="holds", verbose_name=_("wallet"))
    ref = models.CharField(_("reference"), max_length=80, unique=True)
    amount = models.BigIntegerField(_("amount"))
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.OPEN)
    created = models.DateTimeField(_("created"), db_default=Now())
    expires_at = models.DateTimeField(_("expires"))
    # Of which budget's period, and how many tokens were reserved of it. Not checked, and not indexed, for speed.
    budget = models.ForeignKey(
        Budget, models.PROTECT, null=True, related_name="holds", db_constraint=False, db_index=False, editable=False
    )
    counted_since = models.DateTimeField(null=True, editable=False)
    tokens = models.BigIntegerField(null=True, editable=False)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="hold_positive")]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state="open"), name="hold_open_expiry"),
            models.Index(fields=["-created"], name="hold_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.ref} {self.amount:,d} {self.get_state_display()}"


class Adjustment(models.Model):
    """Quota that an operator gives, or takes (`amount` < 0), and why. Its entry is written when it is done."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for approval")
        DONE = "done", _("Done")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="adjustments", verbose_name=_("wallet"))
    number = models.PositiveIntegerField(_("number"), help_text=_("Counted per wallet."))
    amount = models.BigIntegerField(_("amount"))
    reason = models.CharField(_("reason"), max_length=200)
    state = models.CharField(_("state"), max_length=9, choices=State)
    requested_by = models.CharField(_("requested by"), max_length=150)
    needs_approval = models.BooleanField(_("needs approval"))
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True)
    created = models.DateTimeField(_("created"), db_default=Now())

    class Meta:
        verbose_name = _("adjustment")
        verbose_name_plural = _("adjustments")
        constraints = [
            models.UniqueConstraint(fields=["wallet", "number"], name="adjustment_counted"),
            models.CheckConstraint(condition=~Q(amount=0), name="adjustment_not_zero"),
            models.CheckConstraint(condition=~Q(reason=""), name="adjustment_says_why"),
            models.CheckConstraint(
                condition=~Q(state="done", needs_approval=True, decided_by__in=["", F("requested_by")]),
                name="adjustment_agreed",
            ),
        ]
        indexes = [models.Index(fields=["-created"], name="adjustment_newest")]

    def __str__(self) -> str:
        return f"{self.ref} {self.amount:+d}"

    @property
    def ref(self) -> str:
        """The ledger's reference."""
        return f"adjust:{self.wallet_id}:{self.number}"


class WalletSettings(Section):
    """What operators may do to wallets by themselves."""

    # See voicehelper/changes.py.
    SENSITIVE: ClassVar = frozenset({"approve_adjustments_above"})

    approve_adjustments_above = models.BigIntegerField(
        _("approve adjustments above (quota)"), default=50_000_000, validators=[MinValueValidator(0)]
    )

    class Meta(Section.Meta):
        verbose_name = verbose_name_plural = _("wallet settings")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class ClosedPeriod(models.Model):
    """Entries that nothing can be added to: those above `after_entry` and up to `up_to_entry`, at most a Beijing day
    of them (`day`, by its last entry) and at most periods.LARGEST.

    `totals` are count and sum of each kind. `digest` is the SHA-256 of the entries, `chain` that of this row and of the
    chain before it (`previous`, empty for the first): see periods.py. A trigger refuses UPDATE and DELETE.
    """

    number = models.PositiveIntegerField(_("number"), primary_key=True, editable=False)
    day = models.DateField(_("Beijing day"), editable=False)
    after_entry = models.BigIntegerField(_("after entry"), editable=False)
    up_to_entry = models.BigIntegerField(_("up to entry"), unique=True, editable=False)
    entries = models.PositiveIntegerField(_("entries"), editable=False)
    totals = models.JSONField(_("totals"), editable=False)
    digest = models.CharField(_("SHA-256 of the entries"), max_length=64, editable=False)
    previous = models.CharField(_("chain before"), max_length=64, blank=True, editable=False)
    chain = models.CharField(_("chain"), max_length=64, unique=True, editable=False)
    closed = models.DateTimeField(_("closed"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("closed period")
        verbose_name_plural = _("closed periods")

    def __str__(self) -> str:
        return f"#{self.number} {self.day}"


class Checkpoint(models.Model):
    """What a wallet's entries of all closed periods add up to, and the spending among them: where the incremental audit
    goes on from. Written when a period is closed that has entries of it; the full audit adds up again."""

    wallet = models.OneToOneField(Wallet, models.PROTECT, primary_key=True, related_name="checkpoint")
    balance = models.BigIntegerField()
    used = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.wallet_id}: {self.balance}"


class DaySum(models.Model):
    """What a wallet's entries of one Beijing day and kind came to; spending also by model (`model`, else empty).
    Entries above DaySumMark's are not in it yet: see day_sums.py. `kind` is an entry's, and "code" of gifts by a
    code."""

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="day_sums", db_index=False, editable=False)
    day = models.DateField(editable=False)
    kind = models.CharField(max_length=8, editable=False)
    model = models.CharField(max_length=200, blank=True, editable=False)
    entries = models.BigIntegerField(editable=False)
    amount = models.BigIntegerField(editable=False)

    class Meta:
        verbose_name = _("day sum")
        verbose_name_plural = _("day sums")
        indexes = [models.Index(fields=["kind", "day"], name="day_sum_by_day")]
        constraints = [models.UniqueConstraint(fields=["wallet", "day", "kind", "model"], name="day_sum_once")]

    def __str__(self) -> str:
        return f"{self.wallet_id} {self.day} {self.kind} {self.model}: {self.amount:+d}"


class DaySumMark(models.Model):
    """Up to which entry all are in DaySum. One row, or none: up to 0."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    up_to_entry = models.BigIntegerField(editable=False)

    class Meta:
        verbose_name = _("day sum mark")
        verbose_name_plural = _("day sum marks")
        constraints = [models.CheckConstraint(condition=Q(id=1), name="day_sum_mark_only_one")]

    def __str__(self) -> str:
        return f"{self.up_to_entry}"


class AuditRun(models.Model):
    """One run of the audit: how far it read, and what it found."""

    started = models.DateTimeField(_("started"), db_default=Now())
    finished = models.DateTimeField(_("finished"), null=True)
    full = models.BooleanField(_("full"))
    up_to_entry = models.BigIntegerField(_("up to entry"), default=0)
    # Up to where no entry could appear any more when it looked; 0: not known. And the chain's end after it.
    settled_entry = models.BigIntegerField(default=0, db_default=0, editable=False)
    chain = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    findings = models.JSONField(_("findings"), default=list)

    class Meta:
        verbose_name = _("audit run")
        verbose_name_plural = _("audit runs")
        indexes = [models.Index(fields=["-started"], name="audit_newest")]

    def __str__(self) -> str:
        return f"{localtime(self.started):%Y-%m-%d %H:%M} {len(self.findings)}"


class PriceChange(models.Model):
    """What a change of prices replaced: field, line of a table in it (or ""), old value, new value, of each. A field is
    the changed row's own, or of a table of rows that are its prices."""

    entry = models.OneToOneField(
        "admin.LogEntry", models.CASCADE, related_name="price_change", verbose_name=_("log entry"), editable=False
    )
    values = models.JSONField(_("values"), encoder=DjangoJSONEncoder, editable=False)
    taken_back = models.DateTimeField(_("taken back"), null=True, editable=False)

    class Meta:
        verbose_name = _("price change")
        verbose_name_plural = _("price changes")

    def __str__(self) -> str:
        return f"{self.entry}"
