"""What the relay of models costs, beside a call without it and a bare pass-through, in one run on one machine.

python -m tests.bench.relay [--json] [--parts requests,latency,streams] [--rounds N] [--seconds S], with PostgreSQL and
Valkey running (a part of `make bench`). One worker of each has a core to itself, where there are two; everything else
shares the other. The machine's speed is in every figure, so the ratios count.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .client import Order, memory_of

PARTS = ("requests", "latency", "streams")
_RATE = 50
_INTERVAL_S = 0.04


@dataclass(frozen=True)
class Plan:
    """How much to measure. `rounds` of everything, each with fresh servers; medians are reported."""

    rounds: int = 3
    seconds: float = 4.0
    warm_up_s: float = 1.0
    connections: Sequence[int] = (1, 16, 64)
    streams: Sequence[int] = (50, 200, 500)
    parts: Sequence[str] = PARTS
    chunks: int = 50
    pin: bool = True


# A figure's place: the part, how many connections or streams, and who was measured.
Key = tuple[str, int, str]


@dataclass(frozen=True)
class Target:
    """Somebody who answers chat requests."""

    name: str
    port: int
    path: str
    pid: int = 0
    key: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.relay", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of " + ", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=Plan.rounds)
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="of each measurement")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")
    import django

    django.setup()
    from .__main__ import database, findings

    plan = Plan(rounds=options.rounds, seconds=options.seconds, parts=options.parts.split(","))
    with database():
        figures = measure(plan)
        books = findings()
    if options.json:
        print(json.dumps({"figures": as_rows(figures), "findings": books}, indent=2))
    else:
        show(figures)
        print("\nThe books agree." if not books else "\n" + "\n".join(books))
    return 1 if books else 0


def measure(plan: Plan) -> dict[Key, dict[str, float]]:
    """Everything the plan asks for: medians over its rounds."""
    found: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    key = customer()
    for _ in range(plan.rounds):
        with servers(key, pinned=plan.pin) as targets:
            for target in targets:
                run(Order("closed", target.port, 4, plan.warm_up_s, target.path, target.key), plan)
            _one_round(plan, targets, found)
    figures = {place: _median(results) for place, results in found.items()}
    for (part, many, _), row in figures.items():
        first = "first_" if part == "streams" else ""
        direct = figures[part, many, "direct"]
        for share in ("p50_ms", "p99_ms"):
            row[f"added_{share}"] = round(row[first + share] - direct[first + share], 3)
    return figures


def _one_round(plan: Plan, targets: Sequence[Target], found: dict[Key, list[dict[str, Any]]]) -> None:
    before = {target.name: memory_of(target.pid) for target in targets}
    orders = []
    if "requests" in plan.parts:
        orders += [("requests", "closed", many) for many in plan.connections]
    if "latency" in plan.parts:
        orders += [("latency", "open", _RATE)]
    if "streams" in plan.parts:
        orders += [("streams", "streams", many) for many in plan.streams]
    for part, kind, many in orders:
        for target in targets:
            order = Order(
                kind,
                target.port,
                many,
                plan.seconds,
                target.path,
                target.key,
                target.pid,
                warm_up_s=plan.warm_up_s if part != "streams" else max(plan.warm_up_s, plan.chunks * _INTERVAL_S),
                chunks=plan.chunks,
            )
            result = run(order, plan)
            if result["failures"] or not result["requests"]:
                raise RuntimeError(f"{target.name}, {part}, {many}: {result['failures']} failed: {result['why']}")
            grown = result.pop("memory_kib") - before[target.name]
            found[part, many, target.name].append(_row(part, many, result, grown))


def _row(part: str, many: int, result: Mapping[str, Any], grown_kib: int) -> dict[str, float]:
    """What counts of one measurement."""
    requests, chunks = result["requests"], result["chunks"]
    row = {"p50_ms": result["latency_ms_p50"], "p99_ms": result["latency_ms_p99"], "client_cpu": result["client_cpu"]}
    if part == "streams":
        row = {
            "delay_p50_ms": result["delay_ms_p50"],
            "delay_p99_ms": result["delay_ms_p99"],
            "first_p50_ms": result["first_ms_p50"],
            "first_p99_ms": result["first_ms_p99"],
            "cpu_us": result["server_cpu_us"] / chunks,
            "memory_kib": grown_kib / many,
            "client_cpu": result["client_cpu"],
        }
    else:
        row |= {"per_second": requests / result["seconds"], "cpu_us": result["server_cpu_us"] / requests}
    return row


def _median(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(result[name] for result in results), 3) for name in results[0]}


def run(order: Order, plan: Plan) -> dict[str, Any]:
    """One measurement by a client in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.client"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pin(process.pid, -1, wanted=plan.pin)
    said, _ = process.communicate(json.dumps(asdict(order)), timeout=order.seconds + 60)
    if process.returncode:
        raise RuntimeError(f"The client ended with {process.returncode}.")
    result: dict[str, Any] = json.loads(said)
    return result


