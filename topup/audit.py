"""The invariants of orders, for `manage.py audit`: what is paid is credited, and what is credited was paid."""

from collections.abc import Iterable

from voicehelper.wallet.findings import Check, Finding, Scope, rows

from .models.orders import KEYLESS


def each_paid_order_has_one_entry(scope: Scope) -> Iterable[Finding]:
    found = rows(
        """
        SELECT o.order_no, o.quota, COUNT(e.id), COALESCE(SUM(e.amount), 0),
               COUNT(e.id) FILTER (WHERE w.user_id <> o.user_id)
        FROM topup_order o
        LEFT JOIN wallet_entry e ON e.kind = 'topup' AND e.ref = o.order_no
        LEFT JOIN wallet_wallet w ON w.id = e.wallet_id
        WHERE o.state IN ('paid', 'partly_refunded', 'refunded')
          AND o.credited_at > %s
        GROUP BY o.id HAVING COUNT(e.id) <> 1 OR SUM(e.amount) <> o.quota
            OR COUNT(e.id) FILTER (WHERE w.user_id <> o.user_id) > 0
        ORDER BY o.id
        """,
        scope.since,
    )
    for order_no, quota, entries, total, strangers in found:
        problem = f"agreed on {quota} quota, has {entries} entries over {total}"
        yield Finding(
            "a paid order has one entry", f"order {order_no}", problem + (" in another wallet" if strangers else "")
        )


def no_entry_without_a_paid_order(scope: Scope) -> Iterable[Finding]:
    found = rows(
        """
        SELECT e.id, e.ref, e.amount, o.state FROM wallet_entry e
        LEFT JOIN topup_order o ON o.order_no = e.ref
        WHERE e.kind = 'topup' AND e.id > %s
          AND (o.id IS NULL OR o.state NOT IN ('paid', 'partly_refunded', 'refunded'))
        ORDER BY e.id
        """,
        scope.after,
    )
    for entry, ref, amount, state in found:
        yield Finding(
            "no entry without a paid order",
            f"entry {entry}",
            f"{amount} quota for order {ref}, which is {state or 'unknown'}",
        )


def each_redeemed_code_has_one_entry(scope: Scope) -> Iterable[Finding]:
    found = rows(
        """
        SELECT c.id, b.quota, e.amount, w.user_id = c.redeemed_by_id FROM topup_redemptioncode c
        JOIN topup_codebatch b ON b.id = c.batch_id
        LEFT JOIN wallet_entry e ON e.kind = 'gift' AND e.ref = 'code:' || c.id
        LEFT JOIN wallet_wallet w ON w.id = e.wallet_id
        WHERE c.redeemed_at > %s
          AND (e.id IS NULL OR e.amount <> b.quota OR w.user_id <> c.redeemed_by_id)
        ORDER BY c.id
        """,
        scope.since,
    )
    for code, quota, amount, same_user in found:
        said = "nothing was credited" if amount is None else f"{amount} were credited"
        stranger = "" if same_user or amount is None else " to another user"
        yield Finding("a redeemed code has one entry", f"code {code}", f"worth {quota} quota, {said}{stranger}")


def no_entry_without_a_redeemed_code(scope: Scope) -> Iterable[Finding]:
    found = rows(
        """
        SELECT e.id, e.ref, e.amount FROM wallet_entry e
        LEFT JOIN topup_redemptioncode c ON 'code:' || c.id = e.ref AND c.redeemed_at IS NOT NULL
        WHERE e.kind = 'gift' AND e.ref LIKE 'code:%%' AND e.id > %s AND c.id IS NULL ORDER BY e.id
        """,
        scope.after,
    )
    for entry, ref, amount in found:
        yield Finding("no entry without a redeemed code", f"entry {entry}", f"{amount} quota for {ref}")


def nothing_is_stuck(scope: Scope) -> Iterable[Finding]:
    """An open order long past its time means that the sweep does not run, or that the provider never answers. One of an
    account whose keys nobody knows breaks no rule: see `still_to_be_asked`."""
    found = rows(
        """
        SELECT order_no, state, expires_at FROM topup_order
        WHERE state IN ('created', 'pending') AND expires_at < now() - interval '2 hours' AND review <> %s
        ORDER BY id LIMIT 100
        """,
        KEYLESS,
    )
    for order_no, state, expires_at in found:
        yield Finding(
            "nothing stuck", f"order {order_no}", f"still {state}, expired at {expires_at:%Y-%m-%d %H:%M} UTC"
        )


