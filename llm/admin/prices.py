"""What a model's prices mean in quota and yuan, by the one function that charges (billing.tariff)."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.utils.translation import gettext as _

from voicehelper.admin.effects import ShownPrice
from voicehelper.numbers import grouped, percent
from voicehelper.wallet.worth import in_yuan, list_price

from ..kind_names import name_of
from ..models import Model
from ..prices import spec_of_model
from ..relay.billing import Amount, amount, charge, cost, rates_of, tariff
from ..relay.catalogue import ModelSpec, Pricing
from ..relay.snapshot import pricing

GROUP = "default"
# One measure in, and one out, by measure.
_ONE: dict[str, tuple[Amount, ...]] = {
    Model.Measure.TOKENS: (amount(input=1000), amount(output=1000)),
    Model.Measure.CHARACTERS: (amount(character=1000),),
    Model.Measure.SECOND: (amount(second=1),),
    Model.Measure.IMAGE: (amount(image=1),),
}


@dataclass(frozen=True)
class Example:
    """A call and what the default group pays for it, in quota and about how many yuan; what it costs the operator and
    what remains, both empty when no cost is known."""

    what: str
    quota: str
    yuan: str
    cost: str = ""
    margin: str = ""


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
        spec = spec_of_model(model)
        price = tariff(spec, self.pricing, GROUP)
        return [
            Fraction(sum(number * price.rates.get(kind, 0) for kind, number in one.kinds.items()), price.divisor)
            for one in _ONE[spec.prices.measure]
        ]

    def by_label(self, model: ModelSpec) -> dict[str, ShownPrice]:
        """Every price with its name, and the service tiers' factors, for who compares two price lists of a model."""
        quota = _("%(quota)s quota")
        found = {
            f"{name_of(rate.kind, rate.variant, rate.from_tokens)}, {grouped(rate.per)}": ShownPrice(
                f"{quota % {'quota': shown(rate.quota)}} {self.yuan(rate.quota)}", rate.quota
            )
            for rate in rates_of(model, self.pricing, GROUP)
        }
        return found | {tier: ShownPrice(f"× {shown(each)}", each) for tier, each in model.prices.factors.items()}

    def yuan(self, quota: Fraction | int) -> str:
        """What quota costs at the list price: "≈ ¥0.73"."""
        return f"≈ ¥{in_yuan(quota, self.yuan_per_quota)}"

    def example(self, model: ModelSpec) -> Example:
        """What a call of a size people can imagine costs."""
        used, what = _imagined(model)
        price = tariff(model, self.pricing, GROUP)
        quota, own = charge(price, used), cost(price, used)
        example = Example(what, f"{quota:,}", self.yuan(quota))
        if own is None:
            return example
        return Example(example.what, example.quota, example.yuan, self.yuan(own), margin(quota, own))


def margin(quota: int, own: int) -> str:
    """What remains of a charge after its cost: "33.3%", "-10.0%"."""
    return percent(quota - own, quota) if own <= quota else f"-{percent(own - quota, quota)}"


def _imagined(model: ModelSpec) -> tuple[Amount, str]:
    match model.prices.measure:
        case Model.Measure.CHARACTERS:
            return amount(character=1000), _("1,000 characters")
        case Model.Measure.SECOND:
            return amount(second=60), _("A minute of audio")
        case Model.Measure.IMAGE:
            return amount(image=1), _("One picture")
    if "cache_read" in model.prices.kinds:
        return amount(input=1000, output=500, cache_read=10_000), _("1,000 tokens in, 500 out, 10,000 cached")
    return amount(input=1000, output=1000), _("1,000 tokens in and 1,000 out")


def shown(rate: Fraction) -> str:
    """A rate with as many decimals as it needs, two at the most: "50,000", "0.75"."""
    text = f"{Decimal(round(rate * 100)).scaleb(-2):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
