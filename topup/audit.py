"""The invariants of orders, for `manage.py audit`: what is paid is credited, and what is credited was paid."""

from collections.abc import Iterable

from voicehelper.wallet.audit import Check, Finding, rows


def each_paid_order_has_one_entry(after: int) -> Iterable[Finding]:
    found = rows(
        """
        SELECT o.order_no, o.quota, COUNT(e.id), COALESCE(SUM(e.amount), 0),
               COUNT(e.id) FILTER (WHERE w.user_id <> o.user_id)
        FROM topup_order o
        LEFT JOIN wallet_entry e ON e.kind = 'topup' AND e.ref = o.order_no
        LEFT JOIN wallet_wallet w ON w.id = e.wallet_id
        WHERE o.state IN ('paid', 'partly_refunded', 'refunded')
          AND (%s = 0 OR o.credited_at > now() - interval '1 day')
        GROUP BY o.id HAVING COUNT(e.id) <> 1 OR SUM(e.amount) <> o.quota
            OR COUNT(e.id) FILTER (WHERE w.user_id <> o.user_id) > 0
        ORDER BY o.id
        """,
        after,
    )
    for order_no, quota, entries, total, strangers in found:
        problem = f"agreed on {quota} quota, has {entries} entries over {total}"
        yield Finding(
            "a paid order has one entry", f"order {order_no}", problem + (" in another wallet" if strangers else "")
        )


def no_entry_without_a_paid_order(after: int) -> Iterable[Finding]:
    found = rows(
        """
        SELECT e.id, e.ref, e.amount, o.state FROM wallet_entry e
        LEFT JOIN topup_order o ON o.order_no = e.ref
        WHERE e.kind = 'topup' AND e.id > %s
          AND (o.id IS NULL OR o.state NOT IN ('paid', 'partly_refunded', 'refunded'))
        ORDER BY e.id
        """,
        after,
    )
    for entry, ref, amount, state in found:
        yield Finding(
            "no entry without a paid order",
            f"entry {entry}",
            f"{amount} quota for order {ref}, which is {state or 'unknown'}",
        )


def each_redeemed_code_has_one_entry(after: int) -> Iterable[Finding]:
    found = rows(
        """
        SELECT c.id, b.quota, e.amount, w.user_id = c.redeemed_by_id FROM topup_redemptioncode c
        JOIN topup_codebatch b ON b.id = c.batch_id
        LEFT JOIN wallet_entry e ON e.kind = 'gift' AND e.ref = 'code:' || c.id
        LEFT JOIN wallet_wallet w ON w.id = e.wallet_id
        WHERE c.redeemed_at IS NOT NULL AND (%s = 0 OR c.redeemed_at > now() - interval '1 day')
          AND (e.id IS NULL OR e.amount <> b.quota OR w.user_id <> c.redeemed_by_id)
        ORDER BY c.id
        """,
        after,
    )
    for code, quota, amount, same_user in found:
        said = "nothing was credited" if amount is None else f"{amount} were credited"
        stranger = "" if same_user or amount is None else " to another user"
        yield Finding("a redeemed code has one entry", f"code {code}", f"worth {quota} quota, {said}{stranger}")


def no_entry_without_a_redeemed_code(after: int) -> Iterable[Finding]:
    found = rows(
        """
        SELECT e.id, e.ref, e.amount FROM wallet_entry e
        LEFT JOIN topup_redemptioncode c ON 'code:' || c.id = e.ref AND c.redeemed_at IS NOT NULL
        WHERE e.kind = 'gift' AND e.ref LIKE 'code:%%' AND e.id > %s AND c.id IS NULL ORDER BY e.id
        """,
        after,
    )
    for entry, ref, amount in found:
        yield Finding("no entry without a redeemed code", f"entry {entry}", f"{amount} quota for {ref}")


def nothing_is_stuck(after: int) -> Iterable[Finding]:
    """An open order long past its time means that the sweep does not run, or that the provider never answers."""
    found = rows(
        """
        SELECT order_no, state, expires_at FROM topup_order
        WHERE state IN ('created', 'pending') AND expires_at < now() - interval '2 hours' ORDER BY id LIMIT 100
        """
    )
    for order_no, state, expires_at in found:
        yield Finding(
            "nothing stuck", f"order {order_no}", f"still {state}, expired at {expires_at:%Y-%m-%d %H:%M} UTC"
        )


CHECKS: list[Check] = [
    each_paid_order_has_one_entry,
    no_entry_without_a_paid_order,
    each_redeemed_code_has_one_entry,
    no_entry_without_a_redeemed_code,
    nothing_is_stuck,
]