# --- Who answers -----------------------------------------------------------------------------------------------------
def customer() -> str:
    """A user with an API key and quota for everything."""
    from llm.models import Model
    from llm.seeds import plant
    from voicehelper.accounts.models import User
    from voicehelper.accounts.services import create_api_key
    from voicehelper.wallet import services
    from voicehelper.wallet.models import Entry

    plant(Model)
    user = User.objects.create(username="bench-relay")
    services.credit(user, 2**50, kind=Entry.Kind.GIFT, ref="bench-relay", actor="bench")
    _, key = create_api_key(user, "bench")
    return key


@contextmanager
def servers(key: str, *, pinned: bool = False, **settings: str) -> Iterator[list[Target]]:
    """The upstream itself, the bare pass-through and the relay, each a process."""
    from tests.processes import Server

    with ExitStack() as stack:
        port, upstream = stack.enter_context(provider())
        address = f"http://127.0.0.1:{port}/v1"
        bare_command = ("uvicorn", "tests.bench.passthrough:application", "--no-access-log", "--fd")
        bare = stack.enter_context(Server(command=bare_command, BENCH_UPSTREAM=address))
        ours = stack.enter_context(Server(OPENAI_API_KEY="bench", OPENAI_BASE_URL=address, **settings))
        for process in (upstream, *database_processes()):
            pin(process, -1, wanted=pinned)
        pin(bare.pid, 0, wanted=pinned)
        pin(ours.pid, 0, wanted=pinned)
        path = "/v1/chat/completions"
        yield [
            Target("direct", port, path),
            Target("bare", bare.port, path, bare.pid),
            Target("ours", ours.port, path, ours.pid, key),
        ]


@contextmanager
def provider(interval_s: float = _INTERVAL_S) -> Iterator[tuple[int, int]]:
    """The upstream: its port and process id."""
    from voicehelper.embedded.process import Process

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        # Connections inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        command = [sys.executable, "-m", "tests.bench.upstream", str(listener.fileno()), str(interval_s)]
        data = Path(os.environ["VOICEHELPER_DATA"])
        with Process("bench-upstream", command, data, pass_fds=[listener.fileno()]) as process:
            process.wait_until(lambda: process.pid is not None)
            yield listener.getsockname()[1], process.pid or 0


def database_processes() -> list[int]:
    """PostgreSQL's, when it runs on this machine: its sessions to come inherit the core of the first."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity")
        found = [pid for (pid,) in cursor.fetchall() if _is_postgres(pid)]
    return [*found, *{parent_of(pid) for pid in found}]


def _is_postgres(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
    return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def pin(pid: int, place: int, *, wanted: bool) -> None:
    """Keep a process, with all its threads, on the first (0) or the last (-1) core of this machine."""
    cores = sorted(os.sched_getaffinity(0))
    if not wanted or len(cores) < 2:
        return
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cores[place]})


# --- What it says ----------------------------------------------------------------------------------------------------
def as_rows(figures: Mapping[Key, Mapping[str, float]]) -> list[dict[str, Any]]:
    return [{"part": part, "many": many, "who": who, **row} for (part, many, who), row in figures.items()]


_COLUMNS = {
    "requests": ("per_second", "cpu_us", "p50_ms", "p99_ms", "client_cpu"),
    "latency": ("p50_ms", "p99_ms", "added_p50_ms", "added_p99_ms", "cpu_us"),
    "streams": ("delay_p50_ms", "delay_p99_ms", "added_p50_ms", "added_p99_ms", "cpu_us", "memory_kib", "client_cpu"),
}
_TITLES = {
    "requests": "Chat requests, each connection one after the other",
    "latency": f"Chat requests, {_RATE} per second; added is beyond the direct call",
    "streams": f"Streams at once, a chunk every {_INTERVAL_S * 1000:.0f} ms; CPU is per chunk, "
    "memory per stream, added is the time to the first chunk",
}


def show(figures: Mapping[Key, Mapping[str, float]]) -> None:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\nThe relay: authentication, hold, call, settlement and usage row, durable. Load average {load}.")
    for part in PARTS:
        if any(place[0] == part for place in figures):
            _show_part(part, figures)


def _show_part(part: str, figures: Mapping[Key, Mapping[str, float]]) -> None:
    columns = _COLUMNS[part]
    print(f"\n{_TITLES[part]}\n{'':14}" + "".join(f"{name:>15}" for name in columns) + f"{'CPU : bare':>15}")
    for (where, many, who), row in figures.items():
        if where != part:
            continue
        bare = figures[part, many, "bare"]["cpu_us"]
        ratio = f"{row['cpu_us'] / bare:.2f}" if who == "ours" and bare else ""
        print(f"{many:>5} {who:8}" + "".join(f"{row[name]:>15,.2f}" for name in columns) + f"{ratio:>15}")


if __name__ == "__main__":
    sys.exit(main())
