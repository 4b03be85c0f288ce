"""What calls came to whose own rows are gone."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class UsageSum(models.Model):
    """Sums over the deleted rows of one user, hour (its beginning, on the hour in UTC), model and operation; they and
    the rows that are still there are all of it. Hours, because days are counted in several time zones. See
    llm/retention.py."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="usage_sums", db_index=False, editable=False
    )
    hour = models.DateTimeField(editable=False)
    model_name = models.CharField(max_length=64, editable=False)
    provider = models.CharField(max_length=16, blank=True, editable=False)
    operation = models.CharField(max_length=16, editable=False)
    calls = models.BigIntegerField(editable=False)
    failures = models.BigIntegerField(editable=False)
    input_tokens = models.BigIntegerField(editable=False)
    output_tokens = models.BigIntegerField(editable=False)
    quota = models.BigIntegerField(editable=False)
    uncollected = models.BigIntegerField(editable=False)
    # Of the calls whose cost is known: what they were charged, and what they cost.
    costed = models.BigIntegerField(editable=False)
    cost = models.BigIntegerField(editable=False)

    class Meta:
        verbose_name = _("usage sum")
        verbose_name_plural = _("usage sums")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "hour", "model_name", "provider", "operation"], name="usage_sum_once"
            )
        ]
        indexes = [models.Index(fields=["provider", "hour"], name="usage_sum_of_provider")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.hour:%Y-%m-%d %H} {self.model_name}: {self.calls}"


class UsageDaySum(models.Model):
    """What the calls of one Beijing day came to, by model, provider, operation and latency (`step`, see usage_days.py):
    all there ever were up to UsageDaySumMark's row, those whose rows are gone included (their `step` is -1 where it was
    not known any more)."""

    day = models.DateField(editable=False)
    model_name = models.CharField(max_length=64, editable=False)
    provider = models.CharField(max_length=16, blank=True, editable=False)
    operation = models.CharField(max_length=16, editable=False)
    step = models.SmallIntegerField(editable=False)
    calls = models.BigIntegerField(editable=False)
    failures = models.BigIntegerField(editable=False)
    answered = models.BigIntegerField(editable=False)
    input_tokens = models.BigIntegerField(editable=False)
    output_tokens = models.BigIntegerField(editable=False)
    quota = models.BigIntegerField(editable=False)
    # Of the calls whose cost is known: what they were charged, and what they cost.
    costed = models.BigIntegerField(editable=False)
    cost = models.BigIntegerField(editable=False)

    class Meta:
        verbose_name = _("usage day sum")
        verbose_name_plural = _("usage day sums")
        constraints = [
            models.UniqueConstraint(
                fields=["day", "model_name", "provider", "operation", "step"], name="usage_day_sum_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.model_name}: {self.calls}"


class UsageDaySumMark(models.Model):
    """Up to which usage row all are in UsageDaySum. One row, or none: up to 0."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    up_to_row = models.BigIntegerField(editable=False)

    class Meta:
        verbose_name = _("usage day sum mark")
        verbose_name_plural = _("usage day sum marks")
        constraints = [models.CheckConstraint(condition=Q(id=1), name="usage_day_sum_mark_only_one")]

    def __str__(self) -> str:
        return f"{self.up_to_row}"
