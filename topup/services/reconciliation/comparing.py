"""`bill_row` against orders and refunds, both ways, by PostgreSQL: nothing is held here but a few counts.

Each statement inserts what it finds as differences. One that is there already is touched (`seen`); it begins anew only
if it had been gone.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction

from ...gateways.base import Gateway
from ...models import Reconciliation
from .staging import NO_HURRY, SLACK, midnight

# A payment this close to midnight by its own time may stand in the next day's bill.
NEAR_MIDNIGHT = timedelta(minutes=2)


@dataclass(frozen=True)
class ComparedDay:
    """What is compared: one merchant's day, whichever of its accounts an order is of. Orders credited after `asked`
    cannot be expected in the bill."""

    reconciliation: Reconciliation
    gateway: Gateway
    asked: datetime

    @property
    def params(self) -> dict[str, int | bool | str | date | datetime]:
        day = self.reconciliation.day
        return {
            "recon": self.reconciliation.pk,
            "run": self.reconciliation.runs,
            "gateway": self.gateway.name,
            "merchant": self.gateway.merchant_id,
            "live": self.gateway.live,
            "day": day,
            "start": midnight(day),
            "end": midnight(day + timedelta(days=1)),
            "before": midnight(day) - SLACK,
            "after": midnight(day + timedelta(days=1)) + SLACK,
            "late": midnight(day + timedelta(days=1)) - NEAR_MIDNIGHT,
            "asked": self.asked,
        }


# A row of a payment: `turn` counts those of one order, `again` marks a row that repeats the one before.
_PAYMENTS_THERE = """
WITH there AS (
    SELECT b.*, row_number() OVER w AS turn,
           lag(transaction_id) OVER w IS NOT DISTINCT FROM transaction_id AND row_number() OVER w > 1 AS again
    FROM pg_temp.bill_row b WHERE kind = 'payment'
    WINDOW w AS (PARTITION BY order_no ORDER BY transaction_id, number)
), found AS (
    SELECT CASE
        WHEN b.again THEN 'listed_twice'
        WHEN o.id IS NULL THEN 'unknown_here'
        WHEN o.merchant_id <> %(merchant)s OR o.live <> %(live)s OR (b.app_id <> '' AND b.app_id <> o.app_id)
            OR b.whose = 'merchant' THEN 'other_account'
        WHEN o.credited_at IS NULL AND b.turn > 1 THEN 'paid_twice'
        WHEN o.transaction_id <> b.transaction_id THEN CASE
            WHEN o.paid_at >= %(start)s AND o.paid_at < %(end)s AND NOT EXISTS (
                SELECT 1 FROM pg_temp.bill_row x
                WHERE x.kind = 'payment' AND x.order_no = o.order_no AND x.transaction_id = o.transaction_id
            ) THEN 'transaction_differs' ELSE 'paid_twice' END
        WHEN o.amount_fen <> b.amount_fen THEN 'amount_differs'
        WHEN o.credited_at IS NULL THEN 'not_credited'
        WHEN b.at < %(before)s OR b.at >= %(after)s THEN 'dated_outside'
        WHEN o.paid_at < %(start)s OR o.paid_at >= %(end)s THEN 'other_day'
        END AS kind, b.order_no, b.transaction_id, b.amount_fen AS theirs, o.amount_fen AS ours, b.at, b.said
    FROM there b LEFT JOIN topup_order o ON o.order_no = b.order_no AND o.gateway = %(gateway)s
)
INSERT INTO topup_difference AS d
    (reconciliation_id, kind, order_no, transaction_id, refund_no, theirs_fen, ours_fen, at, said,
     state, note, actor, seen)
SELECT DISTINCT ON (kind, order_no, transaction_id)
    %(recon)s, kind, order_no, transaction_id, '', theirs,
    CASE WHEN kind NOT IN ('not_credited', 'paid_twice', 'listed_twice', 'other_account') THEN ours END, at, said,
    CASE kind WHEN 'other_day' THEN 'explained' ELSE 'open' END, '', '', %(run)s
