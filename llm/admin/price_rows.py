"""Prices and service tiers as rows of a model's form."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from voicehelper.admin.rows import Column, Row, RowsField

from ..kind_names import KIND_NAMES
from ..models import ModelPrice
from ..prices import USUAL_PER, PriceRow

_PER = [("", gettext_lazy("as usual")), *((str(value), label) for value, label in ModelPrice.Per.choices)]
# Units for one of what is counted: more is a slip of the keyboard.
_MOST = Decimal(100_000_000)
_LONGEST_TIER = 16


class PricesField(RowsField):
    """Prices by kind. Cleans to rows in order, each kind, size and limit once."""

    def __init__(self, **kwargs: Any) -> None:
        columns = [
            Column("kind", gettext_lazy("Kind"), "", numeric=False, choices=[("", "—"), *KIND_NAMES.items()]),
            Column("price", gettext_lazy("Price"), "2.5"),
            Column("per", gettext_lazy("for"), "", choices=_PER),
            Column("cost", gettext_lazy("Own cost"), gettext_lazy("not known")),
            Column("from", gettext_lazy("Above tokens in"), "0"),
            Column("variant", gettext_lazy("Size/quality"), "1024x1024/hd", numeric=False),
        ]
        super().__init__("prices", columns, heading="", **kwargs)

    def prepare_value(self, value: Any) -> list[Row]:
        return [_cells(row) if isinstance(row, PriceRow) else row for row in value or ()]

    def read(self, rows: Sequence[Row]) -> list[PriceRow]:
        found = [_price(row) for row in rows]
        places = [row.place for row in found]
        twice = next((row for row in found if places.count(row.place) > 1), None)
        if twice is not None:
            raise ValidationError(_("“%(key)s” is there twice.") % {"key": KIND_NAMES[twice.kind]})
        return sorted(found, key=lambda row: row.place)


class FactorsField(RowsField):
    """Service tiers and their factors. Cleans to a map in the order of the names."""

    def __init__(self, **kwargs: Any) -> None:
        columns = [
            Column("tier", gettext_lazy("Service tier"), "flex", numeric=False),
            Column("factor", gettext_lazy("Factor"), "0.5"),
        ]
        super().__init__("factors", columns, heading="", **kwargs)

    def prepare_value(self, value: Any) -> list[Row]:
        return (
            [(tier, f"{factor:f}") for tier, factor in value.items()] if isinstance(value, dict) else list(value or ())
        )

    def read(self, rows: Sequence[Row]) -> Mapping[str, Decimal]:
        found: dict[str, Decimal] = {}
        for tier, text in sorted(rows):
            factor = _number(text)
            if not tier or len(tier) > _LONGEST_TIER or not 0 < factor <= 100:
                raise ValidationError(
                    _("A service tier is a name and a factor like 0.5: %(row)s") % {"row": tier or text}
                )
            if tier in found:
                raise ValidationError(_("“%(key)s” is there twice.") % {"key": tier})
            found[tier] = factor
        return found


def _cells(row: PriceRow) -> Row:
    per = "" if row.per == USUAL_PER.get(row.kind, 1_000_000) else str(row.per)
    cost = "" if row.cost is None else f"{row.cost:f}"
    return row.kind, f"{row.price:f}", per, cost, str(row.from_tokens or ""), row.variant


def _price(row: Row) -> PriceRow:
    kind, price, per, cost, above, variant = row
    if kind not in KIND_NAMES or not price:
        raise ValidationError(
            _("Choose a kind and enter a price in each row, or remove it: %(row)s") % {"row": kind or price}
        )
    if per not in dict(_PER):
        raise ValidationError(_("A price is for 1, 1,000 or 1,000,000."))
    if above and not (above.isascii() and above.isdigit() and len(above) <= 9):
        raise ValidationError(_("“%(value)s” is not a whole number.") % {"value": above[:40]})
    if variant and (kind != "image" or len(variant) > 32 or not variant.isprintable()):
        raise ValidationError(_("Only pictures have sizes and qualities: “%(value)s”.") % {"value": variant[:40]})
    return PriceRow(
        kind,
        _number(price),
        int(per) if per else USUAL_PER.get(kind, 1_000_000),
        _number(cost) if cost else None,
        int(above or 0),
        variant,
    )


def _number(text: str) -> Decimal:
    """A decimal with at most nine places."""
    try:
        number = Decimal(text) if text.isascii() else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number < _MOST or number != round(number, 9):
        raise ValidationError(_("“%(value)s” is no number from 0 with at most nine decimals.") % {"value": text[:40]})
    return number.normalize() + 0
