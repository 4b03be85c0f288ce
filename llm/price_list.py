"""The price list that comes along: what vendors charge, as of its date, beside the rows an operator has.

It is data (llm/data/prices-YYYY-MM-DD.json, the newest counts). Nothing is taken from it unless an operator asks.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any

from django.db import transaction

from voicehelper.accounts.models import User
from voicehelper.changes import Change, record
from voicehelper.wallet.worth import list_price

from .models import Model
from .prices import Factors, PriceRow, changes, factors_of, keep, rows_of

_DATA = Path(__file__).parent / "data"
_NINTH = Decimal("0.000000001")


@dataclass(frozen=True)
class ListedModel:
    """What a vendor charges for a model, in its own currency; `source` says where that is written."""

    provider: str
    models: tuple[str, ...]
    currency: str
    source: str
    rows: tuple[PriceRow, ...]
    factors: Factors


@dataclass(frozen=True)
class BundledList:
    """The list, and the day it is of."""

    date: str
    entries: tuple[ListedModel, ...]

    def entry_for(self, model: Model) -> ListedModel | None:
        """Found by the vendor's name of the model, else by ours."""
        own = [entry for entry in self.entries if entry.provider == model.provider]
        names = (model.provider_model_id, model.name)
        return next((entry for name in names for entry in own if name in entry.models), None)


@dataclass(frozen=True)
class Sync:
    """How a list is taken over: costs always; with `prices`, our prices become cost and `markup` per cent."""

    prices: bool = False
    markup: Decimal = Decimal(0)


@dataclass(frozen=True)
class Comparison:
    """A model beside its entry: its prices and service tiers now, and after a sync."""

    model: Model
    entry: ListedModel
    now: tuple[Sequence[PriceRow], Factors]
    then: tuple[Sequence[PriceRow], Factors]

    def differences(self) -> list[Change]:
        return changes(self.now, self.then)


@cache
def bundled() -> BundledList:
    """The newest list there is."""
    read = json.loads(max(_DATA.glob("prices-*.json")).read_text())
    return BundledList(read["date"], tuple(_entry(model) for model in read["models"]))


def compare(sync: Sync) -> list[Comparison]:
    """Every model that the list knows and a sync would change."""
    yuan_per_unit = list_price().yuan_per_unit
    found = []
    for model in Model.objects.prefetch_related("prices", "factors").order_by("provider", "name"):
        entry = bundled().entry_for(model)
        if entry is not None:
            now = rows_of(model), factors_of(model)
            then = _then(now, entry, sync, yuan_per_unit if entry.currency == "CNY" else Decimal(1))
            if now != then:
                found.append(Comparison(model, entry, now, then))
    return found


@transaction.atomic
def apply(sync: Sync, names: Sequence[str], *, by: User) -> list[str]:
    """Take over the list for these models, each logged and told; returns whose prices changed."""
    list(Model.objects.select_for_update().filter(name__in=names).order_by("pk"))
    chosen = [each for each in compare(sync) if each.model.name in names]
    for each in chosen:
        keep(each.model, *each.then)
        record(each.model, each.differences(), by=by)
    return [each.model.name for each in chosen]


def _entry(read: Mapping[str, Any]) -> ListedModel:
    rows = (
        PriceRow(
            row["kind"], Decimal(row["price"]), row["per"], None, row.get("from_tokens", 0), row.get("variant", "")
        )
        for row in read["rows"]
    )
    factors = {tier: Decimal(factor) for tier, factor in sorted(read.get("factors", {}).items())}
    return ListedModel(read["provider"], tuple(read["models"]), read["currency"], read["source"], tuple(rows), factors)


def _then(
    now: tuple[Sequence[PriceRow], Factors], entry: ListedModel, sync: Sync, per_unit: Decimal
) -> tuple[list[PriceRow], Factors]:
    rows = {row.place: row for row in now[0]}
    for listed in entry.rows:
        cost = (listed.price / per_unit).quantize(_NINTH, ROUND_UP).normalize() + 0
        known = rows.get(listed.place)
        if known is None or sync.prices:
            price = (cost * (100 + sync.markup) / 100).quantize(_NINTH, ROUND_UP).normalize() + 0
            rows[listed.place] = listed._replace(price=price, cost=cost)
        else:
            # For as many as the operator's own price is for.
            own = (cost * known.per / listed.per).quantize(_NINTH, ROUND_UP).normalize() + 0
            rows[listed.place] = known._replace(cost=own)
    factors = now[1] if now[1] and not sync.prices else {**now[1], **entry.factors}
    return sorted(rows.values(), key=lambda row: row.place), factors
