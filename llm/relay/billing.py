"""What a call costs, and the row that says so. Exact integers: fractions are rounded once, up.

charge = ceil(quota per unit × group ratio × (input/1000 × input price + output/1000 × output price)), at least 1 when
anything was used. Other measures: images × output price, seconds of audio × input price, characters/1000 × input price.
"""

from dataclasses import dataclass, field, fields
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

from voicehelper.wallet.services import MAX_QUOTA

from .catalogue import Catalogue, ModelSpec, Pricing, Tariff


class Amount(NamedTuple):
    """What was used: tokens in and out; or seconds or characters in; or images out."""

    input: int
    output: int


NOTHING = Amount(0, 0)


# What one of what is counted costs, in measures: (input, output).
_PER = {
    "1k_tokens": (Fraction(1, 1000), Fraction(1, 1000)),
    "1k_characters": (Fraction(1, 1000), Fraction(0)),
    "second": (Fraction(1), Fraction(0)),
    "image": (Fraction(0), Fraction(1)),
}


def tariff(model: ModelSpec, pricing: Pricing, group: str) -> Tariff:
    """The model's prices in quota for a user of `group`."""
    factor = pricing.quota_per_unit * pricing.ratio(group)
    per_input, per_output = _PER[model.measure]
    one_in, one_out = factor * per_input * model.input_price, factor * per_output * model.output_price
    divisor = lcm(one_in.denominator, one_out.denominator)
    return Tariff(int(one_in * divisor), int(one_out * divisor), divisor)


def tariff_of(catalogue: Catalogue, model: ModelSpec, group: str) -> Tariff:
    """The same, worked out once per catalogue. `model` must be the catalogue's own."""
    key = (model.name, group)
    found = catalogue.tariffs.get(key)
    if found is None:
        found = catalogue.tariffs[key] = tariff(model, catalogue.pricing, group)
    return found


def charge(tariff: Tariff, used: Amount) -> int:
    """Quota for what was used: 0 for nothing, else at least 1."""
    if used.input <= 0 and used.output <= 0:
        return 0
    exact = used.input * tariff.input + used.output * tariff.output
    return min(MAX_QUOTA, max(1, -(-exact // tariff.divisor)))


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
    usage_source: str = "none"
    outcome: str = "ok"
    latency_ms: int = 0
    first_token_ms: int | None = None
    tries: int = 0
    streamed: bool
    error: str = _text(500)

    def note(self) -> dict[str, Any]:
        """The row as JSON, fit for the database."""
        row = {name: getattr(self, name) for name in COLUMNS}
        for name, length in _TEXTS:
            row[name] = storable(row[name], length)
        return row


COLUMNS = tuple(each.name for each in fields(Charge))
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
