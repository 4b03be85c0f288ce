"""What can be asked for, at what price, through which accounts: frozen values the relay works with."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from ..kinds import FALLBACKS, KINDS
from ..providers.base import Account

# How long the first sign of an answer may take, unless a model says.
PATIENCE_S = 900
# Whether a model answers Responses, where it is not as its account does.
RESPONSES_ONLY, RESPONSES_NEVER = "only", "never"
# What a provider calls its usual service; an answer that does not say is of it.
USUAL_TIERS = frozenset({"", "auto", "default", "standard", "standard_only"})
# Served when there is room, for half the price: without a factor the operator earns on it.
CHEAPER_TIERS = frozenset({"flex", "batch"})
# What a price was told for before there were kinds: the measure of each kind that is no token.
_MEASURES = {"image": "image", "second": "second", "character": "1k_characters"}


@lru_cache(10_000)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name is one of them; `*` stands for anything."""
    return any(_compiled(pattern).fullmatch(name) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """A usable account and how patiently it is asked: `tries` in all, `retry_delay_s` before the second. Of several the
    highest `priority` comes first; those of one share conversations by `weight`."""

    id: int
    name: str
    account: Account
    tries: int
    retry_delay_s: float
    priority: int = 0
    weight: int = 1


class Price(NamedTuple):
    """What one of a kind costs in units, and what it costs the operator (None: not known). It holds for requests whose
    inputs together are more than `from_tokens`; `variant` is a picture's size and quality ("1024x1024/hd")."""

    kind: str
    each: Fraction
    cost: Fraction | None = None
    from_tokens: int = 0
    variant: str = ""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """A model's prices, and the factors of its service tiers. `limits` are where other prices begin, ascending."""

    rows: tuple[Price, ...]
    factors: Mapping[str, Fraction]
    limits: tuple[int, ...]
    variants: frozenset[str]
    kinds: frozenset[str]

    @classmethod
    def of(cls, rows: Iterable[Price], factors: Mapping[str, Fraction] | None = None) -> "PriceTable":
        rows = tuple(rows)
        return cls(
            rows,
            factors or {},
            tuple(sorted({row.from_tokens for row in rows if row.from_tokens})),
            frozenset(row.variant for row in rows if row.variant),
            frozenset(row.kind for row in rows),
        )

    @property
    def measure(self) -> str:
        """What is counted, in the word from before there were kinds."""
        if self.kinds.isdisjoint(_MEASURES):
            return "1k_tokens"
        return next(_MEASURES[kind] for kind in _MEASURES if kind in self.kinds)

    @property
    def per_measure(self) -> tuple[Fraction, Fraction]:
        """What one measure costs in units, in and out; what is no token has one price."""
        prices, measure = self.at(), self.measure
        if measure == "1k_tokens":
            found = [prices[kind].each if kind in prices else Fraction(0) for kind in ("input", "output")]
            return found[0] * 1000, found[1] * 1000
        kind = next(kind for kind, name in _MEASURES.items() if name == measure)
        each = max((row.each for row in self.rows if row.kind == kind), default=Fraction(0))
        each = (prices[kind].each if kind in prices else each) * (1000 if kind == "character" else 1)
        return each, each

    def tier(self, read: int) -> int:
        """Which of the context tiers a request belongs to by all its inputs: a limit belongs to the cheap side."""
        return bisect_left(self.limits, read)

    def knows(self, tier: str) -> bool:
        """Whether it has a factor, or needs none."""
        return tier in USUAL_TIERS or tier in CHEAPER_TIERS or tier in self.factors

    def service(self, tier: str) -> str:
        """The service tier whose factor counts. One nobody gave a factor counts as the dearest there is."""
        if tier in self.factors:
            return tier
        if not self.factors or self.knows(tier):
            return ""
        return max(self.factors, key=lambda name: self.factors[name])

    def at(self, tier: int = 0, variant: str = "") -> dict[str, Price]:
        """The price of every kind that has one, its own or its fallback's, in a context tier."""
        size = self.limits[tier - 1] if tier else 0
        own: dict[str, Price] = {}
        for row in sorted(self.rows, key=lambda row: (row.variant == variant, row.from_tokens)):
            if row.from_tokens <= size and row.variant in ("", variant):
                own[row.kind] = row
        found: dict[str, Price] = {}
        for kind in KINDS:
            priced: str | None = kind
            while priced is not None and priced not in own:
                priced = FALLBACKS.get(priced)
            if priced is not None:
                found[kind] = own[priced]
        return found


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model users can name. Scores are floats, money never is. `patience_s`: how long the first sign of an answer may
    take. `responses_api`: whether it answers nothing else, or never does, whatever its account does (empty)."""

    name: str
    provider: str
    provider_model_id: str
    capabilities: frozenset[str]
    max_tokens: int
    cost: float
    latency_ms: float
    quality: float
    prices: PriceTable
    patience_s: int = PATIENCE_S
    context_tokens: int | None = None
    created: int = 0
    fallbacks: tuple[str, ...] = ()
    credentials: tuple[int, ...] = ()
    responses_api: str = ""


class AliasSpec(NamedTuple):
    """A name or wildcard, and the model, or the provider, that it leads to."""

    pattern: str
    model: str
    provider: str
    shown: bool


@dataclass(frozen=True, slots=True)
class SafetyPolicy:
    """What of questions and answers is checked: by the operator's words, and by a moderator (empty: none). `service` is
    what is asked of it, `fail_open`: what it cannot check passes. `label_media`: sound and pictures say that they were
    made by a model, and by whose service (`producer`)."""

    questions: bool = False
    answers: bool = False
    words: tuple[str, ...] = ()
    moderator: str = ""
    key_id: str = ""
    key_secret: str = field(default="", repr=False)
    service: str = ""
    fail_open: bool = True
    label_media: bool = True
    producer: str = ""


@dataclass(frozen=True, slots=True)
class Pricing:
    """The operator's numbers: quota per unit, and the ratio of each group (0 or unknown means 1)."""

    quota_per_unit: int
    ratios: Mapping[str, Fraction]

    def ratio(self, group: str) -> Fraction:
        return self.ratios.get(group) or Fraction(1)


class Tariff(NamedTuple):
    """The prices of one model for one group, context tier, service tier and variant: Σ count × `rates` / `divisor` is
    quota. `costs` are the operator's, the same way; a kind whose cost is not known is not in it."""

    rates: Mapping[str, int]
    divisor: int
    costs: Mapping[str, int]
    cost_divisor: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything as of one moment. `models` are the enabled ones that an enabled credential serves; `aliases` stand in
    the order in which they count; `tariffs` are the prices worked out so far, by model, group, context tier, service
    tier and variant."""

    models: Mapping[str, ModelSpec]
    credentials: Mapping[int, CredentialSpec]
    pricing: Pricing
    tariffs: dict[tuple[str, str, int, str, str], Tariff] = field(default_factory=dict)
    aliases: tuple[AliasSpec, ...] = ()
    safety: SafetyPolicy = SafetyPolicy()

    def named(self, name: str) -> ModelSpec | None:
        """The model that is meant by a name: its own, or else what the most exact alias leads to."""
        found = self.models.get(name)
        return found or next((model for alias in self.aliases if (model := self._led_to(alias, name))), None)

    def _led_to(self, alias: AliasSpec, name: str) -> ModelSpec | None:
        if not fits(name, (alias.pattern,)):
            return None
        if alias.model:
            return self.models.get(alias.model)
        models = (model for model in self.models.values() if model.provider == alias.provider)
        return max((m for m in models if "chat" in m.capabilities), key=lambda m: (m.quality, m.name), default=None)

    def patterns(self, names: Iterable[str]) -> tuple[str, ...]:
        """Names as somebody may write them, as patterns of models' own names."""
        meant = (model.name for name in names if (model := self.named(name)))
        return tuple(dict.fromkeys((*names, *meant)))

    def offered(self, allowed: tuple[str, ...]) -> dict[str, ModelSpec]:
        """What /v1/models shows whoever may use the `allowed` models (none: all): models, and the aliases shown."""
        written = (alias.pattern for alias in self.aliases if alias.shown and "*" not in alias.pattern)
        shown = {name: model for name in written if (model := self.named(name))}
        patterns = self.patterns(allowed)
        return {
            name: model
            for name, model in (shown | dict(self.models)).items()
            if not patterns or fits(model.name, patterns)
        }
