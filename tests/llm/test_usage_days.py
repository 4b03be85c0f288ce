"""The sums of days say what the calls say, whatever was added up or deleted when."""

from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from operator import itemgetter
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm import usage_days
from llm.admin import statistics
from llm.margins import margin_of
from llm.models import Usage, UsageDaySum
from llm.retention import LOGS
from tests.conftest import full
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.findings import Scope
from voicehelper.wallet.tasks import add_up_days

pytestmark = pytest.mark.django_db

CALLS = st.fixed_dictionaries(
    {
        "days": st.integers(0, 40),
        "model_name": st.sampled_from(["doubao-pro", "claude"]),
        "provider": st.sampled_from(["ark", ""]),
        "operation": st.sampled_from(["chat", "transcription"]),
        "outcome": st.sampled_from(Usage.Outcome.values),
        "latency_ms": st.integers(0, 100_000),
        "input_tokens": st.integers(0, 1000),
        "output_tokens": st.integers(0, 1000),
        "quota": st.integers(0, 1000),
        "cost": st.none() | st.integers(0, 1000),
    }
)
DOINGS = st.lists(CALLS | st.sampled_from(["add up", "delete"]), max_size=30)


def wanted(calls: list[dict[str, Any]], first: date, key: Callable[[dict[str, Any]], Any]) -> dict[Any, list[int]]:
    """By plain arithmetic: calls, failures, tokens, quota, of a known cost charged and cost."""
    found: dict[Any, list[int]] = defaultdict(lambda: [0] * 6)
    for call in calls:
        if call["day"] < first:
            continue
        tokens = call["input_tokens"] + call["output_tokens"] if call["operation"] == "chat" else 0
        known = call["quota"] if call["cost"] is not None else 0
        numbers = [1, call["outcome"] == "failed", tokens, call["quota"], known, call["cost"] or 0]
        found[key(call)] = [before + more for before, more in zip(found[key(call)], numbers, strict=True)]
    return found


def said(cells: dict[Any, statistics.UsageSums]) -> dict[Any, list[int]]:
    return {
        key: [cell.calls, cell.failures, cell.tokens, cell.quota, cell.costed, cell.cost] for key, cell in cells.items()
    }


@given(doings=DOINGS)
@settings(max_examples=full(200, 25), deadline=None, suppress_health_check=list(HealthCheck))
def test_statistics_and_margins_are_the_sums_of_all_calls(buyer: User, doings: list[Any]) -> None:
    Usage.objects.all().delete()
    UsageDaySum.objects.all().delete()
    today, usage_log, calls = clock.today(), LOGS[0], list[dict[str, Any]]()
    for doing in doings:
        if doing == "add up":
            usage_days.add_up()
        elif doing == "delete":
            # As a month that is archived goes, and as any other code would delete it.
            some = list(Usage.objects.order_by("-pk").values_list("pk", flat=True)[:2])
            usage_log.delete(some[:1])
            Usage.objects.filter(pk__in=some[1:]).delete()
        else:
            facts = dict(doing)
            day = today - timedelta(days=facts.pop("days"))
            Usage.objects.create(
                request_id=f"req_{len(calls)}",
                user=buyer,
                usage_source="provider",
                created=clock.midnight(day) + timedelta(seconds=len(calls)),
                **facts,
            )
            calls.append(doing | {"day": day, "midnight": clock.midnight(day)})
    for by in ("model_name", "provider"):
        found = statistics.sums(statistics.span_of("days"), by)
        first = today - timedelta(days=29)
        assert said(found.names) == wanted(calls, first, itemgetter(by))
        assert said(found.slots) == wanted(calls, first, itemgetter("midnight"))
        assert said(found.cells) == wanted(calls, first, itemgetter("midnight", by))
        answered = sorted(call["latency_ms"] for call in calls if call["outcome"] == "ok" and call["day"] >= first)
        median = found.total.latency_ms(50)
        assert (median is None) == (not answered)
        if answered and (exact := answered[(len(answered) - 1) // 2]) > 100:
            assert abs(median - exact) <= exact * 0.03
    margin = margin_of(today - timedelta(days=40), today)
    ((_, _, _, charged, costed, cost),) = wanted(calls, today - timedelta(days=40), lambda call: "").values() or [
        [0] * 6
    ]
    assert (margin.charged, margin.costed, margin.cost) == (charged, costed, cost)


def test_statistics_read_no_call_that_was_added_up(buyer: User) -> None:
    rows = [
        Usage(request_id=f"req_{number}", user=buyer, model_name="claude", operation="chat", outcome="ok", quota=1)
        for number in range(2000)
    ]
    Usage.objects.bulk_create(rows)
    assert add_up_days() >= 1
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE llm_usage, llm_usagedaysum, llm_usagedaysummark")
    with CaptureQueriesContext(connection) as queries:
        assert statistics.sums(statistics.span_of("days"), "provider").total.calls == 2000
        assert margin_of(clock.today(), clock.today()).charged == 2000
    for query in queries:
        if "llm_usage" not in query["sql"]:
            continue
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {query['sql']}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        of_rows = [line for line in plan.splitlines() if " on llm_usage " in line]
        assert of_rows, plan
        assert all("rows=0" in line.partition("actual")[2] for line in of_rows), plan
        # Nor looked at and left out.
        assert all("llm_usage_pkey" in line for line in of_rows), plan


def test_the_full_audit_finds_sums_that_are_not_those_of_the_calls(buyer: User) -> None:
    Usage.objects.create(request_id="req_1", user=buyer, model_name="claude", operation="chat", outcome="ok", quota=7)
    usage_days.add_up()
    assert not list(usage_days.usage_day_sums_are_the_sums_of_calls(Scope()))
    UsageDaySum.objects.update(quota=8)
    (finding,) = usage_days.usage_day_sums_are_the_sums_of_calls(Scope())
    assert "say 1, 8, 0, 0" in str(finding)
    assert str(finding).endswith("calls add up to 1, 7, 0, 0")
    assert not list(usage_days.usage_day_sums_are_the_sums_of_calls(Scope(full=False)))
