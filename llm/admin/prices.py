"""What a model's prices mean in quota and yuan, by the one function that charges (billing.tariff)."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.utils.translation import gettext as _

from voicehelper.admin.effects import Price
from voicehelper.wallet.worth import in_yuan, list_price

from ..models import Model
from ..relay.billing import Amount, charge, tariff
from ..relay.catalogue import Pricing
from ..relay.snapshot import pricing, spec_of

GROUP = "default"
# One measure in, and one out; None where a model has no such price.
_ONE: dict[str, tuple[Amount | None, Amount | None]] = {
    Model.Measure.TOKENS: (Amount(1000, 0), Amount(0, 1000)),
    Model.Measure.CHARACTERS: (Amount(1000, 0), None),
    Model.Measure.SECOND: (Amount(1, 0), None),
    Model.Measure.IMAGE: (None, Amount(0, 1)),
}


@dataclass(frozen=True)
class Example:
    """A call and what the default group pays for it, in quota and about how many yuan."""

    what: str
    quota: str
    yuan: str


@dataclass(frozen=True)
class PriceList:
    """The operator's numbers; read once per page."""

    pricing: Pricing
    yuan_per_quota: Fraction

    @classmethod
    def now(cls) -> "PriceList":
        return cls(pricing(), list_price().yuan_per_quota)

    def rates(self, model: Model) -> list[Fraction]:
        """Exact quota for one measure: in and out for tokens, else the only one."""
        price = tariff(spec_of(vars(model)), self.pricing, GROUP)
        return [
            Fraction(one.input * price.input + one.output * price.output, price.divisor)
            for one in _ONE[model.measure]
            if one is not None
        ]

    def by_label(self, model: Model) -> dict[str, Price]:
        """The rates with their names, for who compares two price lists of a model."""
        measure, names = model.get_measure_display(), (_("Input"), _("Output"))
        kinds = [name for name, one in zip(names, _ONE[model.measure], strict=True) if one is not None]
        quota = _("%(quota)s quota")
        return {
            f"{kind}, {measure}": Price(f"{quota % {'quota': shown(rate)}} {self.yuan(rate)}", rate)
            for kind, rate in zip(kinds, self.rates(model), strict=True)
        }

    def yuan(self, quota: Fraction | int) -> str:
        """What quota costs at the list price: "≈ ¥0.73"."""
        return f"≈ ¥{in_yuan(quota, self.yuan_per_quota)}"

    def example(self, model: Model) -> Example:
        """What a call of a size people can imagine costs."""
        used, what = {
            Model.Measure.TOKENS: (Amount(1000, 1000), _("1,000 tokens in and 1,000 out")),
            Model.Measure.CHARACTERS: (Amount(1000, 0), _("1,000 characters")),
            Model.Measure.SECOND: (Amount(60, 0), _("A minute of audio")),
            Model.Measure.IMAGE: (Amount(0, 1), _("One picture")),
        }[Model.Measure(model.measure)]
        quota = charge(tariff(spec_of(vars(model)), self.pricing, GROUP), used)
        return Example(what, f"{quota:,}", self.yuan(quota))


def shown(rate: Fraction) -> str:
    """A rate with as many decimals as it needs, two at the most: "50,000", "0.75"."""
    text = f"{Decimal(round(rate * 100)).scaleb(-2):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
