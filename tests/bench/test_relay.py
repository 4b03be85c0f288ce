"""The bench of the relay runs, and over many streams nothing grows: no memory, no connection, no session."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import connection

from llm.models import Usage
from tests.conftest import SOAK, full
from tests.processes import Server, request
from voicehelper.wallet.models import Hold

from .client import Order, memory_of
from .relay import Plan, customer, measure, provider, run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]

PARTS = ("requests", "latency", "streams") if SOAK else ("requests",)
QUICK = Plan(parts=PARTS, rounds=1, seconds=0.3, warm_up_s=0.1, connections=(4,), streams=(5,), chunks=5, pin=False)


@pytest.mark.rare
def test_the_bench_measures_all_three(books_agree: Callable[[], None]) -> None:
    figures = measure(QUICK)

    assert set(figures) == {
        (part, many, who)
        for part, many in (("requests", 4), ("latency", 50), ("streams", 5))
        if part in PARTS
        for who in ("direct", "bare", "ours")
    }
    assert all(row["cpu_us"] > 0 for (_, _, who), row in figures.items() if who != "direct")
    books_agree()


@pytest.mark.rare
def test_nothing_grows_over_streams_whose_clients_often_hang_up(books_agree: Callable[[], None]) -> None:
    """20,000 in `make soak`. Memory may grow while pools fill, so it is looked at from the first tenth on."""
    calls = full(20_000, 300) // 10
    with provider(interval_s=0.02) as (upstream, _), Server(**_relay(upstream)) as server:
        order = Order("streams", server.port, 100, 600, key=customer(), warm_up_s=0.1, chunks=8, hang_ups=0.3)
        memory_kib, sessions = [], []
        for _ in range(10):
            result = run(replace(order, requests=calls), QUICK)
            assert (result["failures"], result["why"]) == (0, "")
            _until_settled()
            memory_kib.append(memory_of(server.pid))
            sessions.append(_sessions())
        kept = _connections(upstream)
        # Idle ones are given up after 30 s, and looked for every 30 s.
        limit = time.monotonic() + 75 * SOAK
        while (left := _connections(upstream)) and time.monotonic() < limit:
            time.sleep(1)

    print(f"{Usage.objects.count()} streams: {memory_kib} KiB, {sessions} sessions, {kept} then {left} connections")
    assert Usage.objects.count() >= 10 * calls
    assert Usage.objects.filter(outcome="abandoned").count() > calls // 2
    assert max(memory_kib[1:]) - memory_kib[0] < 0.05 * memory_kib[0]
    assert max(sessions) <= sessions[0] + 1
    # Those that are read on after their client left need one each, while the client's next stream has another.
    assert kept <= 2 * order.many
    assert not SOAK or left == 0
    books_agree()


def _relay(upstream: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{upstream}/v1"
    return {"OPENAI_API_KEY": "bench", "OPENAI_BASE_URL": url, "LLM_DRAIN_SECONDS": "2"}


def _until_settled() -> None:
    """Streams whose clients left are read on for a moment."""
    limit = time.monotonic() + 10
    while Hold.objects.filter(state="open").exists() and time.monotonic() < limit:
        time.sleep(0.05)
    assert not Hold.objects.filter(state="open").exists()


def _sessions() -> int:
    """The relay's sessions at the database; ours is not one of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def _connections(upstream: int) -> int:
    """How many the upstream has open, but for the one that asks."""
    return int(request(upstream, "GET", "/").body) - 1
