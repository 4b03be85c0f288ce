"""What was used, call by call."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Usage(models.Model):
    """One billed call. `quota` is what was charged; `usage_source` says how the tokens are known. `kinds` are
    the counts beside plain input and output (billing.Amount.noted), in both sums; `cost` is the operator’s own."""

    class Source(models.TextChoices):
        PROVIDER = "provider", _("Reported by the provider")
        CUMULATIVE = "cumulative", _("Last cumulative report before the end")
        ESTIMATE = "estimate", _("Estimated")
        NONE = "none", _("Nothing was used")

    class Outcome(models.TextChoices):
        OK = "ok", _("Answered")
        ABANDONED = "abandoned", _("Client hung up")
        FAILED = "failed", _("Failed")

    request_id = models.CharField(_("request id"), max_length=40, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="usage", verbose_name=_("user"))
    model_name = models.CharField(_("model"), max_length=64)
    asked_model = models.CharField(_("model asked for"), max_length=64, blank=True)
    provider = models.CharField(_("provider"), max_length=16, blank=True)
    operation = models.CharField(_("operation"), max_length=16)
    input_tokens = models.BigIntegerField(_("input"), default=0)
    output_tokens = models.BigIntegerField(_("output"), default=0)
    quota = models.BigIntegerField(_("quota"), default=0)
    uncollected = models.BigIntegerField(
        _("not collected"), default=0, help_text=_("Used beyond what the wallet covered.")
    )
    kinds = models.JSONField(_("kinds"), default=dict, db_default={})
    service_tier = models.CharField(_("service tier"), max_length=16, blank=True, default="", db_default="")
    cost = models.BigIntegerField(_("own cost"), null=True, help_text=_("In quota; empty: not known."))
    usage_source = models.CharField(_("usage known from"), max_length=12, choices=Source)
    outcome = models.CharField(_("outcome"), max_length=12, choices=Outcome)
    latency_ms = models.PositiveIntegerField(_("latency (ms)"), default=0)
    first_token_ms = models.PositiveIntegerField(_("first token (ms)"), null=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=1)
    streamed = models.BooleanField(_("streamed"), default=False)
    error = models.CharField(_("error"), max_length=500, blank=True)
    created = models.DateTimeField(_("time"), db_default=Now())

    class Meta:
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        indexes = [
            models.Index(fields=["user", "-id"], name="usage_of_user"),
            models.Index(fields=["-created"], name="usage_newest"),
            models.Index(fields=["model_name", "-id"], name="usage_of_model"),
            # Calls that went well are most of them, and found without an index of their own.
            models.Index(fields=["outcome", "-created"], condition=~Q(outcome="ok"), name="usage_unwell"),
        ]
        constraints = [models.CheckConstraint(condition=Q(quota__gte=0, uncollected__gte=0), name="usage_not_negative")]

    def __str__(self) -> str:
        return self.request_id
