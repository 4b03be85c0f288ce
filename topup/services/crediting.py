"""What `settle_order` does to the books: order, wallet, entry and notice change together, or nothing does.

One statement, and so one transaction and one wait for the database. It moves the order as `Order.move` would, from what
it was read as and no other, then does what the wallet's own statement does (wallet/statements.py).
"""

from voicehelper.wallet.services import MAX_QUOTA, wallet_of
from voicehelper.wallet.statements import post_because, run

from ..gateways.orders import Receipt
from ..models import Order
from ..models.orders import GIVEN_BACK_SOME

# {id, state, refunded_fen, refund_numbers} as the order was read; what it becomes; `notice` is the id of the one that
# brought the receipt, or null; `reviewed` the reason for a review that is over with the credit.
_CREDIT = post_because(
    "topup_credit",
    """told AS (
        SELECT * FROM json_to_record($1::json) AS r(
            id bigint, state text, refunded_fen bigint, refund_numbers text, transaction_id text,
            paid_at timestamptz, by_hand boolean, late boolean, source text, actor text, reason text, notice bigint,
            reviewed text
        )
    ), paid AS (
        UPDATE topup_order o SET state = 'paid', transaction_id = t.transaction_id,
            paid_at = COALESCE(t.paid_at, CASE WHEN NOT t.by_hand THEN statement_timestamp() END),
            credited_at = statement_timestamp(), credited_by = t.source, paid_late = t.late, failure = '',
            review = CASE WHEN o.review = t.reviewed THEN '' ELSE o.review END, next_ask_at = NULL
        FROM told t
        WHERE o.id = t.id AND o.state = t.state AND o.refunded_fen = t.refunded_fen
            AND o.refund_numbers = t.refund_numbers
            AND EXISTS (SELECT FROM wallet_wallet w WHERE w.user_id = o.user_id)
        RETURNING o.user_id, o.quota, o.order_no, t.actor, t.reason
    ), asked AS (
        SELECT user_id, quota AS amount, 'topup' AS kind, order_no AS ref, actor, reason FROM paid
    )""",
    """UPDATE topup_notice SET verdict = 'credited', detail = '', acknowledged = TRUE
        WHERE id = (SELECT notice FROM told) AND EXISTS (SELECT FROM written)""",
)


def credit_order(
    order: Order,
    receipt: Receipt,
    *,
    source: str,
    late: bool,
    by_hand: bool,
    actor: str,
    reason: str,
    notice: int | None,
) -> bool:
    """Credit an order for a receipt. False: it changed since it was read. Raises IntegrityError when the transaction
    or the order was credited before."""
    if not 0 < order.quota <= MAX_QUOTA:
        raise ValueError(f"An order credits between 1 and {MAX_QUOTA} quota, not {order.quota}.")
    if Order.State.PAID not in Order.MOVES[order.state]:
        return False
    told = {
        "id": order.pk,
        "state": order.state,
        "refunded_fen": order.refunded_fen,
        "refund_numbers": order.refund_numbers,
        "transaction_id": receipt.transaction_id,
        "paid_at": receipt.paid_at,
        "by_hand": by_hand,
        "late": late,
        "source": source,
        "actor": actor or source,
        "reason": reason,
        "notice": notice,
        "reviewed": GIVEN_BACK_SOME,
    }
    if run(_CREDIT, told)["entry"] is not None:
        return True
    # A buyer's first recharge makes his wallet.
    wallet_of(order.user)
    return False
