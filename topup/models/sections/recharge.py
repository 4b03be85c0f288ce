"""The settings section of recharging: prices, and what the recharge page offers."""

from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from voicehelper.net.addresses import on_the_wire
from voicehelper.sections import Section
from voicehelper.wallet.worth import ListPrice

from ...pricing import Terms


def default_amount_options() -> list[int]:
    return [10, 20, 50, 100, 200, 500]


def default_amount_discounts() -> dict[str, str]:
    return {"100": "0.95"}


def default_group_ratios() -> dict[str, str]:
    return {"default": "1", "vip": "1"}


class RechargeSettings(Section):
    """Prices and what the recharge page offers. JSON columns hold decimals as text: nothing passes through a float."""

    class Display(models.TextChoices):
        CURRENCY = "currency", _("Currency")
        TOKENS = "tokens", _("Tokens")

    # See voicehelper/changes.py.
    PRICES: ClassVar = frozenset({"price", "quota_per_unit", "amount_discounts", "amount_bonuses", "group_ratios"})
    SENSITIVE: ClassVar = PRICES | {"approve_refunds_above"}

    server_address = models.URLField(_("server address"), blank=True)
    price = models.DecimalField(
        _("price"),
        max_digits=12,
        decimal_places=6,
        default=Decimal("7.3"),
        validators=[MinValueValidator(Decimal("0.000001"))],
    )
    quota_per_unit = models.BigIntegerField(
        _("quota per unit"), default=500_000, validators=[MinValueValidator(1), MaxValueValidator(10**12)]
    )
    display_type = models.CharField(_("display type"), max_length=8, choices=Display, default=Display.CURRENCY)
    amount_options = models.JSONField(_("amount options"), default=default_amount_options, blank=True)
    amount_discounts = models.JSONField(_("amount discounts"), default=default_amount_discounts, blank=True)
    amount_bonuses = models.JSONField(_("amount bonuses"), default=dict, db_default={}, blank=True)
    group_ratios = models.JSONField(_("group ratios"), default=default_group_ratios, blank=True)
    order_life_minutes = models.PositiveSmallIntegerField(
        _("order life (minutes)"), default=30, validators=[MinValueValidator(5), MaxValueValidator(120)]
    )
    confirm_above = models.DecimalField(
        _("confirm above (yuan)"),
        max_digits=12,
        decimal_places=2,
        default=Decimal("1000"),
        validators=[MinValueValidator(Decimal(0))],
    )

    approve_refunds_above = models.DecimalField(
        _("approve refunds above (yuan)"),
        max_digits=12,
        decimal_places=2,
        default=Decimal("1000"),
        db_default=Decimal("1000"),
        validators=[MinValueValidator(Decimal(0))],
    )

    merchant_name = models.CharField(_("merchant"), max_length=64, blank=True, default="", db_default="")
    support_contact = models.CharField(_("support contact"), max_length=200, blank=True, default="", db_default="")

    class Meta(Section.Meta):
        verbose_name = verbose_name_plural = _("recharge settings")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    @property
    def typed_address(self) -> str:
        """Where providers reach us, for people to read: the operator's entry, else the deployment's."""
        return (self.server_address or settings.SERVER_ADDRESS).rstrip("/")

    @property
    def address(self) -> str:
        """The same, for machines."""
        return on_the_wire(self.typed_address)

    @property
    def in_tokens(self) -> bool:
        return self.display_type == self.Display.TOKENS

    @property
    def confirm_above_fen(self) -> int:
        return int(self.confirm_above * 100)

    @property
    def approve_refunds_above_fen(self) -> int:
        return int(self.approve_refunds_above * 100)

    def terms(self) -> Terms:
        """The prices in the form pricing.py takes."""
        return Terms(
            price=self.price,
            quota_per_unit=self.quota_per_unit,
            in_tokens=self.in_tokens,
            discounts={key: Decimal(str(value)) for key, value in self.amount_discounts.items()},
            ratios={key: Decimal(str(value)) for key, value in self.group_ratios.items()},
            bonuses={key: int(value) for key, value in self.amount_bonuses.items()},
        )

    def list_price(self) -> ListPrice:
        """The same, for whoever prices calls of models or says what quota is worth."""
        ratios = {group: Fraction(ratio) for group, ratio in self.terms().ratios.items()}
        return ListPrice(self.quota_per_unit, self.price, ratios)

    def shown_amount(self, units: int) -> int:
        """Units in what users type: tokens when the display type is tokens."""
        return units * self.quota_per_unit if self.in_tokens else units

    def shown_bonuses(self) -> list[tuple[int, int]]:
        """From which amount on there is how much more, both in what users type; the smallest amount first."""
        return [
            (self.shown_amount(units), self.shown_amount(bonus))
            for units, bonus in sorted((int(units), int(bonus)) for units, bonus in self.amount_bonuses.items())
        ]
