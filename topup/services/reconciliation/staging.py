"""A bill's rows, in a temporary table: it belongs to this database session and goes with it, however that ends.

Rows that are not ours are counted there, and then taken out: a merchant number is often shared by apps and shops that
know nothing of each other.
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import connection, transaction

from voicehelper.clock import BEIJING

from ...gateways.base import Gateway
from ...gateways.bills import Bill, BillDamaged, BillKind, BillRow, OddRow, Remark
from ...models import LINE_MARK, Order, Reconciliation

Apart = Reconciliation.Apart

# A row this far outside of its day says so for itself.
SLACK = timedelta(hours=1)
_CHARS = 64
_LINE_CHARS, _PROBLEM_CHARS = 2000, 200

# For a million rows the usual limit of a statement is too little.
NO_HURRY = "SET LOCAL statement_timeout = '30min'"
_DROP = "DROP TABLE IF EXISTS pg_temp.bill_row"
_CREATE = """
CREATE TEMPORARY TABLE bill_row (
    number bigint, kind text, order_no text, transaction_id text, refund_no text, amount_fen bigint,
    at timestamptz, said text, refund_state text, app_id text, whose text, fee numeric, line bigint, text text,
    problem text
)
"""
_COPY = "COPY pg_temp.bill_row FROM STDIN"
_INDEX = "CREATE INDEX ON pg_temp.bill_row (order_no)"
_ANALYZE = "ANALYZE pg_temp.bill_row"
# An app that orders of ours were placed in is ours, configured now or not.
_OURS = """
UPDATE pg_temp.bill_row SET whose = '' WHERE whose = 'app' AND app_id IN (
    SELECT app_id FROM (SELECT DISTINCT app_id FROM pg_temp.bill_row WHERE whose = 'app') b
    WHERE EXISTS (SELECT 1 FROM topup_order o WHERE (o.gateway, o.merchant_id, o.app_id) = (%s, %s, b.app_id))
)
"""
# A row about an order of ours stays, whoever it says that it is of.
_TAKE_APART = """
WITH apart AS (
    DELETE FROM pg_temp.bill_row b WHERE whose <> ''
      AND NOT EXISTS (SELECT 1 FROM topup_order o WHERE o.order_no = b.order_no AND o.gateway = %s)
    RETURNING whose, kind, amount_fen, refund_state
)
SELECT whose, count(*) FILTER (WHERE kind = 'payment'),
       coalesce(sum(amount_fen) FILTER (WHERE kind = 'payment'), 0)::bigint,
       count(*) FILTER (WHERE kind = 'refund' AND refund_state <> 'closed'),
       coalesce(sum(amount_fen) FILTER (WHERE kind = 'refund' AND refund_state <> 'closed'), 0)::bigint,
       count(*) FILTER (WHERE kind = 'other')
FROM apart GROUP BY whose ORDER BY whose
"""
_SUMS = ("payments", "payments_fen", "refunds", "refunds_fen", "others")


@dataclass
class _Seen:
    """What the rows say together of whose and which day's file it is."""

    rows: int = 0
    outside: int = 0
    others: int = 0
    example: dict[str, str] = field(default_factory=dict)


def midnight(day: date) -> datetime:
    """The beginning of a Beijing day."""
    return datetime(day.year, day.month, day.day, tzinfo=BEIJING)


def stage(bill: Bill, gateway: Gateway) -> dict[str, object]:
    """Read a whole bill, which is a file by now, into `bill_row`; returns what Reconciliation keeps of the file itself.
    Raises BillDamaged, and then there is no table."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(NO_HURRY)
        cursor.execute(_DROP)
        cursor.execute(_CREATE)
        with cursor.copy(_COPY) as copy:
            for values in _values(bill, gateway):
                copy.write_row(values)
        cursor.execute(_INDEX)
        cursor.execute(_ANALYZE)
        cursor.execute(_OURS, [gateway.name, gateway.merchant_id])
        cursor.execute(_TAKE_APART, [gateway.name])
        apart = {whose: dict(zip(_SUMS, sums, strict=True)) for whose, *sums in cursor.fetchall()}
    return {"apart": apart, "remarks": [_kept(remark) for remark in bill.remarks]}


def _kept(remark: Remark) -> list[str]:
    return [text[:_CHARS] for text in (remark.label, remark.said, remark.found)]


def forget() -> None:
    """Give the space back."""
    with connection.cursor() as cursor:
        cursor.execute(_DROP)


def _values(bill: Bill, gateway: Gateway) -> Iterator[tuple[object, ...]]:
    first, last = midnight(bill.day) - SLACK, midnight(bill.day + timedelta(days=1)) + SLACK
    our_apps, seen = {gateway.app_id, *gateway.app_ids}, _Seen()
    for number, row in enumerate(bill, 1):
        if isinstance(row, OddRow):
            yield _odd(number, row)
            continue
        seen.rows += 1
        if not first <= row.at < last:
            seen.outside += 1
            seen.example.setdefault("day", f"Row {number} is of {row.at:%Y-%m-%d %H:%M}")
        if row.merchant_id not in (None, gateway.merchant_id):
            seen.others += 1
            seen.example.setdefault("merchant", f"Row {number} is of merchant {(row.merchant_id or '')[:32]}")
        yield _staged(number, row, _whose(row, gateway, our_apps))
    if seen.outside * 2 > seen.rows:
        raise BillDamaged(f"{seen.example['day']}, and most are like it, so this is not the bill of {bill.day}.")
    if seen.rows and seen.others == seen.rows:
        raise BillDamaged(f"{seen.example['merchant']}, and all are like it, not of {gateway.merchant_id}.")


def _whose(row: BillRow, gateway: Gateway, our_apps: Collection[str]) -> str:
    """Whose a row is by what it says; empty: ours."""
    if row.sub_merchant_id or row.merchant_id not in (None, gateway.merchant_id):
        return Apart.MERCHANT.value
    if row.app_id:
        return "" if row.app_id in our_apps else Apart.APP.value
    return "" if Order.NUMBER.fullmatch(row.order_no) else Apart.SHOP.value


def _staged(number: int, row: BillRow, whose: str) -> tuple[object, ...]:
    refund = row.kind is BillKind.REFUND
    return (
        number,
        row.kind.value,
        _text(row.order_no),
        _text(row.transaction_id),
        # A refund without a number of its own has the platform's or, where that gives none, the order's.
        _text(row.refund_no or row.refund_id or row.order_no) if refund else "",
        row.amount_fen,
        row.at,
        _text(row.state),
        row.refund_state.value if refund else "",
        _text(row.app_id),
        whose,
        row.fee,
        None,
        "",
        "",
    )


def _odd(number: int, row: OddRow) -> tuple[object, ...]:
    """The same text is the same entry, wherever it stands when the bill is read again."""
    digest = hashlib.sha256(row.text.encode(errors="surrogatepass")).hexdigest()
    ours = Order.NUMBER.search(row.text)
    order_no = _text(row.order_no) or (ours[0] if ours else "")
    text, problem = _text(row.text, _LINE_CHARS), _text(row.problem, _PROBLEM_CHARS)
    facts = (number, "odd", order_no, f"{LINE_MARK}{digest[:32]}", "", None, None, "", "", "", "")
    return (*facts, 0, row.at, text, problem)


def _text(value: str, chars: int = _CHARS) -> str:
    """As much as a column holds. Numbers of ours are shorter, so none is taken for another."""
    return value.replace("\0", "\ufffd")[:chars]