FROM found WHERE kind IS NOT NULL
ON CONFLICT (reconciliation_id, kind, order_no, transaction_id, refund_no) DO UPDATE SET
    seen = excluded.seen, theirs_fen = excluded.theirs_fen, ours_fen = excluded.ours_fen, said = excluded.said,
    state = CASE WHEN d.state IN ('vanished', 'repaired') THEN excluded.state ELSE d.state END
"""

# Its day is the one on which it ended, the last whose bill it can stand in: an earlier bill has left a note.
_REFUNDS_THERE = """
WITH found AS (
    SELECT CASE
        WHEN o.id IS NULL THEN 'refund_unknown_order'
        WHEN o.merchant_id <> %(merchant)s OR o.live <> %(live)s OR (b.app_id <> '' AND b.app_id <> o.app_id)
            OR b.whose = 'merchant' THEN 'other_account'
        WHEN r.id IS NULL THEN CASE WHEN b.refund_state <> 'closed' THEN 'refund_unknown_here' END
        WHEN r.amount_fen <> b.amount_fen THEN 'refund_amount_differs'
        WHEN b.refund_state <> 'processing' AND r.finished_at IS NULL THEN 'refund_unfinished'
        WHEN (b.refund_state = 'closed') <> (r.state = 'failed') AND r.finished_at IS NOT NULL
            THEN 'refund_state_differs'
        WHEN b.at < %(before)s OR b.at >= %(after)s THEN 'dated_outside'
        WHEN r.state <> 'failed' AND (r.finished_at IS NULL OR coalesce(r.succeeded_at, r.finished_at) < %(start)s
            OR coalesce(r.succeeded_at, r.finished_at) >= %(end)s) THEN 'other_day'
        END AS kind, b.order_no, b.transaction_id, b.refund_no, b.at, b.said,
        CASE WHEN b.refund_state <> 'closed' THEN b.amount_fen END AS theirs,
        CASE WHEN r.state = 'succeeded' OR (b.refund_state = 'processing' AND r.finished_at IS NULL)
            THEN r.amount_fen END AS ours
    FROM pg_temp.bill_row b LEFT JOIN topup_order o ON o.order_no = b.order_no AND o.gateway = %(gateway)s
    LEFT JOIN LATERAL (
        SELECT * FROM topup_refund r WHERE r.order_id = o.id AND r.refund_no = b.refund_no
        ORDER BY r.state = 'failed', r.id DESC LIMIT 1
    ) r ON TRUE
    WHERE b.kind = 'refund'
)
INSERT INTO topup_difference AS d
    (reconciliation_id, kind, order_no, transaction_id, refund_no, theirs_fen, ours_fen, at, said,
     state, note, actor, seen)
SELECT DISTINCT ON (kind, order_no, transaction_id, refund_no)
    %(recon)s, kind, order_no, transaction_id, refund_no, theirs,
    CASE WHEN kind <> 'other_account' THEN ours END, at, said,
    CASE kind WHEN 'other_day' THEN 'explained' ELSE 'open' END, '', '', %(run)s
FROM found WHERE kind IS NOT NULL
ON CONFLICT (reconciliation_id, kind, order_no, transaction_id, refund_no) DO UPDATE SET
    seen = excluded.seen, theirs_fen = excluded.theirs_fen, ours_fen = excluded.ours_fen, said = excluded.said,
    state = CASE WHEN d.state IN ('vanished', 'repaired') THEN excluded.state ELSE d.state END
"""

# A state nobody knows, or a row that could not be read: `transaction_id` is then what tells its text from others.
_NOT_UNDERSTOOD = """
INSERT INTO topup_difference AS d
    (reconciliation_id, kind, order_no, transaction_id, refund_no, theirs_fen, at, said, line, text, problem,
     state, note, actor, seen)
SELECT DISTINCT ON (order_no, transaction_id)
    %(recon)s, 'not_understood', order_no, transaction_id, '', amount_fen, at, said, line, text, problem,
    'open', '', '', %(run)s
