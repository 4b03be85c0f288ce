"""python -m tests.bench [--only PART] [--json] …, with PostgreSQL and Valkey running (`make bench`)."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import django

PARTS = ("money", "relay", "sweep", "files", "growth")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--only", choices=PARTS, help="one part instead of all")
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--due", type=int, default=100_000, help="orders that are due for the sweep")
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")
    django.setup()
    from . import files, growth, money, relay, sweep

    orders = options.orders // options.clients * options.clients
    wanted = {options.only} if options.only else set(PARTS)
    figures = {}
    with database():
        if "money" in wanted:
            settled, asked = money.notices(orders, options.clients), money.placed(orders, options.clients)
            figures["money"] = {"notices settled": settled, "orders placed": asked}
        relayed = relay.measure(relay.Plan()) if "relay" in wanted else None
        plan = sweep.Plan(orders=options.due)
        swept = sweep.measure(plan) if "sweep" in wanted else None
        stored = files.measure() if "files" in wanted else None
        books = findings()
    grown = [growth.measure(many) for many in growth.SIZES] if "growth" in wanted else None
    if options.json:
        parts = figures | {
            "relay": relayed and relay.as_rows(relayed),
            "sweep": swept,
            "files": stored,
            "growth": grown,
            "findings": books,
        }
        print(json.dumps(parts, indent=2))
        return 1 if books else 0
    if "money" in figures:
        money.show(figures["money"], orders, options.clients)
    if relayed:
        relay.show(relayed)
    if swept:
        sweep.show(plan, swept)
    if stored:
        files.show(stored)
    if grown:
        growth.show(*growth.SIZES, grown)
    print("\nThe books agree." if not books else "\n" + "\n".join(books))
    return 1 if books else 0


@contextmanager
def database() -> Iterator[None]:
    """A database of its own beside the one that DATABASE_URL names; gone afterwards."""
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def findings() -> list[str]:
    """What `manage.py audit` says of all that was written, pgbench's rows included."""
    from voicehelper.wallet import audit

    found: list[str] = audit.run(full=True).findings
    return found


if __name__ == "__main__":
    sys.exit(main())
