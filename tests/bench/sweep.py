"""The sweep over very many pending orders: what one costs, whether memory grows, whether two runs at once meet.

Of ten orders six wait, one of the waiting is paid, two are past their time (asked about and closed), one is closed and
only watched. Each run is a process of its own, beat after beat, and stands beside bare signed queries by the same
client in the same process.

python -m tests.bench.sweep BEATS BUDGET_S is one such run; it prints a JSON object.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BARE = 300

_FILL = """
    INSERT INTO topup_order ({columns}) SELECT {values} FROM topup_order, generate_series(1, %(orders)s) n
    WHERE topup_order.id = %(like)s
"""


@dataclass(frozen=True)
class Plan:
    """How many orders are due, how many runs go on at once, how many beats each has (0: until nothing is due), how long
    a beat's budget is, and after how long the provider answers."""

    orders: int = 100_000
    runs: int = 2
    beats: int = 4
    budget_s: int = 12
    delay_s: float = 0.05


def measure(plan: Plan) -> dict[str, Any]:
    """What each run says, what the provider counted, and how many orders are in which state afterwards."""
    from django.db.models import Count

    from tests.merchants import WECHAT
    from tests.processes import database_url, request
    from topup.models import Order

    WECHAT.configure()
    with provider(plan.delay_s) as port:
        fill(plan.orders)
        address = f"http://127.0.0.1:{port}"
        env = os.environ | {"DATABASE_URL": database_url(), "WECHAT_PAY_BASE_URL": address}
        command = [sys.executable, "-m", "tests.bench.sweep", str(plan.beats), str(plan.budget_s)]
        started = time.perf_counter()
        runs = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE) for _ in range(plan.runs)]
        said = [json.loads(run.communicate()[0]) for run in runs]
        seconds = time.perf_counter() - started
        asked = request(port, "GET", "/").json
    states = Order.objects.values_list("state").annotate(Count("pk")).order_by("state")
    # The bare queries were about orders that nobody has.
    asked = {"queries": asked["queries"] - plan.runs * BARE, "orders": asked["orders"] - plan.runs * BARE}
    return {"runs": said, "asked": asked, "seconds": round(seconds, 1), "states": dict(states)}


@contextmanager
def provider(delay_s: float) -> Iterator[int]:
    """The port of a WeChat Pay of the stand-in's kind (provider.py)."""
    from tests.merchants import WECHAT
    from voicehelper.embedded.process import Process

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        account = [WECHAT.app_id, WECHAT.mch_id, WECHAT.key]
        command = [sys.executable, "-m", "tests.bench.provider", *account, str(listener.fileno()), str(delay_s)]
        data = Path(os.environ["VOICEHELPER_DATA"])
        with Process("bench-sweep", command, data, pass_fds=[listener.fileno()]):
            yield listener.getsockname()[1]


def fill(orders: int) -> None:
    """So many orders, all due. They have been asked about so often that each turn is an hour from the next: whatever is
    asked twice was not claimed."""
    from django.db import connection

    from tests.merchants import WECHAT
    from tests.orders import pending_order
    from topup.services.sweeping import OFTEN
    from voicehelper.accounts.models import User

    like = pending_order(User.objects.create_user("bench-sweep"), WECHAT)
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, "topup_order")
        names = [column.name for column in found if column.name != "id"]
        new = {
            "order_no": "'20261122' || lpad(n::text, 23, '0') || CASE WHEN n %% 10 = 0 THEN 'p'"
            " WHEN n %% 10 > 7 THEN 'a' ELSE 'w' END",
            "state": "CASE WHEN n %% 10 > 8 THEN 'closed' ELSE 'pending' END",
            "created": "now() - interval '1 hour'",
            "expires_at": "CASE WHEN n %% 10 > 5 THEN now() ELSE now() + interval '1 hour' END",
            "next_ask_at": "now() - random() * interval '1 minute'",
            "asked": str(OFTEN),
        }
        values = ", ".join(new.get(name, name) for name in names)
        cursor.execute(_FILL.format(columns=", ".join(names), values=values), {"orders": orders, "like": like.pk})
    like.delete()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE topup_order")


def run(beats: int, budget_s: int) -> dict[str, Any]:
    """Beat after beat in this process: orders, seconds, CPU in milliseconds for an order and for a bare query, and the
    memory in KiB after each beat."""
    from topup import services
    from topup.gateways.exchanges import forget

    gateway = services.open_gateway("wechat")
    gateway.record = forget
    before = 0.0
    for number in range(BARE):
        gateway.query(f"bare{os.getpid()}x{number}")
        # The first one connects.
        before = before or time.process_time()
    bare_ms = (time.process_time() - before) * 1000 / (BARE - 1)
    done, memory_kib = [], []
    started, before = time.perf_counter(), time.process_time()
    while not beats or len(done) < beats:
        done.append(services.follow_orders(budget_s=budget_s))
        memory_kib.append(_memory_kib())
        if not done[-1]:
            break
    seconds, cpu_ms = time.perf_counter() - started, (time.process_time() - before) * 1000 / max(1, sum(done))
    return {
        "orders": sum(done),
        "beats": len(done),
        "per_second": round(sum(done) / seconds, 1),
        "cpu_ms": round(cpu_ms, 2),
        "bare_cpu_ms": round(bare_ms, 2),
        "ratio": round(cpu_ms / bare_ms, 2),
        "memory_kib": memory_kib,
    }


def _memory_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def show(plan: Plan, figures: dict[str, Any]) -> None:
    print(
        f"\nThe sweep: {plan.orders:,} orders due, {plan.runs} runs at once, a provider that takes {plan.delay_s} s.\n"
    )
    print(
        f"{'':8}{'orders':>10}{'beats':>8}{'per s':>10}{'CPU ms':>10}{'bare ms':>10}{'ratio':>8}{'KiB first, last':>22}"
    )
    for number, each in enumerate(figures["runs"], 1):
        memory = f"{each['memory_kib'][0]}, {each['memory_kib'][-1]}"
        print(
            f"run {number:<4}{each['orders']:>10}{each['beats']:>8}{each['per_second']:>10}{each['cpu_ms']:>10}"
            f"{each['bare_cpu_ms']:>10}{each['ratio']:>8}{memory:>22}"
        )
    print(f"The provider was asked {figures['asked']['queries']} times about {figures['asked']['orders']} orders.")


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]))))
