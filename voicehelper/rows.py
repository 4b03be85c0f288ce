"""Rows of models, read and written by statements that are put together once.

Django's ORM puts each statement together anew, which costs more than sending it when a table has fifty columns. For
most pages that is nothing; for what every payment does it was most of all. What comes back is the model's own, as from
the ORM. No signals are sent, and no parent tables known.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, TypeVar, cast

from django.db import connection, models
from django.db.models.expressions import DatabaseDefault
from django.db.models.functions import Now

Row = TypeVar("Row", bound=models.Model)
Field = models.Field[Any, Any]
Converter = Callable[[Any, Any, Any], Any]
# What an attribute of these holds, psycopg takes as it is.
_AS_THEY_ARE = {
    models.BigAutoField,
    models.BigIntegerField,
    models.BooleanField,
    models.CharField,
    models.DateTimeField,
    models.DecimalField,
    models.ForeignKey,
    models.PositiveIntegerField,
    models.TextField,
}


def first(model: type[Row], which: str, values: Sequence[Any], also: str = "") -> tuple[Row, ...] | None:
    """The first row that `which` (constant SQL: JOIN, WHERE, ORDER BY) finds, and behind it what is `also` selected;
    None when there is none."""
    statement, names, converters = _selection(model, which, also)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found = cursor.fetchone()
    if found is None:
        return None
    columns = list(found[: len(names)])
    for position, convert in converters:
        columns[position] = convert(columns[position], None, connection)
    return model.from_db(connection.alias, names, columns), *found[len(names) :]


def insert(row: models.Model) -> None:
    """Write a new row; its number and what the database fills in are then known. Raises what the ORM's does."""
    columns = _columns(type(row))
    values = [getattr(row, name) for name, _prepare, _number in columns]
    left = tuple(
        isinstance(value, DatabaseDefault) or (number and value is None)
        for (_name, _prepare, number), value in zip(columns, values, strict=True)
    )
    told = [
        prepare(value, connection) if prepare else value
        for (_name, prepare, _number), value, is_left in zip(columns, values, left, strict=True)
        if not is_left
    ]
    statement, filled_in = _insertion(type(row), left)
    with connection.cursor() as cursor:
        cursor.execute(statement, told)
        for name, value in zip(filled_in, cursor.fetchone(), strict=True):
            setattr(row, name, value)
    row._state.adding, row._state.db = False, connection.alias


def change(model: type[models.Model], which: Mapping[str, object], **facts: object) -> bool:
    """Change the row in which all of `which` is so (none of it null). A fact is a value, or `Now()`. False: there is no
    such row. Names are those of fields."""
    now = frozenset(name for name, value in facts.items() if isinstance(value, Now))
    with connection.cursor() as cursor:
        told = [(name, value) for name, value in facts.items() if name not in now]
        values = [_field(model, name).get_db_prep_save(value, connection) for name, value in (*told, *which.items())]
        statement = _change(model, tuple(which), tuple(facts), now)
        cursor.execute(statement, values)
        return bool(cursor.rowcount)


def _field(model: type[models.Model], name: str) -> Field:
    return cast(Field, model._meta.get_field(name))


@lru_cache(maxsize=32)
def _columns(model: type[models.Model]) -> list[tuple[str, Callable[[Any, Any], Any] | None, bool]]:
    """Of each field: its attribute, what makes a value of it one of the database's, if it is not, and whether it is the
    row's number."""
    return [
        (field.attname, None if type(field) in _AS_THEY_ARE else field.get_db_prep_save, field.primary_key)
        for field in model._meta.concrete_fields
    ]


@lru_cache(maxsize=32)
def _selection(model: type[models.Model], which: str, also: str) -> tuple[str, list[str], list[tuple[int, Converter]]]:
    fields = model._meta.concrete_fields
    table = model._meta.db_table
    columns = ", ".join(f'"{table}"."{field.column}"' for field in fields)
    converters = [
        (position, convert)
        for position, column in enumerate(field.get_col(table) for field in fields)
        for convert in connection.ops.get_db_converters(column) + column.get_db_converters(connection)
    ]
    more = f", {also}" if also else ""
    # All of it is constant, in this file or where it is called.
    return f'SELECT {columns}{more} FROM "{table}" {which} LIMIT 1', [each.attname for each in fields], converters  # noqa: S608  # nosec B608


@lru_cache(maxsize=64)
def _change(model: type[models.Model], which: Sequence[str], facts: Sequence[str], now: Set[str]) -> str:
    column = {name: _field(model, name).column for name in (*which, *facts)}
    # Those of Now() come last, as they take no value.
    plain = [f'"{column[name]}" = %s' for name in facts if name not in now]
    changes = plain + [f'"{column[name]}" = statement_timestamp()' for name in facts if name in now]
    same = " AND ".join(f'"{column[name]}" = %s' for name in which)
    return f'UPDATE "{model._meta.db_table}" SET {", ".join(changes)} WHERE {same}'  # noqa: S608  # nosec B608


@lru_cache(maxsize=32)
def _insertion(model: type[models.Model], left: Sequence[bool]) -> tuple[str, list[str]]:
    fields = model._meta.concrete_fields
    told = [field for field, is_left in zip(fields, left, strict=True) if not is_left]
    # PostgreSQL has to return something.
    filled_in = [field for field, is_left in zip(fields, left, strict=True) if is_left or field.primary_key]
    columns = ", ".join(f'"{field.column}"' for field in told)
    places = ", ".join(["%s"] * len(told))
    returned = ", ".join(f'"{field.column}"' for field in filled_in)
    statement = f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({places}) RETURNING {returned}'  # noqa: S608  # nosec B608
    return statement, [field.attname for field in filled_in]