def still_to_be_asked() -> Iterable[str]:
    """Orders under way that nobody can be asked about, for want of their account's keys."""
    found = rows(
        """
        SELECT gateway, merchant_id, COUNT(*) FROM topup_order
        WHERE state IN ('created', 'pending') AND review = %s GROUP BY gateway, merchant_id ORDER BY 1, 2
        """,
        KEYLESS,
    )
    for gateway, merchant, count in found:
        whose = f"merchant {merchant} at {gateway}, whose keys are not known any more"
        yield f"still to be asked: {count} orders of {whose}"


def what_went_back_before_is_taken_back(scope: Scope) -> Iterable[Finding]:
    """What was known to be given back before the credit is mirrored by refunds, unless somebody has to look at it."""
    found = rows(
        """
        SELECT o.order_no, o.refunded_fen, COALESCE(SUM(r.amount_fen), 0) FROM topup_order o
        LEFT JOIN topup_refund r ON r.order_id = o.id AND r.state <> 'failed' AND r.surplus_id IS NULL
        WHERE o.refund_told_by <> '' AND o.credited_at > %s AND o.review = ''
        GROUP BY o.id HAVING COALESCE(SUM(r.amount_fen), 0) < o.refunded_fen ORDER BY o.id
        """,
        scope.since,
    )
    for order_no, back, mirrored in found:
        problem = f"{back} fen went back before it was credited, {mirrored} of them are taken back"
        yield Finding("credit = paid and not given back", f"order {order_no}", problem)


def refunds_are_at_most_what_was_paid(scope: Scope) -> Iterable[Finding]:
    """In money and in quota; and the order's state says how much of it went back."""
    found = rows(
        """
        SELECT o.order_no, o.state, o.amount_fen, o.quota, r.fen, r.due FROM topup_order o
        JOIN (
            SELECT order_id, SUM(amount_fen) FILTER (WHERE state = 'succeeded') AS fen,
                   SUM(quota_due) FILTER (WHERE state = 'succeeded') AS due
            FROM topup_refund
            WHERE surplus_id IS NULL
              AND order_id IN (SELECT order_id FROM topup_refund WHERE created > %s OR finished_at > %s)
            GROUP BY order_id
        ) r ON r.order_id = o.id
        WHERE r.fen > o.amount_fen OR r.due > o.quota
           OR (r.fen = o.amount_fen AND r.due <> o.quota)
           OR o.state <> CASE WHEN r.fen >= o.amount_fen THEN 'refunded' WHEN r.fen > 0 THEN 'partly_refunded'
                              WHEN o.state IN ('refunded', 'partly_refunded') THEN 'paid' ELSE o.state END
        ORDER BY o.id
        """,
        scope.since,
        scope.since,
    )
    for order_no, state, paid, quota, fen, due in found:
        problem = f"is {state}: {fen or 0} of {paid} fen refunded, {due} of {quota} quota to be taken back"
        yield Finding("refunds <= paid", f"order {order_no}", problem)


def surplus_payments_go_back_once(scope: Scope) -> Iterable[Finding]:
    """No more of one than was paid, no quota with it, and it counts as given back when all of it was."""
    found = rows(
        """
        SELECT s.transaction_id, s.state, s.amount_fen, r.fen, r.quota FROM topup_surpluspayment s
        LEFT JOIN LATERAL (
            SELECT COALESCE(SUM(amount_fen) FILTER (WHERE state = 'succeeded'), 0) AS fen,
                   COALESCE(SUM(quota_due), 0) AS quota
            FROM topup_refund WHERE surplus_id = s.id
        ) r ON TRUE
        WHERE r.fen > s.amount_fen OR r.quota <> 0 OR (s.state = 'refunded' AND r.fen < s.amount_fen)
           OR (s.state = 'open' AND r.fen >= s.amount_fen)
        ORDER BY s.id
        """
    )
    for transaction_id, state, paid, fen, quota in found:
        problem = f"is {state}: {fen} of {paid} fen refunded, {quota} quota taken back"
        yield Finding("refunds <= paid", f"surplus payment {transaction_id}", problem)


def no_order_is_refunded_without_refunds(scope: Scope) -> Iterable[Finding]:
    found = rows(
        """
        SELECT o.order_no, o.state FROM topup_order o
        WHERE o.state IN ('partly_refunded', 'refunded') AND o.credited_at > %s
          AND NOT EXISTS (
              SELECT 1 FROM topup_refund r
              WHERE r.order_id = o.id AND r.state = 'succeeded' AND r.surplus_id IS NULL
          )
        ORDER BY o.id
        """,
        scope.since,
    )
    for order_no, state in found:
        yield Finding("refunds <= paid", f"order {order_no}", f"is {state} without a refund that succeeded")


