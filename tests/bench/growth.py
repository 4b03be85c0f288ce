"""python -m tests.bench.growth --orders 10000000: what costs more when there is more. The same with few orders and with
many (filling.py): audit, payment and order, every page, sizes, and a month of usage moved into a file.

Each number of orders has a database of its own, which `--keep` leaves for the next time.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import django

SIZES = FEW, MANY = 1_000, 200_000
# What costs as much with many as with few, to this factor; and of that what is read row by row all the same: see
# docs/scaling.md.
FLAT, MOST = ("page ms", "money ms"), 1.5
BY_ROWS = {"income by group", "models, last hour", "who spent, yesterday", "who spent, 30 days"}
_HOURS = timedelta(hours=10)


def measure(orders: int, *, keep: bool = False, paid: int = 480) -> dict[str, dict[str, float]]:
    """Everything, by part and name, of a database with so many orders. `paid` are placed and paid to see what it
    costs."""
    from . import filling, pages

    with database(orders, keep=keep):
        found = {"seconds to make": prepare(orders)}
        found["page ms"] = {name: round(pages.took_ms(ask), 1) for name, ask in pages.pages().items()}
        # What costs by what is new has something new.
        found["money ms"] = _money(paid)
        found["audit"] = _audits()
        found["size MiB"] = _sizes([*filling.TABLES, "wallet_daysum", "llm_usagedaysum", "topup_orderdaysum"])
        # The last but one month is whole; the database is of no use afterwards.
        found["retention"] = {} if keep else _retention()
    return found


@contextmanager
def database(orders: int, *, keep: bool) -> Iterator[None]:
    from django.db import connection

    before = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = f"growth_{orders}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False, keepdb=keep)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0, keepdb=keep)
        connection.settings_dict["TEST"]["NAME"] = None


def prepare(orders: int) -> dict[str, float]:
    """Fill it unless it is, close what is over, add up what is new; the seconds of each step."""
    from topup.models import Order
    from voicehelper.wallet import adding_up, periods
    from voicehelper.wallet.settling import settled_entry

    from . import filling

    took = {} if Order.objects.exists() else filling.fill(orders, _say)
    with filling.taking(took, "closed periods"):
        if findings := periods.close(settled_entry(timedelta(seconds=10)) or 0, within=_HOURS):
            raise RuntimeError(str(findings[0]))
    with filling.taking(took, "day sums"):
        while adding_up.add_everything_up():
            pass
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("RESET ALL")
    return {step: round(seconds, 1) for step, seconds in took.items()}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _money(orders: int) -> dict[str, float]:
    from . import money

    orders = orders // 16 * 16
    notice, placed = money.settled(orders, 16)[0], money.asked(orders, 16)[0]
    return {
        "notice, ours": round(notice.cpu_ms, 2),
        "notice, PostgreSQL": round(notice.database_cpu_ms, 2),
        "order, ours": round(placed.cpu_ms, 2),
        "order, PostgreSQL": round(placed.database_cpu_ms, 2),
    }


def _audits() -> dict[str, float]:
    """Seconds, and what the memory of the process grew to at most meanwhile."""
    from voicehelper.wallet import audit

    found: dict[str, float] = {}
    audit.run(full=True)
    for name, full in (("full", True), ("incremental", False)):
        start = time.monotonic()
        with _peak() as peak:
            findings = audit.run(full=full).findings
        if findings:
            raise RuntimeError("\n".join(findings[:5]))
        found |= {f"{name}, s": round(time.monotonic() - start, 2), f"{name}, MiB more": peak[0]}
    return found


def _retention() -> dict[str, float]:
    """A whole month of usage into its file and out of the table."""
    from storage_backends import archiving
    from voicehelper import clock, retention

    growing = retention.log_named("llm.usage")
    assert growing is not None
    month = clock.month_later(clock.today(), -2)
    start = time.monotonic()
    with _peak() as peak:
        rows = _archive(archiving, growing, month)
    return {"rows": rows, "s": round(time.monotonic() - start, 1), "MiB more": peak[0]}


def _archive(archiving: Any, growing: Any, month: date) -> int:
    archiving.retention_of(growing)
    return int(archiving._go_on(growing, archiving._begin(growing, month)))


@contextmanager
def _peak() -> Iterator[list[float]]:
    """By how many MiB this process's memory exceeded what it was."""
    found = [0.0]
    Path("/proc/self/clear_refs").write_text("5")
    before = _mib("VmRSS")
    yield found
    found[0] = round(_mib("VmHWM") - before, 1)


def _mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def _sizes(tables: list[str]) -> dict[str, float]:
    from django.db import connection

    found = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute("SELECT pg_table_size(%s), pg_indexes_size(%s)", [table, table])
            rows, indexes = cursor.fetchone()
            found |= {table: round(rows / 2**20, 1), f"{table}, indexes": round(indexes / 2**20, 1)}
    return found


def show(few: int, many: int, found: list[dict[str, dict[str, float]]]) -> None:
    """The table; what should be flat and exceeds MOST is marked."""
    print(f"\nThe same with {few:,} orders and with {many:,} (five times as many entries and calls). CPU, the best.\n")
    for part, values in found[1].items():
        print(f"{part:34}{'few':>12}{'many':>12}{'ratio':>10}")
        for name, value in values.items():
            before = found[0][part].get(name)
            ratio = f"{value / before:>10.2f}" if before else f"{'':>10}"
            dearer = part in FLAT and before and value > MOST * before
            shown, mark = "" if before is None else before, "  !" if dearer else ""
            print(f"  {name:32}{shown:>12}{value:>12}{ratio}{mark}")
        print()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--orders", type=int, default=MANY, help="a multiple of a thousand")
    parser.add_argument("--few", type=int, default=FEW)
    parser.add_argument("--keep", action="store_true", help="use and leave the databases; no retention")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")
    django.setup()
    sizes = (options.few, options.orders)
    show(*sizes, [measure(orders, keep=options.keep) for orders in sizes])
    return 0


if __name__ == "__main__":
    sys.exit(main())
