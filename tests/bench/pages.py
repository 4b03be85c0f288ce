"""The log of calls in the admin, with a thousand rows and with a million: the same pages, through all of Django."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FEW, MANY = 1_000, 1_000_000
REPEATS = 15

# One call in ten failed; ten users, eight models, thirty days: with a thousand rows, too, each page is full.
_FILL = """
    INSERT INTO llm_usage (request_id, user_id, model_name, asked_model, provider, operation, input_tokens,
        output_tokens, quota, uncollected, usage_source, outcome, latency_ms, tries, streamed, error, created)
    SELECT 'req_bench' || n, (%(users)s::bigint[])[1 + n %% %(people)s], (%(models)s::text[])[1 + n / 10 %% 8],
        '', 'ark', 'chat', n %% 900, n %% 700, n %% 50000, 0, 'provider', CASE WHEN n / 7 %% 10 = 0 THEN 'failed'
        ELSE 'ok' END, 100 + n %% 3000, 1, false, '', now() - n * %(days)s * interval '1 day' / %(rows)s
    FROM generate_series(1, %(rows)s) n
"""


def measure() -> dict[str, dict[str, float]]:
    """CPU milliseconds per page (the best), with few rows and with many, and their ratio. Leaves the table empty."""
    from django.db import connection

    from llm.models import Model, Usage
    from llm.seeds import plant
    from voicehelper.accounts.models import User

    plant(Model)
    User.objects.create_superuser("bench-operator")
    people = User.objects.bulk_create([User(username=f"caller{number}") for number in range(10)])
    found: dict[str, dict[str, float]] = {}
    for rows, name in ((FEW, "few_ms"), (MANY, "many_ms")):
        Usage.objects.all().delete()
        with connection.cursor() as cursor:
            names = list(Model.objects.order_by("pk").values_list("name", flat=True)[:8])
            facts = {
                "models": names,
                "users": [user.pk for user in people],
                "people": len(people),
                "rows": rows,
                "days": 30,
            }
            cursor.execute(_FILL, facts)
            cursor.execute("VACUUM ANALYZE llm_usage")
            cursor.execute("CHECKPOINT")
        for page, took in _pages().items():
            found.setdefault(page, {})[name] = round(took, 1)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_usage")
    for times in found.values():
        times["ratio"] = round(times["many_ms"] / times["few_ms"], 2)
    return found


def _pages() -> dict[str, float]:
    """What an operator clicks, and how long each takes."""
    from datetime import timedelta

    from django.test import Client
    from django.utils import timezone

    from llm.models import Usage
    from voicehelper.accounts.models import User

    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.get(username="bench-operator"))
    address = "/admin/llm/usage/"
    found = re.findall(r'href="(\?(before|after)=\d+)"', client.get(address).text)
    links = {kind: link for link, kind in found}
    last = timezone.localtime() - timedelta(days=5)
    middle = Usage.objects.order_by("created")[500].pk
    days = "created_from={:%Y-%m-%d}&created_to={:%Y-%m-%d}"
    three, twenty = (days.format(last - timedelta(days=many), last) for many in (2, 19))
    queries = {
        "list": "",
        "next page": links["before"],
        "last page": links["after"],
        "near the end": f"?before={middle}",
        "failed": "?outcome=failed",
        "one model": "?model_name=gpt-4",
        "one user": "?username=caller7",
        "three days": f"?{three}",
        "failed, twenty days": f"?outcome=failed&{twenty}",
        "by request id": "?q=req_bench500",
        # Not a list: it adds up every row of thirty days.
        "statistics": "statistics/",
    }
    return {page: took_ms(lambda url=address + query: client.get(url)) for page, query in queries.items()}  # type: ignore[misc]


def took_ms(ask: Callable[[], Any]) -> float:
    """CPU milliseconds of this process and of PostgreSQL's for it, the best: others may be busy on this machine."""
    from django.db import connection

    with connection.cursor() as cursor:
        # All of its work in that one process, where it can be counted.
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        theirs = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")
    took = []
    for _ in range(REPEATS):
        before = time.process_time_ns() + _on_cpu_ns(theirs)
        response = ask()
        took.append((time.process_time_ns() + _on_cpu_ns(theirs) - before) / 1_000_000)
        if response.status_code != 200:
            raise RuntimeError(f"{response.request['PATH_INFO']}: {response.status_code}")
    return min(took)


def _on_cpu_ns(schedstat: Path) -> int:
    return int(schedstat.read_text().split()[0])


def show(figures: dict[str, dict[str, float]]) -> None:
    print(f"\nThe log of calls in the admin, {FEW:,} rows and {MANY:,} (CPU, best of {REPEATS} requests).\n")
    print(f"{'':20}{'few, ms':>12}{'many, ms':>12}{'ratio':>10}")
    for page, times in figures.items():
        print(f"{page:20}{times['few_ms']:>12}{times['many_ms']:>12}{times['ratio']:>10}")