def each_refund_has_one_entry(scope: Scope) -> Iterable[Finding]:
    """Of the quota it took, in the wallet of the order's user; nothing else is taken back as a refund."""
    found = rows(
        """
        SELECT r.ref, r.state, r.quota, COUNT(e.id), COALESCE(SUM(e.amount), 0),
               COUNT(e.id) FILTER (WHERE w.user_id <> o.user_id)
        FROM topup_refund r
        JOIN topup_order o ON o.id = r.order_id
        LEFT JOIN wallet_entry e ON e.kind = 'refund' AND e.ref = r.ref
        LEFT JOIN wallet_wallet w ON w.id = e.wallet_id
        WHERE r.created > %s OR r.finished_at > %s OR r.state IN ('requested', 'submitted', 'unknown')
        GROUP BY r.id
        HAVING COALESCE(SUM(e.amount), 0) <> CASE WHEN r.state = 'succeeded' THEN -r.quota ELSE 0 END
            OR COUNT(e.id) <> CASE WHEN r.state = 'succeeded' AND r.quota > 0 THEN 1 ELSE 0 END
            OR COUNT(e.id) FILTER (WHERE w.user_id <> o.user_id) > 0
        ORDER BY r.id
        """,
        scope.since,
        scope.since,
    )
    for ref, state, quota, entries, total, strangers in found:
        problem = f"is {state} over {quota} quota, has {entries} entries over {total}"
        yield Finding("a refund has one entry", f"refund {ref}", problem + (" in another wallet" if strangers else ""))


def no_refund_entry_without_a_refund(scope: Scope) -> Iterable[Finding]:
    found = rows(
        """
        SELECT e.id, e.ref, e.amount FROM wallet_entry e LEFT JOIN topup_refund r ON r.ref = e.ref
        WHERE e.kind = 'refund' AND r.id IS NULL AND e.id > %s ORDER BY e.id
        """,
        scope.after,
    )
    for entry, ref, amount in found:
        yield Finding("a refund has one entry", f"entry {entry}", f"{amount} quota for an unknown refund {ref}")


def open_refunds_hold_their_quota(scope: Scope) -> Iterable[Finding]:
    """While a refund is open its quota is held; when it has ended, nothing is."""
    found = rows(
        """
        SELECT r.ref, r.state, r.quota, COALESCE(h.amount, 0) FROM topup_refund r
        LEFT JOIN wallet_hold h ON h.ref = r.ref AND h.state = 'open'
        WHERE (r.created > %s OR r.finished_at > %s OR r.state IN ('requested', 'submitted', 'unknown'))
          AND COALESCE(h.amount, 0) <> CASE WHEN r.state IN ('succeeded', 'failed') THEN 0 ELSE r.quota END
        ORDER BY r.id
        """,
        scope.since,
        scope.since,
    )
    for ref, state, quota, held in found:
        yield Finding("held = open refunds", f"refund {ref}", f"is {state} over {quota} quota, holds {held}")


def no_refund_is_stuck(scope: Scope) -> Iterable[Finding]:
    """An open refund that nobody asks about means that the sweep does not run. One that waits for a person may wait."""
    found = rows(
        """
        SELECT ref, state, created FROM topup_refund
        WHERE state IN ('requested', 'submitted', 'unknown')
          AND NOT (state = 'requested' AND needs_approval AND approved_by = '')
          AND COALESCE(next_ask_at, created) < now() - interval '2 hours' ORDER BY id LIMIT 100
        """
    )
    for ref, state, created in found:
        yield Finding("nothing stuck", f"refund {ref}", f"still {state}, made at {created:%Y-%m-%d %H:%M} UTC")


CHECKS: list[Check] = [
    each_paid_order_has_one_entry,
    no_entry_without_a_paid_order,
    each_redeemed_code_has_one_entry,
    no_entry_without_a_redeemed_code,
    nothing_is_stuck,
    what_went_back_before_is_taken_back,
    refunds_are_at_most_what_was_paid,
    surplus_payments_go_back_once,
    no_order_is_refunded_without_refunds,
    each_refund_has_one_entry,
    no_refund_entry_without_a_refund,
    open_refunds_hold_their_quota,
    no_refund_is_stuck,
]
