"""python -m tests.chaos [--orders N] [--minutes M] [--seed S] [--calm TIMES], with PostgreSQL and Valkey running: that
is `make chaos`."""

import argparse
import logging
import os
import random
import sys

import django


def main() -> int:
    """Exit code 1 when a single order is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=240, help="for placing them, at most")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--calm", type=float, default=1.0, help="so many times as long between two events")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")
    django.setup()
    from tests.bench.__main__ import database

    from .plan import Plan
    from .running import run

    # What the product says here of what breaks is in the logs of its own processes as well.
    logging.disable(logging.WARNING)
    print(f"seed {options.seed}", flush=True)
    with database():
        outcome = run(Plan(options.orders, options.minutes * 60, options.seed, calm=options.calm))
    print(outcome.table())
    complaints = list(outcome.complaints())
    print("\n".join(complaints) or "Every order is what it should be.")
    if complaints:
        print(f"Again: make chaos SEED={options.seed} ORDERS={options.orders} CALM={options.calm:g}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
