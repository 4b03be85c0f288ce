"""How long calls are kept one by one. Before their rows go they are added up, so that no page that adds up calls ever
shows another sum: whoever adds up reads usage rows and usage sums (usage.py, upstream_bills.py), or the sums of days,
which are of all (usage_days.py)."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from voicehelper.retention import GrowingLog

from .models import ChatMessage, SafetyVerdict, Usage

# One statement: no row goes without its sums, and none is added twice.
_ADD_UP_AND_DELETE = """
    WITH gone AS (
        DELETE FROM llm_usage WHERE id = ANY(%s) RETURNING *
    ), summed AS (
        INSERT INTO llm_usagesum AS s (
            user_id, hour, model_name, provider, operation, calls, failures, input_tokens, output_tokens, quota,
            uncollected, costed, cost
        )
        SELECT user_id, date_trunc('hour', created, 'UTC'), model_name, provider, operation, COUNT(*),
               COUNT(*) FILTER (WHERE outcome = 'failed'), SUM(input_tokens), SUM(output_tokens), SUM(quota),
               SUM(uncollected), COALESCE(SUM(quota) FILTER (WHERE cost IS NOT NULL), 0), COALESCE(SUM(cost), 0)
        FROM gone GROUP BY 1, 2, 3, 4, 5
        ON CONFLICT (user_id, hour, model_name, provider, operation) DO UPDATE SET
            calls = s.calls + EXCLUDED.calls, failures = s.failures + EXCLUDED.failures,
            input_tokens = s.input_tokens + EXCLUDED.input_tokens,
            output_tokens = s.output_tokens + EXCLUDED.output_tokens,
            quota = s.quota + EXCLUDED.quota, uncollected = s.uncollected + EXCLUDED.uncollected,
            costed = s.costed + EXCLUDED.costed, cost = s.cost + EXCLUDED.cost
    )
    SELECT COUNT(*) FROM gone
"""


def _not_needed(rows: "QuerySet[Any]") -> "QuerySet[Any]":
    """Not of an answer that has yet to be told what it cost."""
    return rows.exclude(
        request_id__in=ChatMessage.objects.filter(quota=None).exclude(request_id="").values("request_id")
    )


def _add_up_and_delete(ids: Sequence[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_ADD_UP_AND_DELETE, [list(ids)])
        return int(cursor.fetchone()[0])


LOGS = (
    GrowingLog(
        Usage,
        "created",
        months=24,
        least=6,
        why=_("Network logs: at least six months (Cybersecurity Law, article 21)."),
        spared=_not_needed,
        delete=_add_up_and_delete,
    ),
    GrowingLog(
        SafetyVerdict,
        "created",
        months=24,
        least=6,
        why=_("Network logs: at least six months (Cybersecurity Law, article 21)."),
        spared=lambda rows: rows,
        delete=lambda ids: SafetyVerdict.objects.filter(pk__in=ids).delete()[0],
    ),
)
