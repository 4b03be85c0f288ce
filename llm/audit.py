"""The invariants of spending, for `manage.py audit`: each charge has its usage row, and they say the same. What was
charged by calls whose rows are archived must be in the sums that were kept of them (retention.py)."""

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
          AND (u.id IS NOT NULL OR NOT EXISTS (
              SELECT FROM llm_usagesum s WHERE s.user_id = w.user_id AND s.hour = date_trunc('hour', e.created, 'UTC')
          ))
        ORDER BY e.id
        """,
        scope.after,
    )
    for entry, ref, charged, quota, same_user in found:
        said = "has no usage row" if quota is None else f"its usage row says {quota}"
        stranger = "" if same_user or quota is None else " for another user"
        yield Finding("a charge has its usage row", f"entry {entry} ({ref})", f"charged {charged}, {said}{stranger}")


def charges_without_a_row_are_in_the_sums(scope: Scope) -> Iterable[Finding]:
    if not scope.full:
        return
    found = rows(
        """
        SELECT user_id, hour, s.quota, COALESCE(c.charged, 0) FROM (
            SELECT user_id, hour, SUM(quota) AS quota FROM llm_usagesum GROUP BY user_id, hour
        ) s
        LEFT JOIN (
            SELECT w.user_id, date_trunc('hour', e.created, 'UTC') AS hour, -SUM(e.amount) AS charged
            FROM wallet_entry e JOIN wallet_wallet w ON w.id = e.wallet_id
            WHERE e.kind = 'spend' AND e.ref LIKE 'req\\_%%'
              AND e.created < (SELECT MAX(hour) + interval '1 hour' FROM llm_usagesum)
              AND NOT EXISTS (SELECT FROM llm_usage u WHERE u.request_id = e.ref)
            GROUP BY 1, 2
        ) c USING (user_id, hour)
        WHERE s.quota <> COALESCE(c.charged, 0) ORDER BY hour, user_id
        """
    )
    for user, hour, quota, charged in found:
        problem = f"{charged} were charged by calls whose rows are gone, their sums say {quota}"
        yield Finding("a charge has its usage row", f"user {user} in the hour of {hour:%Y-%m-%d %H:%M} UTC", problem)


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


CHECKS: list[Check] = [
    each_charge_has_its_usage_row,
    charges_without_a_row_are_in_the_sums,
    no_usage_without_a_charge,
]
