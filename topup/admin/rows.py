"""Tables of settings: amounts, discounts, group ratios."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from voicehelper.admin.rows import Row, RowsField

from ..services.options import decimal, exact_json


class NumbersField(RowsField):
    """A list of whole numbers, one to a row."""

    def prepare_value(self, value: Any) -> list[Row]:
        return [item if isinstance(item, tuple) else (str(item),) for item in value or []]

    def read(self, rows: Sequence[Row]) -> list[int]:
        numbers: list[int] = []
        for (text,) in rows:
            if not (text.isascii() and text.isdigit()):
                raise ValidationError(_("“%(value)s” is not a whole number.") % {"value": text[:40]})
            numbers.append(int(text))
        return sorted(set(numbers))


class TableField(RowsField):
    """A map from a name to a decimal, two inputs to a row. Decimals are kept as text, so no float comes near them."""

    def prepare_value(self, value: Any) -> list[Row]:
        # The database keeps no order; the default group comes first, amounts by size.
        rows = sorted(value.items(), key=_order) if isinstance(value, dict) else value
        return list(rows or [])

    def read(self, rows: Sequence[Row]) -> dict[str, str]:
        table: dict[str, Decimal] = {}
        for key, text in rows:
            if not key or not text:
                raise ValidationError(_("Fill in both sides of each row, or remove it: %(row)s") % {"row": key or text})
            if key in table:
                raise ValidationError(_("“%(key)s” is there twice.") % {"key": key[:40]})
            try:
                table[key] = decimal(text)
            except ValueError as error:
                raise ValidationError(str(error)) from error
        exact: dict[str, str] = exact_json(table)
        return exact


def _order(row: Row) -> tuple[bool, int, str]:
    key = row[0]
    return key != "default", int(key) if key.isascii() and key.isdigit() else 0, key
