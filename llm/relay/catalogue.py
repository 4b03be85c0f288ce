"""What can be asked for, at what price, through which accounts: frozen values the relay works with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from ..providers.base import Account


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """A usable account and how patiently it is asked: `tries` in all, `retry_delay_s` before the second."""

    id: int
    name: str
    account: Account
    tries: int
    retry_delay_s: float


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model users can name. Prices are units per measure; scores are floats, money never is."""

    name: str
    provider: str
    provider_model_id: str
    capabilities: frozenset[str]
    max_tokens: int
    cost: float
    latency_ms: float
    quality: float
    measure: str
    input_price: Fraction
    output_price: Fraction
    fallbacks: tuple[str, ...] = ()
    credentials: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pricing:
    """The operator's numbers: quota per unit, and the ratio of each group (0 or unknown means 1)."""

    quota_per_unit: int
    ratios: Mapping[str, Fraction]

    def ratio(self, group: str) -> Fraction:
        return self.ratios.get(group) or Fraction(1)


class Tariff(NamedTuple):
    """The price of one model for one group: (input × `input` + output × `output`) / `divisor` quota."""

    input: int
    output: int
    divisor: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything as of one moment. `models` are the enabled ones that an enabled credential serves; `tariffs` are the
    prices worked out so far, by model and group."""

    models: Mapping[str, ModelSpec]
    credentials: Mapping[int, CredentialSpec]
    pricing: Pricing
    tariffs: dict[tuple[str, str], Tariff] = field(default_factory=dict)
