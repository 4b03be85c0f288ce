"""Lists as CSV files, written here and nowhere else: streamed in constant memory, and no text in them is a formula.

`csv_file(name, columns, records)` answers a download; `newest_first(rows)` reads a table of any length in slices of
primary keys, so that no statement takes long.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

SLICE = 2000
# A text that begins like a formula would be one in a spreadsheet (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Columns = Mapping[str, Callable[[Any], object]]


def plain(*names: str) -> Columns:
    """Columns that show what a record calls so itself."""
    return {name: attrgetter(name) for name in names}


class _Line:
    """A file that hands back what is written to it: csv writes a line, and the response sends it on."""

    def write(self, text: str) -> str:
        return text


def csv_file(name: str, columns: Columns, records: Iterable[Any]) -> StreamingHttpResponse:
    """A download. `columns` maps the heading, a fixed English word for programs, to what a record has there."""
    response = StreamingHttpResponse(csv_lines(columns, records), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "no-store"
    return response


def newest_first(rows: QuerySet[Any]) -> Iterator[Any]:
    """All rows by falling primary key. Rows that are added meanwhile are not in it; none is there twice."""
    rows, last = rows.order_by("-pk"), None
    while True:
        found = list((rows if last is None else rows.filter(pk__lt=last))[:SLICE])
        yield from found
        if len(found) < SLICE:
            return
        last = found[-1].pk


def csv_lines(columns: Columns, records: Iterable[Any]) -> Iterator[str]:
    """The file, line by line."""
    writer = csv.writer(_Line())
    # Excel takes a file for UTF-8 only with this mark.
    yield "\ufeff" + writer.writerow(columns)
    for record in records:
        yield writer.writerow([_cell(read(record)) for read in columns.values()])


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
