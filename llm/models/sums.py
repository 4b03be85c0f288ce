"""What calls came to whose own rows are gone."""

from django.conf import settings
from django.db import models
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