FROM pg_temp.bill_row WHERE kind IN ('other', 'odd') ORDER BY order_no, transaction_id, number
ON CONFLICT (reconciliation_id, kind, order_no, transaction_id, refund_no) DO UPDATE SET
    seen = excluded.seen, line = excluded.line,
    state = CASE WHEN d.state = 'vanished' THEN 'open' ELSE d.state END
"""

# The state of what is not in the bill: noted in another day's, or perhaps in tomorrow's, or nowhere. What stands in a
# row that was not understood is listed with that row.
_MISSING_THERE = """
WITH missing (kind, order_no, transaction_id, refund_no, amount_fen, at) AS (
    SELECT 'missing_there', o.order_no, o.transaction_id, '', o.amount_fen, o.paid_at FROM topup_order o
    WHERE o.gateway = %(gateway)s AND o.merchant_id = %(merchant)s AND o.live = %(live)s
      AND o.paid_at >= %(start)s AND o.paid_at < %(end)s AND o.credited_at <= %(asked)s
      AND NOT EXISTS (SELECT 1 FROM pg_temp.bill_row b
          WHERE b.kind IN ('payment', 'odd', 'other') AND b.order_no = o.order_no)
    UNION ALL
    SELECT 'refund_missing_there', o.order_no, o.transaction_id, r.refund_no, r.amount_fen,
        coalesce(r.succeeded_at, r.finished_at)
    FROM topup_refund r JOIN topup_order o ON o.id = r.order_id
    WHERE o.gateway = %(gateway)s AND o.merchant_id = %(merchant)s AND o.live = %(live)s
      AND r.state = 'succeeded' AND r.finished_at <= %(asked)s
      AND coalesce(r.succeeded_at, r.finished_at) >= %(start)s AND coalesce(r.succeeded_at, r.finished_at) < %(end)s
      AND NOT EXISTS (SELECT 1 FROM pg_temp.bill_row b
          WHERE b.order_no = o.order_no AND (b.kind IN ('odd', 'other')
              OR (b.kind = 'refund' AND b.refund_no = r.refund_no)))
)
INSERT INTO topup_difference AS d
    (reconciliation_id, kind, order_no, transaction_id, refund_no, ours_fen, at, said, state, note, actor, seen)
SELECT %(recon)s, m.kind, m.order_no, coalesce(m.transaction_id, ''), m.refund_no, m.amount_fen, m.at, '', CASE
    WHEN EXISTS (SELECT 1 FROM topup_difference n JOIN topup_reconciliation c ON c.id = n.reconciliation_id
        WHERE n.kind = 'other_day' AND n.order_no = m.order_no AND n.refund_no = m.refund_no AND n.state = 'explained'
          AND (c.gateway, c.merchant_id, c.live) = (%(gateway)s, %(merchant)s, %(live)s)
          AND c.day <> %(day)s) THEN 'explained'
    WHEN m.at >= %(late)s AND NOT EXISTS (SELECT 1 FROM topup_reconciliation c
        WHERE (c.gateway, c.merchant_id, c.live, c.day) = (%(gateway)s, %(merchant)s, %(live)s, %(day)s + 1)
          AND c.compared IS NOT NULL) THEN 'waiting'
    ELSE 'open' END, '', '', %(run)s
FROM missing m
ON CONFLICT (reconciliation_id, kind, order_no, transaction_id, refund_no) DO UPDATE SET
    seen = excluded.seen, ours_fen = excluded.ours_fen,
    state = CASE WHEN d.state = 'settled' AND excluded.state <> 'explained' THEN d.state ELSE excluded.state END
"""

# What another day missed and stands in this bill. One that waited for it had not been counted there.
_EXPLAIN_WAITING = """
UPDATE topup_difference d SET state = 'explained', ended = now()
FROM topup_reconciliation c, topup_difference n
WHERE c.id = d.reconciliation_id AND (c.gateway, c.merchant_id, c.live) = (%(gateway)s, %(merchant)s, %(live)s)
  AND d.kind IN ('missing_there', 'refund_missing_there') AND d.state = 'waiting'
  AND n.reconciliation_id = %(recon)s AND n.kind = 'other_day' AND n.state = 'explained'
  AND n.order_no = d.order_no AND n.refund_no = d.refund_no
