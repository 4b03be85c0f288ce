"""M4, enumerated: money that is given back in the console, in every order with those who hear of the payment and of it.

The quick run plays every order of the refund, its notice, the payment's and the sweep. `make soak` adds a question of
ours and the bill, which find out by themselves: every order of all six, of which `make test-rare` plays some, the same
ones in each run of the same test.
"""

import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.conftest import SOAK, full, rarely
from tests.refunds import platform
from voicehelper.accounts.models import User

from .console_refunds import PAID, PART, QUOTA, Play, to_an_earlier_day

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(4 * 3600 if SOAK else 300)]

TOLD = ("give_back", "notice", "sweep", "refund_notice")
ALL = (*TOLD, "query", "bill")
BEFORE = {"open": lambda _play: None, "expired": Play.expire, "closed here": Play.close_here}


@pytest.fixture
def gateway(request: pytest.FixtureRequest, shop: str) -> str:
    return platform(request.param)


def plays(roads: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Nobody tells of a refund before it is made."""
    for turns in itertools.permutations(roads):
        if turns.index("give_back") < turns.index("refund_notice"):
            yield turns


def perform(play: Play, turns: Sequence[str]) -> None:
    """What was lost or refused comes again afterwards, and the sweep and the bill have their turn."""
    fair = QUOTA - QUOTA * play.fen // PAID
    for turn in turns:
        getattr(play, turn)()
        if turn == "refund_notice" and len(play.parts) == 1:
            # Whoever has heard of it never has more than one pass to put it right.
            play.sweep()
            assert play.credited() <= fair
    for turn in ("refund_notice", "notice", "sweep", "notice", *(["bill"] if "bill" in turns else [])):
        getattr(play, turn)()
    play.is_right()


def perform_all(
    some: Sequence[tuple[str, ...]], before: str, make: Callable[[], Play], books_agree: Callable[[], None]
) -> None:
    for turns in some:
        play = make()
        BEFORE[before](play)
        try:
            perform(play, turns)
        except BaseException:
            print("In this order:", " ".join(turns))
            raise
        to_an_earlier_day()
    books_agree()


@pytest.mark.rare
@pytest.mark.parametrize("gateway", ["wechat", *rarely("alipay", "wechat v3")], indirect=True)
@pytest.mark.parametrize("fen", [PAID, *rarely(PART)])
@pytest.mark.parametrize("before", ["open", *rarely("closed here")])
def test_M4_P32_P33_P34_however_a_console_refund_meets_notice_and_sweep_what_is_left_is_credited(
    before: str, fen: int, gateway: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    some = list(plays(TOLD))
    assert len(some) == 12
    perform_all(some, before, lambda: Play(buyer, gateway, fen), books_agree)


@pytest.mark.rare
@pytest.mark.parametrize("gateway", ["wechat", "wechat v3", "alipay"], indirect=True)
@pytest.mark.parametrize("parts", [(PAID,), (PART,), (1000, 2380), (PART, PAID - PART)])
@pytest.mark.parametrize("before", BEFORE)
def test_M4_P32_P33_P34_however_a_console_refund_meets_notice_query_sweep_and_bill_what_is_left_is_credited(
    before: str, parts: tuple[int, ...], gateway: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    every = list(plays(ALL))
    assert len(every) == 360
    some = random.Random(os.environ["PYTEST_CURRENT_TEST"]).sample(every, full(360, 3))
    perform_all(some, before, lambda: Play(buyer, gateway, *parts), books_agree)
