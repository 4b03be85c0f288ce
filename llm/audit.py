"""The invariants of spending, for `manage.py audit`: each charge has its usage row, and they say the same."""

from collections.abc import Iterable

from voicehelper.wallet.findings import Check, Finding, Scope, rows


def each_charge_has_its_usage_row(scope: Scope) -> Iterable[Finding]:
    found = rows(
        """
        SELECT e.id, e.ref, -e.amount, u.quota, w.user_id = u.user_id FROM wallet_entry e
        JOIN wallet_wallet w ON w.id = e.wallet_id
        LEFT JOIN llm_usage u ON u.request_id = e.ref
        WHERE e.kind = 'spend' AND e.id > %s AND e.ref LIKE 'req\\_%%'
          AND (u.id IS NULL OR u.quota <> -e.amount OR u.user_id <> w.user_id)
        ORDER BY e.id
        """,
        scope.after,
    )
    for entry, ref, charged, quota, same_user in found:
        said = "has no usage row" if quota is None else f"its usage row says {quota}"
        stranger = "" if same_user or quota is None else " for another user"
        yield Finding("a charge has its usage row", f"entry {entry} ({ref})", f"charged {charged}, {said}{stranger}")


def no_usage_without_a_charge(scope: Scope) -> Iterable[Finding]:
    found = rows(
        """
        SELECT u.request_id, u.quota FROM llm_usage u
        LEFT JOIN wallet_entry e ON e.kind = 'spend' AND e.ref = u.request_id
        WHERE u.quota > 0 AND e.id IS NULL AND u.created > %s
        ORDER BY u.id
        """,
        scope.since,
    )
    for request_id, quota in found:
        yield Finding("no usage without a charge", f"usage {request_id}", f"says {quota} quota, nothing was charged")


CHECKS: list[Check] = [each_charge_has_its_usage_row, no_usage_without_a_charge]
