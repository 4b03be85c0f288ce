"""What calls came to by day, model and latency: statistics and margins cost by their days, not by their calls.

See wallet/adding_up.py: whoever reads adds the rows above the mark (`CELLS`). A row that is deleted before it was added
up is added by a trigger, so that the sums are of all calls there ever were. Latencies are kept by their logarithm, in
steps of five per cent.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.db import connection

from voicehelper import clock
from voicehelper.wallet.adding_up import WITHIN, AddingUp
from voicehelper.wallet.findings import Check, Finding, Scope, rows

STEPS_PER_E = 20
STEP = f"floor(ln(greatest(latency_ms::float8, 1.0)) * {STEPS_PER_E})::smallint"
_DAY = "(created AT TIME ZONE 'Asia/Shanghai')::date"
_COUNTED = ("calls", "failures", "answered", "input_tokens", "output_tokens", "quota", "costed", "cost")
_SUMS = ", ".join(f"{name} = s.{name} + EXCLUDED.{name}" for name in _COUNTED)
# Of one row.
_ROW = f"""
    {_DAY} AS day, model_name, provider, operation, {STEP} AS step, 1 AS calls, (outcome = 'failed')::int AS failures,
    (outcome = 'ok')::int AS answered, input_tokens, output_tokens, quota,
    CASE WHEN cost IS NULL THEN 0 ELSE quota END AS costed, COALESCE(cost, 0) AS cost
"""
_ADD = f"""
    INSERT INTO llm_usagedaysum AS s (day, model_name, provider, operation, step, {", ".join(_COUNTED)})
    SELECT day, model_name, provider, operation, step, {", ".join(f"SUM({name})" for name in _COUNTED)}
    FROM (SELECT {_ROW} FROM llm_usage WHERE id > %(after)s AND id <= %(up_to)s) each
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (day, model_name, provider, operation, step) DO UPDATE SET {_SUMS}
"""  # noqa: S608  # nosec B608  # constants only

# Of the days from `first` on, up to and with `last`, which begin and end at `begin` and `end`. (ORDER BY and OFFSET, or
# PostgreSQL, which does not know the mark, reads all calls of the days to leave out nearly all of them.)
CELLS = f"""
    SELECT day, model_name, provider, operation, step, {", ".join(_COUNTED)} FROM llm_usagedaysum
    WHERE day >= %(first)s AND day <= %(last)s
    UNION ALL
    SELECT {_ROW} FROM (
        SELECT * FROM llm_usage WHERE id > (SELECT COALESCE(MAX(up_to_row), 0) FROM llm_usagedaysummark)
        ORDER BY id OFFSET 0
    ) fresh
    WHERE created >= %(begin)s AND created < %(end)s
"""  # noqa: S608  # nosec B608  # constants only
# Of calls by the minute: as the days', each row for itself.
MINUTES = f"""
    SELECT date_trunc('minute', created) AS day, {_ROW.partition(" AS day, ")[2]} FROM llm_usage
    WHERE created >= %(begin)s
"""  # noqa: S608  # nosec B608  # constants only

_USAGE = AddingUp("llm_usage", "llm_usagedaysummark", "up_to_row", _ADD)


def add_up(within: timedelta = WITHIN) -> int:
    """Add new rows; returns how many steps it took."""
    return _USAGE.run(within)


def cells_of(first: date, last: date) -> dict[str, Any]:
    """What CELLS is asked with."""
    return {
        "first": first,
        "last": last,
        "begin": clock.midnight(first),
        "end": clock.midnight(last + timedelta(days=1)),
    }


def totals(columns: str, first: date, last: date) -> tuple[int, ...]:
    """Sums over some days; `columns` are constant SQL."""
    summed = f"SELECT {columns} FROM ({CELLS}) each"  # noqa: S608  # nosec B608
    with connection.cursor() as cursor:
        cursor.execute(summed, cells_of(first, last))
        return tuple(int(total or 0) for total in cursor.fetchone())


_WRONG = f"""
    SELECT COALESCE(s.day, r.day), model_name, s.calls, r.calls, s.quota, r.quota, s.costed, r.costed, s.cost, r.cost
    FROM (
        SELECT day, model_name, SUM(calls) AS calls, SUM(quota) AS quota, SUM(costed) AS costed, SUM(cost) AS cost
        FROM llm_usagedaysum GROUP BY 1, 2
    ) s
    FULL JOIN (
        SELECT day, model_name, SUM(calls) AS calls, SUM(quota) AS quota, SUM(costed) AS costed, SUM(cost) AS cost
        FROM (
            SELECT {_ROW} FROM llm_usage WHERE id <= (SELECT MAX(up_to_row) FROM llm_usagedaysummark)
            UNION ALL
            SELECT (hour AT TIME ZONE 'Asia/Shanghai')::date, model_name, provider, operation, -1, calls, failures, 0,
                   input_tokens, output_tokens, quota, costed, cost
            FROM llm_usagesum
        ) each GROUP BY 1, 2
    ) r USING (day, model_name)
    WHERE (s.calls, s.quota, s.costed, s.cost) IS DISTINCT FROM (r.calls, r.quota, r.costed, r.cost)
    ORDER BY 1, 2 LIMIT 100
"""  # noqa: S608  # nosec B608  # constants only


def usage_day_sums_are_the_sums_of_calls(scope: Scope) -> Iterable[Finding]:
    """For the full audit."""
    for day, model, *pairs in rows(_WRONG) if scope.full else ():
        said, found = (", ".join(str(number) for number in pairs[side::2]) for side in (0, 1))
        problem = f"say {said} (calls, quota, costed, cost), calls add up to {found}"
        yield Finding("day sums = calls", f"{model} on {day}", problem)


CHECKS: list[Check] = [usage_day_sums_are_the_sums_of_calls]
