"""What a model costs, by the kind of what was used."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ..kind_names import name_of
from ..kinds import KINDS
from .catalogue import Model


def kind_choices() -> list[tuple[str, str]]:
    """A callable, so that a new kind needs no migration. Words for people: llm/kind_names.py."""
    return [(kind, kind) for kind in KINDS]


class ModelPrice(models.Model):
    """What so many (`per`) of a kind cost, in units, and cost the operator (empty: not known). It holds for requests
    whose inputs together are more than `from_tokens`. A model without any row costs what its old columns say."""

    class Per(models.IntegerChoices):
        ONE = 1, "1"
        THOUSAND = 1000, "1,000"
        MILLION = 1_000_000, "1,000,000"

    # See voicehelper/changes.py.
    PRICES: ClassVar = frozenset({"price"})
    SENSITIVE: ClassVar = PRICES

    model = models.ForeignKey(Model, models.CASCADE, related_name="prices", verbose_name=_("model"))
    kind = models.CharField(_("kind"), max_length=24, choices=kind_choices)
    per = models.PositiveIntegerField(_("per"), choices=Per, default=Per.MILLION)
    price = models.DecimalField(_("price by kind"), max_digits=18, decimal_places=9)
    cost = models.DecimalField(_("own cost"), max_digits=18, decimal_places=9, null=True, blank=True)
    from_tokens = models.PositiveIntegerField(_("above so many tokens in"), default=0, db_default=0)
    variant = models.CharField(_("size/quality"), max_length=32, blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        constraints = [
            models.UniqueConstraint(fields=["model", "kind", "from_tokens", "variant"], name="model_price_once"),
            models.CheckConstraint(
                condition=Q(price__gte=0) & (Q(cost=None) | Q(cost__gte=0)), name="model_price_sane"
            ),
            models.CheckConstraint(condition=Q(per__in=(1, 1000, 1_000_000)), name="model_price_per"),
        ]

    def __str__(self) -> str:
        return name_of(self.kind, self.variant, self.from_tokens)


class ServiceTierFactor(models.Model):
    """What a provider's service tier multiplies all prices of a model by: flex 0.5, priority 2."""

    PRICES: ClassVar = frozenset({"factor"})
    SENSITIVE: ClassVar = PRICES

    model = models.ForeignKey(Model, models.CASCADE, related_name="factors", verbose_name=_("model"))
    tier = models.CharField(_("service tier"), max_length=16)
    factor = models.DecimalField(_("service tier’s factor"), max_digits=9, decimal_places=6)

    class Meta:
        verbose_name = _("service tier")
        verbose_name_plural = _("service tiers")
        constraints = [
            models.UniqueConstraint(fields=["model", "tier"], name="service_tier_once"),
            models.CheckConstraint(condition=Q(factor__gt=0), name="service_tier_sane"),
        ]

    def __str__(self) -> str:
        return self.tier
