"""A bill's rows, in a temporary table: it belongs to this database session and goes with it, however that ends."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from django.db import connection, transaction

from voicehelper.clock import BEIJING

from ...gateways.base import Gateway
from ...gateways.bills import Bill, BillDamaged, BillKind, BillRow

# A row may lie so far outside of its day before the bill is taken for another day's.
_SLACK = timedelta(hours=1)
_CHARS = 64

# For a million rows the usual limit of a statement is too little.
NO_HURRY = "SET LOCAL statement_timeout = '30min'"
_DROP = "DROP TABLE IF EXISTS pg_temp.bill_row"
_CREATE = """
CREATE TEMPORARY TABLE bill_row (
    number bigint, kind text, order_no text, transaction_id text, refund_no text, amount_fen bigint,
    at timestamptz, said text, refund_state text, app_id text
)
"""
_COPY = "COPY pg_temp.bill_row FROM STDIN"
_INDEX = "CREATE INDEX ON pg_temp.bill_row (order_no)"
_ANALYZE = "ANALYZE pg_temp.bill_row"


def midnight(day: date) -> datetime:
    """The beginning of a Beijing day."""
    return datetime(day.year, day.month, day.day, tzinfo=BEIJING)


def stage(bill: Bill, gateway: Gateway) -> None:
    """Read a whole bill, which is a file by now, into `bill_row`. Raises BillDamaged, and then there is no table."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(NO_HURRY)
        cursor.execute(_DROP)
        cursor.execute(_CREATE)
        with cursor.copy(_COPY) as copy:
            for values in _values(bill, gateway):
                copy.write_row(values)
        cursor.execute(_INDEX)
        cursor.execute(_ANALYZE)


def forget() -> None:
    """Give the space back."""
    with connection.cursor() as cursor:
        cursor.execute(_DROP)


def _values(bill: Bill, gateway: Gateway) -> Iterator[tuple[object, ...]]:
    first, last = midnight(bill.day) - _SLACK, midnight(bill.day + timedelta(days=1)) + _SLACK
    for number, row in enumerate(bill, 1):
        if not first <= row.at < last:
            raise BillDamaged(f"Row {number} is of {row.at:%Y-%m-%d %H:%M}, so this is not the bill of {bill.day}.")
        if row.merchant_id not in (None, gateway.merchant_id):
            raise BillDamaged(f"Row {number} is of merchant {row.merchant_id[:32]}, not of {gateway.merchant_id}.")
        yield _staged(number, row)


def _staged(number: int, row: BillRow) -> tuple[object, ...]:
    refund = row.kind is BillKind.REFUND
    return (
        number,
        row.kind.value,
        _text(row.order_no),
        _text(row.transaction_id),
        # A refund without a number of its own has the order's.
        _text(row.refund_no or row.order_no) if refund else "",
        row.amount_fen,
        row.at,
        _text(row.state),
        row.refund_state.value if refund else "",
        _text(row.app_id),
    )


def _text(value: str) -> str:
    """As much as a column holds. Numbers of ours are shorter, so none is taken for another."""
    return value.replace("\0", "\ufffd")[:_CHARS]