"""
_EXPLAIN_OPEN = """
WITH moved AS (
    UPDATE topup_difference d SET state = 'explained', ended = now()
    FROM topup_reconciliation c, topup_difference n
    WHERE c.id = d.reconciliation_id AND (c.gateway, c.merchant_id, c.live) = (%(gateway)s, %(merchant)s, %(live)s)
      AND d.kind IN ('missing_there', 'refund_missing_there') AND d.state = 'open'
      AND n.reconciliation_id = %(recon)s AND n.kind = 'other_day' AND n.state = 'explained'
      AND n.order_no = d.order_no AND n.refund_no = d.refund_no
    RETURNING d.reconciliation_id, d.refund_no, d.ours_fen
), sums AS (
    SELECT reconciliation_id, count(*) FILTER (WHERE refund_no = '') AS payments, count(*) AS rows,
           coalesce(sum(ours_fen) FILTER (WHERE refund_no = ''), 0) AS payments_fen, sum(ours_fen) AS fen
    FROM moved GROUP BY reconciliation_id
)
UPDATE topup_reconciliation c SET
    ours_payments = c.ours_payments - s.payments, ours_payments_fen = c.ours_payments_fen - s.payments_fen,
    ours_refunds = c.ours_refunds - (s.rows - s.payments),
    ours_refunds_fen = c.ours_refunds_fen - (s.fen - s.payments_fen)
FROM sums s WHERE s.reconciliation_id = c.id
"""
# What waited for this bill in vain.
_GIVE_UP_WAITING = """
WITH moved AS (
    UPDATE topup_difference d SET state = 'open' FROM topup_reconciliation c
    WHERE c.id = d.reconciliation_id AND d.state = 'waiting'
      AND (c.gateway, c.merchant_id, c.live, c.day) = (%(gateway)s, %(merchant)s, %(live)s, %(day)s - 1)
    RETURNING d.reconciliation_id, d.refund_no, d.ours_fen
), sums AS (
    SELECT reconciliation_id, count(*) FILTER (WHERE refund_no = '') AS payments, count(*) AS rows,
           coalesce(sum(ours_fen) FILTER (WHERE refund_no = ''), 0) AS payments_fen, sum(ours_fen) AS fen
    FROM moved GROUP BY reconciliation_id
)
UPDATE topup_reconciliation c SET
    ours_payments = c.ours_payments + s.payments, ours_payments_fen = c.ours_payments_fen + s.payments_fen,
    ours_refunds = c.ours_refunds + (s.rows - s.payments),
    ours_refunds_fen = c.ours_refunds_fen + (s.fen - s.payments_fen)
FROM sums s WHERE s.reconciliation_id = c.id
"""
_OTHER_DAYS_STATES = """
UPDATE topup_reconciliation c SET state = w.state FROM (
    SELECT c.id, CASE WHEN EXISTS (
        SELECT 1 FROM topup_difference d WHERE d.reconciliation_id = c.id AND d.state = 'open'
    ) THEN 'differs' ELSE 'agreed' END AS state
    FROM topup_reconciliation c
    WHERE (c.gateway, c.merchant_id, c.live) = (%(gateway)s, %(merchant)s, %(live)s) AND c.id <> %(recon)s
      AND c.state IN ('agreed', 'differs')
) w WHERE w.id = c.id AND w.state <> c.state
"""

# What is not found any more. Nobody but a payment, a refund or their sweep makes a repairable one go away.
_VANISH = """
UPDATE topup_difference SET ended = now(), state = CASE
    WHEN kind IN ('not_credited', 'refund_unknown_here', 'refund_unfinished') THEN 'repaired' ELSE 'vanished' END
