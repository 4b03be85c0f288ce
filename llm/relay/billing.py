"""What a call costs, and the row that says so. Exact integers: fractions are rounded once, up.

charge = ceil(quota per unit × group ratio × service factor × Σ count × price of its kind), at least 1 when anything was
used. Which row of a kind counts is chosen once per request, by all of its input: the dear tier's price is that of every
token of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from math import lcm
from operator import attrgetter
from typing import Any, NamedTuple

from voicehelper.wallet.services import MAX_QUOTA

from ..kinds import INPUT, KINDS, SEARCH
from .catalogue import Catalogue, ModelSpec, Pricing, Tariff

# What the columns for input and output of a usage row add up.
_IN = frozenset({*INPUT, "second", "character"})
_NEITHER = frozenset({SEARCH})


class Amount(NamedTuple):
    """What was used, by kind (llm/kinds.py): counts above 0 that do not overlap. `service_tier` is the one that
    served, `variant` a picture's size and quality."""

    kinds: Mapping[str, int]
    service_tier: str = ""
    variant: str = ""

    @property
    def input(self) -> int:
        """Tokens, seconds or characters in."""
        total = 0
        for kind, number in self.kinds.items():
            if kind in _IN:
                total += number
        return total

    @property
    def output(self) -> int:
        """Tokens or pictures out."""
        total = 0
        for kind, number in self.kinds.items():
            if kind not in _IN and kind not in _NEITHER:
                total += number
        return total

    @property
    def noted(self) -> dict[str, int]:
        """What a usage row keeps beside input and output; a picture's size and quality stand with it."""
        named = {"image": f"image:{self.variant}"} if self.variant else {}
        return {named.get(kind, kind): number for kind, number in self.kinds.items() if kind not in ("input", "output")}


NOTHING = Amount({})


def amount(service_tier: str = "", variant: str = "", **kinds: int) -> Amount:
    """What was used, by the names of its kinds; what is 0 is left out."""
    return Amount({kind: number for kind, number in kinds.items() if number > 0}, service_tier, variant)


class Ceiling(NamedTuple):
    """The most a call may use: tokens in and out at the dearest price of the kinds they may be of, and what is known
    beforehand (`others`)."""

    input: int = 0
    output: int = 0
    input_kinds: tuple[str, ...] = ("input",)
    output_kinds: tuple[str, ...] = ("output",)
    others: Mapping[str, int] = {}
    service_tier: str = ""
    variant: str = ""


def tariff(
    model: ModelSpec, pricing: Pricing, group: str, tier: int = 0, service: str = "", variant: str = ""
) -> Tariff:
    """The model's prices in quota for a user of `group`. The operator's costs know no groups."""
    factor = pricing.quota_per_unit * model.prices.factors.get(service, Fraction(1))
    prices = model.prices.at(tier, variant)
    rates, divisor = _whole({kind: factor * pricing.ratio(group) * price.each for kind, price in prices.items()})
    known = {kind: factor * price.cost for kind, price in prices.items() if price.cost is not None}
    return Tariff(rates, divisor, *_whole(known))


def _whole(rates: Mapping[str, Fraction]) -> tuple[dict[str, int], int]:
    divisor = lcm(*(rate.denominator for rate in rates.values()))
    return {kind: int(rate * divisor) for kind, rate in rates.items()}, divisor


def tariff_of(
    catalogue: Catalogue, model: ModelSpec, group: str, tier: int = 0, service: str = "", variant: str = ""
) -> Tariff:
    """The same, worked out once per catalogue. `model` must be the catalogue's own."""
    key = (model.name, group, tier, service, variant)
    found = catalogue.tariffs.get(key)
    if found is None:
        found = catalogue.tariffs[key] = tariff(model, catalogue.pricing, group, tier, service, variant)
    return found


def tariff_for(catalogue: Catalogue, model: ModelSpec, group: str, used: Amount) -> Tariff:
    """The one for what was used: by the size of all its input, and by who served it."""
    prices = model.prices
    tier = prices.tier(used.input) if prices.limits else 0
    return tariff_of(catalogue, model, group, tier, prices.service(used.service_tier), used.variant)


class Rate(NamedTuple):
    """A price as it is shown: exact quota for so many (`per`) of a kind, in requests above `from_tokens`."""

    kind: str
    per: int
    quota: Fraction
    from_tokens: int
    variant: str


# How many of a kind a price is shown for; of the others, a million.
_SHOWN_PER = {"image": 1, "second": 1, "character": 1000, SEARCH: 1000}


