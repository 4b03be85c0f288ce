"""Tables edited row by row in a form. A few blank rows wait for those without JavaScript; static/admin_ext/admin.js
adds and removes rows and keeps previews up to date, in exact integers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

BLANK_ROWS = 3

Row = tuple[str, ...]
# What a row means in money, and what it would be without its discount; either may be empty.
Preview = tuple[str, str]


@dataclass(frozen=True)
class Column:
    """One input of a row; `numeric` brings up a phone's number keys. With `choices` (value, label) it is a select."""

    name: str
    label: Any
    placeholder: Any
    numeric: bool = True
    choices: Sequence[tuple[str, Any]] = ()


class RowsWidget(forms.Widget):
    """Inputs in rows. `kind` tells the script how to preview; `preview` does the same here."""

    template_name = "widgets/rows.html"

    def __init__(self, kind: str, columns: Sequence[Column], heading: Any) -> None:
        super().__init__()
        self.kind, self.columns, self.heading = kind, columns, heading
        self.preview: Callable[[Row], Preview] = lambda row: ("", "")

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        filled = [(row, self.preview(row)) for row in value or ()]
        blank = ("",) * len(self.columns)
        rows = [self._cells(name, row, shown) for row, shown in [*filled, *[(blank, ("", ""))] * BLANK_ROWS]]
        context["widget"] |= {
            "kind": self.kind,
            "columns": self.columns,
            "heading": self.heading,
            "rows": rows,
            "template": self._cells(name, blank, ("", "")),
        }
        return context

    def _cells(self, name: str, row: Row, shown: Preview) -> dict[str, Any]:
        cells = [
            {"name": f"{name}_{column.name}", "column": column, "value": value}
            for column, value in zip(self.columns, row, strict=True)
        ]
        return {"cells": cells, "preview": shown, "blank": not any(row)}

    def _render(self, template_name: str, context: dict[str, Any], renderer: object = None) -> SafeString:
        # Through the project's templates: the form renderer looks into those of apps only.
        return mark_safe(render_to_string(template_name, context))  # noqa: S308  # rendered with autoescape

    def id_for_label(self, id_: str) -> str:
        return ""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[Row]:
        typed = zip_longest(*(data.getlist(f"{name}_{column.name}") for column in self.columns), fillvalue="")
        rows = [tuple(cell.strip() for cell in row) for row in typed]
        return [row for row in rows if any(row)]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        # All rows may have been removed; this mark says that the table was there.
        return f"{name}_rows" not in data


class RowsField(forms.Field):
    """Base of a table's field: `prepare_value` makes rows of what is stored, `read` the opposite."""

    widget: RowsWidget

    def __init__(self, kind: str, columns: Sequence[Column], *, heading: Any, **kwargs: Any) -> None:
        super().__init__(required=False, widget=RowsWidget(kind, columns, heading), **kwargs)

    def read(self, rows: Sequence[Row]) -> Any:
        raise NotImplementedError

    def clean(self, value: Any) -> Any:
        return self.read(value or [])

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.read(data or []) != initial)
        except ValidationError:
            return True