WHERE reconciliation_id = %(recon)s AND seen < %(run)s AND state IN ('open', 'waiting', 'explained')
"""

_TOTALS_THERE = """
SELECT count(*) FILTER (WHERE kind = 'payment'), coalesce(sum(amount_fen) FILTER (WHERE kind = 'payment'), 0)::bigint,
       count(*) FILTER (WHERE kind = 'refund' AND refund_state <> 'closed'),
       coalesce(sum(amount_fen) FILTER (WHERE kind = 'refund' AND refund_state <> 'closed'), 0)::bigint,
       coalesce(sum(fee), 0)
FROM pg_temp.bill_row
"""
_NAMES_THERE = ("theirs_payments", "theirs_payments_fen", "theirs_refunds", "theirs_refunds_fen", "fee")
_PAYMENT_TOTALS_HERE = """
SELECT count(*), coalesce(sum(amount_fen), 0)::bigint FROM (
    SELECT o.id, o.amount_fen FROM pg_temp.bill_row b JOIN topup_order o ON o.order_no = b.order_no
    WHERE b.kind = 'payment' AND o.transaction_id = b.transaction_id AND o.credited_at IS NOT NULL
      AND o.gateway = %(gateway)s AND o.merchant_id = %(merchant)s AND o.live = %(live)s
      AND (b.app_id = '' OR b.app_id = o.app_id)
    UNION
    SELECT o.id, o.amount_fen FROM topup_difference d JOIN topup_order o ON o.order_no = d.order_no
    WHERE d.reconciliation_id = %(recon)s AND d.state IN ('open', 'settled')
      AND d.kind IN ('missing_there', 'transaction_differs')
) here
"""
_REFUND_TOTALS_HERE = """
SELECT count(*), coalesce(sum(amount_fen), 0)::bigint FROM (
    SELECT r.id, r.amount_fen FROM pg_temp.bill_row b JOIN topup_order o ON o.order_no = b.order_no
    JOIN topup_refund r ON r.order_id = o.id AND r.refund_no = b.refund_no
    WHERE b.kind = 'refund' AND (r.state = 'succeeded' OR (b.refund_state = 'processing' AND r.finished_at IS NULL))
      AND o.gateway = %(gateway)s AND o.merchant_id = %(merchant)s AND o.live = %(live)s
      AND (b.app_id = '' OR b.app_id = o.app_id)
    UNION
    SELECT r.id, r.amount_fen FROM topup_difference d JOIN topup_order o ON o.order_no = d.order_no
    JOIN topup_refund r ON r.order_id = o.id AND r.refund_no = d.refund_no AND r.state = 'succeeded'
    WHERE d.reconciliation_id = %(recon)s AND d.state IN ('open', 'settled') AND d.kind = 'refund_missing_there'
) here
"""


def compare(day: ComparedDay) -> None:
    """Write down every difference between the staged bill and our books, all or nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(NO_HURRY)
        # Two comparisons of one day, should there ever be two, write one after the other.
        Reconciliation.objects.select_for_update().get(pk=day.reconciliation.pk)
        cursor.execute(_PAYMENTS_THERE, day.params)
        cursor.execute(_REFUNDS_THERE, day.params)
        cursor.execute(_NOT_UNDERSTOOD, day.params)
        cursor.execute(_MISSING_THERE, day.params)
        cursor.execute(_VANISH, day.params)
        cursor.execute(_EXPLAIN_WAITING, day.params)
        cursor.execute(_EXPLAIN_OPEN, day.params)
        cursor.execute(_GIVE_UP_WAITING, day.params)
        cursor.execute(_OTHER_DAYS_STATES, day.params)


def totals(day: ComparedDay) -> dict[str, int | Decimal]:
    """Both sides of the day, by the names of Reconciliation's columns."""
    found: dict[str, int | Decimal] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(NO_HURRY)
        for statement, names in (
            (_TOTALS_THERE, _NAMES_THERE),
            (_PAYMENT_TOTALS_HERE, ("ours_payments", "ours_payments_fen")),
            (_REFUND_TOTALS_HERE, ("ours_refunds", "ours_refunds_fen")),
        ):
            cursor.execute(statement, day.params)
            found |= zip(names, cursor.fetchone(), strict=True)
    return found