def rates_of(model: ModelSpec, pricing: Pricing, group: str) -> list[Rate]:
    """Every price of a model for a user of `group`, in the order of the kinds."""
    factor = pricing.quota_per_unit * pricing.ratio(group)
    rows = sorted(model.prices.rows, key=lambda row: (KINDS.index(row.kind), row.from_tokens, row.variant))
    shown = [(row, _SHOWN_PER.get(row.kind, 1_000_000)) for row in rows]
    return [Rate(row.kind, per, factor * row.each * per, row.from_tokens, row.variant) for row, per in shown]


def charge(tariff: Tariff, used: Amount) -> int:
    """Quota for what was used: 0 for nothing, else at least 1. What has no price is free."""
    if not used.kinds:
        return 0
    rates = tariff.rates
    exact = 0
    for kind, number in used.kinds.items():
        exact += number * rates.get(kind, 0)
    return min(MAX_QUOTA, max(1, -(-exact // tariff.divisor)))


def cost(tariff: Tariff, used: Amount) -> int | None:
    """What it cost the operator, in quota, rounded up; None when the cost of a kind is not known."""
    costs = tariff.costs
    exact = 0
    for kind, number in used.kinds.items():
        if kind in costs:
            exact += number * costs[kind]
        elif kind in tariff.rates:
            return None
    return min(MAX_QUOTA, -(-exact // tariff.cost_divisor))


def ceiling(catalogue: Catalogue, model: ModelSpec, group: str, most: Ceiling) -> int:
    """Quota to hold for a call. 15 % below a limit the estimate may have been too low: the upper tier counts."""
    prices = model.prices
    tier = prices.tier(most.input * 20 // 17 + 1) if prices.limits else 0
    found = tariff_of(catalogue, model, group, tier, _asked_service(model, most.service_tier), most.variant)
    rates = found.rates
    exact = most.input * _dearest(rates, most.input_kinds) + most.output * _dearest(rates, most.output_kinds)
    for kind, number in most.others.items():
        exact += number * rates.get(kind, 0)
    return min(MAX_QUOTA, max(1, -(-exact // found.divisor)))


def _dearest(rates: Mapping[str, int], kinds: tuple[str, ...]) -> int:
    return max([rates.get(kind, 0) for kind in kinds])


def _asked_service(model: ModelSpec, tier: str) -> str:
    """Who asks for "auto" may be served by the dearest tier there is."""
    factors = model.prices.factors
    if not factors:
        return ""
    if tier == "auto":
        dearest = max(factors, key=lambda name: factors[name], default="")
        return dearest if factors.get(dearest, 0) > 1 else ""
    return tier if tier in factors else ""


def tokens_of(model: ModelSpec, amount: Amount | Ceiling) -> int:
    """What a limit of tokens counts of it."""
    return amount.input + amount.output if model.prices.measure == "1k_tokens" else 0


def _text(length: int) -> Any:
    """A column of text from outside, empty to begin with, and how much it holds."""
    return field(default="", metadata={"length": length})


@dataclass(slots=True, kw_only=True)
class Charge:
    """What a usage row says of a call, but for the quota, which the ledger fills in: each field is the column of its
    name, and this is the only list of them."""

    request_id: str
    user_id: int
    asked_model: str = _text(64)
    model_name: str = _text(64)
    provider: str = ""
    operation: str
    input_tokens: int = 0
    output_tokens: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    service_tier: str = _text(16)
    cost: int | None = None
    usage_source: str = "none"
    outcome: str = "ok"
    latency_ms: int = 0
    first_token_ms: int | None = None
    tries: int = 0
    streamed: bool
    error: str = _text(500)

    def note(self) -> dict[str, Any]:
        """The row as JSON, fit for the database."""
        row = dict(zip(COLUMNS, _VALUES(self), strict=True))
        for name, length in _TEXTS:
            row[name] = storable(row[name], length)
        return row


COLUMNS = tuple(each.name for each in fields(Charge))
_VALUES = attrgetter(*COLUMNS)
_TEXTS = tuple((each.name, each.metadata["length"]) for each in fields(Charge) if each.metadata)


def storable(text: str, length: int) -> str:
    """Text from outside as PostgreSQL takes it: no NUL, no half characters, cut to length."""
    if text.isascii() and "\0" not in text:
        return text[:length]
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:length]


# Written in the statement that charges: no spending without its row, no row that says another amount.
_RECORD = """
    INSERT INTO llm_usage (quota, uncollected, {columns}) SELECT s.charge, s.uncollected, {of_note}
    FROM settled s CROSS JOIN LATERAL json_populate_record(NULL::llm_usage, s.note) u
    WHERE s.note IS NOT NULL
    ORDER BY s.n
    ON CONFLICT (request_id) DO NOTHING
"""
RECORD = _RECORD.replace("{columns}", ", ".join(COLUMNS)).replace(
    "{of_note}", ", ".join(f"u.{name}" for name in COLUMNS)
)
