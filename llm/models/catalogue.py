"""What can be asked for, and under which names."""

from decimal import Decimal
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .credentials import Credential, provider_choices


class Model(models.Model):
    """A model users can ask for by name, where it lives, what it can do and what it costs (units per measure)."""

    class Measure(models.TextChoices):
        TOKENS = "1k_tokens", _("1,000 tokens")
        IMAGE = "image", _("image")
        SECOND = "second", _("second of audio")
        CHARACTERS = "1k_characters", _("1,000 characters")

    class ResponsesAPI(models.TextChoices):
        """Whether it answers Responses."""

        ACCOUNT = "", _("as its account does")
        ONLY = "only", _("only that")
        NEVER = "never", _("never")

    # See voicehelper/changes.py. The cost is the price where none is set.
    PRICES: ClassVar = frozenset({"measure", "input_price", "output_price", "cost_per_1k"})
    SENSITIVE: ClassVar = PRICES

    name = models.CharField(_("name"), max_length=64, unique=True)
    credential = models.ForeignKey(
        Credential,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="models",
        verbose_name=_("credential"),
        help_text=_("Empty: any enabled credential of the provider, in order."),
    )
    provider = models.CharField(_("provider"), max_length=16, choices=provider_choices)
    provider_model_id = models.CharField(_("model id at the provider"), max_length=128)
    responses_api = models.CharField(
        _("Responses API"), max_length=8, choices=ResponsesAPI, blank=True, default="", db_default=""
    )
    capabilities = models.JSONField(_("capabilities"), default=list)
    max_tokens = models.PositiveIntegerField(_("max tokens"), default=4096)
    context_tokens = models.PositiveIntegerField(
        _("context (tokens)"), null=True, blank=True, help_text=_("What question and answer may have together.")
    )
    cost_per_1k = models.DecimalField(
        _("cost per 1k tokens"),
        max_digits=12,
        decimal_places=6,
        default=Decimal("0.1"),
        validators=[MinValueValidator(Decimal(0))],
    )
    latency_ms = models.PositiveIntegerField(_("typical latency (ms)"), default=500)
    patience_s = models.PositiveSmallIntegerField(
        _("patience (s)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3600)],
        help_text=_("How long the first sign of an answer may take. Empty: a quarter of an hour."),
    )
    quality = models.DecimalField(_("quality score"), max_digits=4, decimal_places=3, default=Decimal("0.8"))
    measure = models.CharField(_("measure"), max_length=16, choices=Measure, default=Measure.TOKENS)
    input_price = models.DecimalField(
        _("input price"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("Units per measure; empty: the cost."),
    )
    output_price = models.DecimalField(
        _("output price"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("Units per measure; empty: the cost."),
    )
    fallbacks = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        verbose_name=_("fallbacks"),
        help_text=_("Asked in order when this one fails. Empty: it is never replaced."),
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Alias(models.Model):
    """A name, or wildcard, that callers may write instead of a model's own: it leads to that model, or to the best one
    there is of a provider. The longest one that fits counts."""

    pattern = models.CharField(_("name asked for"), max_length=128, unique=True)
    model = models.ForeignKey(
        Model, models.CASCADE, null=True, blank=True, related_name="aliases", verbose_name=_("model")
    )
    provider = models.CharField(_("provider"), max_length=16, choices=provider_choices, blank=True)
    shown = models.BooleanField(_("shown in /v1/models"), default=False)

    class Meta:
        verbose_name = _("alias")
        verbose_name_plural = _("aliases")
        ordering = ["pattern"]
        constraints = [
            models.CheckConstraint(
                condition=Q(model=None) ^ Q(provider=""), name="alias_of_model_or_provider",
                violation_error_message=_("Choose a model, or a provider whose best model is meant."),
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.pattern
