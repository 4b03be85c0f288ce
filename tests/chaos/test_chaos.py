"""The chaos of `make chaos`, small; and that its count sees what it is there for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from topup.models import Order

from .counting import Fate, Wrong
from .plan import EVENTS, ROADS, Plan, events, purchases
from .running import run

QUOTA, PAID = 5_000_000, 7300
NOW = datetime(2026, 11, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(seconds=1)


@pytest.mark.rare
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_M1_M2_M4_M6_in_a_small_chaos_nothing_is_lost_doubled_or_credited_after_a_refund() -> None:
    outcome = run(Plan(orders=150, seconds=20, seed=150))
    print(outcome.table())
    assert list(outcome.complaints()) == []
    assert outcome.kills > 3
    assert outcome.count.facts["credited"] > 20


def fate(paid_fen: int = PAID, back_fen: int = 0, *, known_fen: int = 0, **facts: Any) -> Fate:
    order = Order(quota=QUOTA, amount_fen=PAID, refunded_fen=known_fen, credited_at=NOW)
    return Fate("1", paid_fen, back_fen, **{"order": order, "credits": 1, "kept": QUOTA} | facts)


def test_an_order_is_right_only_when_exactly_what_was_paid_and_not_given_back_is_kept() -> None:
    cases: dict[str, tuple[Fate, list[Wrong]]] = {
        "credited": (fate(), []),
        "never paid": (fate(0, credits=0, kept=0), []),
        "given back before": (fate(back_fen=PAID, credits=0, kept=0), []),
        "credited, then given back": (fate(back_fen=PAID, kept=0, told_at=NOW + timedelta(1)), []),
        "a part went back": (fate(back_fen=4380, kept=2_000_000), []),
        "paid": (fate(credits=0, kept=0), [Wrong.LOST]),
        "the rest of a part": (fate(back_fen=4380, credits=0, kept=0), [Wrong.LOST]),
        "twice": (fate(credits=2, kept=2 * QUOTA), [Wrong.DOUBLE]),
        "kept": (fate(back_fen=PAID), [Wrong.AFTER_REFUND]),
        "known": (fate(back_fen=PAID, kept=0, known_fen=PAID), [Wrong.AFTER_REFUND]),
        "told": (fate(back_fen=PAID, kept=0, told_at=EARLIER), [Wrong.AFTER_REFUND]),
        "too much": (fate(back_fen=4380), [Wrong.OFF]),
        "too little": (fate(kept=1), [Wrong.OFF]),
        "unpaid": (fate(0), [Wrong.UNPAID]),
        "nobody's": (fate(order=None, credits=0, kept=0), [Wrong.UNKNOWN]),
        "of another balance": (fate(broken=1), [Wrong.OVERWRITTEN]),
    }
    for name, (what, wrongs) in cases.items():
        assert list(what.wrongs()) == wrongs, name


def test_the_same_seed_draws_the_same_chaos_and_most_of_it_meets_three_wallets() -> None:
    plan, other = Plan(2000, 1, seed=1), Plan(2000, 1, seed=2)
    drawn = list(purchases(plan))
    assert (drawn == list(purchases(plan)), drawn == list(purchases(other))) == (True, False)
    assert {each.road for each in drawn} == set(ROADS)
    assert sum(each.buyer < 3 for each in drawn) > 1600
    for kind, names in EVENTS.items():
        first, again = ([next(row)[:2] for _ in range(99)] for row in (events(plan, kind), events(plan, kind)))
        assert first == again
        assert {name for _wait_s, name in first} == set(names)
