"""A model's prices as rows: read, replaced as a whole, and told as changes.

What is replaced is also written into the columns of the release before, as nearly as they can say it, for its code
reads them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.functional import lazy
from django.utils.translation import gettext as _

from voicehelper.changes import Change
from voicehelper.numbers import grouped
from voicehelper.price_changes import ChangedSince

from .kind_names import name_of
from .kinds import KINDS, SEARCH
from .models import Model, ModelPrice, ServiceTierFactor
from .relay.catalogue import ModelSpec
from .relay.snapshot import price_table, prices_of_columns, spec_of

# How many of a kind a price is for, where nobody says so; of tokens, a million.
USUAL_PER = {"image": 1, "second": 1, "character": 1000, SEARCH: 1000}
_COLUMN = Decimal("0.000001")

Factors = Mapping[str, Decimal]


class PriceRow(NamedTuple):
    """One price, in units for `per` of a kind. See ModelPrice."""

    kind: str
    price: Decimal
    per: int
    cost: Decimal | None = None
    from_tokens: int = 0
    variant: str = ""

    @property
    def place(self) -> tuple[int, str, int]:
        """What there is one row of; rows are shown in this order."""
        return KINDS.index(self.kind), self.variant, self.from_tokens

    def __str__(self) -> str:
        return shown(self)


def row_of(values: Mapping[str, Any]) -> PriceRow:
    cost = values["cost"]
    return PriceRow(
        values["kind"],
        Decimal(values["price"]).normalize() + 0,
        values["per"],
        None if cost is None else Decimal(cost).normalize() + 0,
        values["from_tokens"],
        values["variant"],
    )


def rows_of(model: Model) -> list[PriceRow]:
    """A model's prices in order; of one without rows, those its columns stand for."""
    stored: list[dict[str, Any]] = [vars(row) for row in model.prices.all()] if model.pk else []
    return sorted(map(row_of, stored or prices_of_columns(vars(model))), key=lambda row: row.place)


def factors_of(model: Model) -> dict[str, Decimal]:
    """The factor of each service tier that has one."""
    rows = sorted(model.factors.all(), key=lambda row: row.tier) if model.pk else []
    return {row.tier: row.factor.normalize() + 0 for row in rows}


def spec_with(model: Model, rows: Sequence[PriceRow], factors: Factors) -> ModelSpec:
    """A model as the relay would see it with these prices."""
    return spec_of({**vars(model), "prices": [row._asdict() for row in rows], "factors": factors})


def spec_of_model(model: Model) -> ModelSpec:
    return spec_with(model, rows_of(model), factors_of(model))


@transaction.atomic
def keep(model: Model, rows: Iterable[PriceRow], factors: Factors) -> None:
    """Replace all prices of a model."""
    rows = list(rows)
    model.prices.all().delete()
    ModelPrice.objects.bulk_create(ModelPrice(model=model, **row._asdict()) for row in rows)
    model.factors.all().delete()
    ServiceTierFactor.objects.bulk_create(
        ServiceTierFactor(model=model, tier=tier, factor=factor) for tier, factor in factors.items()
    )
    # An UPDATE of its own: no form's unsaved values go with it.
    Model.objects.filter(pk=model.pk).update(**_columns(rows))


def _columns(rows: Sequence[PriceRow]) -> dict[str, Any]:
    """What the columns of the release before say: a price that has too many decimals is the next one up."""
    table = price_table([row._asdict() for row in rows], {})
    prices = [
        (Decimal(price.numerator) / Decimal(price.denominator)).quantize(_COLUMN, ROUND_CEILING)
        for price in table.per_measure
    ]
    return {"measure": table.measure, "input_price": prices[0], "output_price": prices[1]}


# --- Changes ---------------------------------------------------------------------------------------------------------
_PRICE, _FACTOR = ModelPrice._meta.get_field("price"), ServiceTierFactor._meta.get_field("factor")
# The fields whose changes are read back here.
CHANGED = frozenset({_PRICE.name, _FACTOR.name})


def changes(before: tuple[Sequence[PriceRow], Factors], after: tuple[Sequence[PriceRow], Factors]) -> list[Change]:
    """What differs, a line for each price, for voicehelper/changes.py."""
    rows = _by_place(before[0]), _by_place(after[0])
    return [
        *(Change(_PRICE, old, new, _line(new or old)) for _place, old, new in _differences(*rows)),
        *(Change(_FACTOR, old, new, tier) for tier, old, new in _differences(before[1], after[1])),
    ]


def change_of(name: str, line: str, old: Any, new: Any) -> Change:
    """A change as it was told, out of what JSON made of its values."""
    if name == _FACTOR.name:
        factor, becomes = (None if each is None else Decimal(each) for each in (old, new))
        return Change(_FACTOR, factor, becomes, line)
    rows: list[Any] = [None if each is None else row_of(PriceRow(*each)._asdict()) for each in (old, new)]
    return Change(_PRICE, rows[0], rows[1], _line(rows[1] or rows[0]))


def put_back(model: Model, replaced: Iterable[Change]) -> list[Change]:
    """Undo changes of a model that is locked; returns what that changed. Raises
    ChangedSince."""
    before = rows_of(model), factors_of(model)
    rows, factors = _by_place(before[0]), dict(before[1])
    for each in replaced:
        table: dict[Any, Any]
        key: Any
        table, key = (factors, each.line) if each.field is _FACTOR else (rows, (each.old or each.new).place)
        if table.get(key) != each.new:
            raise ChangedSince(each)
        table.pop(key, None)
        if each.old is not None:
            table[key] = each.old
    after = sorted(rows.values(), key=lambda row: row.place), factors
    keep(model, *after)
    return changes(before, after)


def _by_place(rows: Sequence[PriceRow]) -> dict[tuple[int, str, int], PriceRow]:
    return {row.place: row for row in rows}


def _differences(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Key, old and new value, where they differ, by key; None for none."""
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield key, old.get(key), new.get(key)


def _line(row: PriceRow) -> str:
    return _name(row.kind, row.variant, row.from_tokens)


def shown(row: PriceRow) -> str:
    """A price as it is told: "2.5 / 1,000,000 (cost 2)"."""
    text = f"{row.price:f}" if row.per == 1 else f"{row.price:f} / {grouped(row.per)}"
    return text if row.cost is None else f"{text} ({_('cost')} {row.cost:f})"


# In the language of whoever reads the change.
_name = lazy(name_of, str)
