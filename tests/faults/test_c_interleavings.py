"""Faults C6 to C9, enumerated: callback, poll, sweep, close and a payment around expiry, in every order of their steps.

Each actor is cut before the provider judges its request (its own rows are read and committed by then), and between the
provider's answer and the swap of the order's state; that swap and its commit are one step, because the row is locked in
between. The quick run plays every order of the payment with any two others, `make soak` every order of all five.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from notifications.models import Alert
from tests.conftest import SOAK
from tests.orders import pending_order
from topup import services
from topup.models import Order
from voicehelper import clock
from voicehelper.accounts.models import User

from .conftest import CallbackDesk, balance, credited_once, not_credited
from .interleaving import Plot, Stage, Touch, reads
from .scripted import ScriptedProvider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(4 * 3600)]

# Ours is the order's row, theirs the trade.
_READ, _JUDGED, _SWAPPED = reads("ours"), reads("ours", "theirs"), reads(writes="ours")
# Closing there; and ending here, where "already paid" leads to one more question first.
_CLOSED, _ENDED = reads(writes="theirs"), reads("theirs", writes="ours")
ASKING = [_READ, _JUDGED, _SWAPPED]
CLOSING = [_READ, _JUDGED, _CLOSED, _ENDED]
STEPS = {"pay": [reads(writes="theirs")], "callback": [_READ, _SWAPPED], "poll": ASKING}
OTHERS = ["callback", "close", "poll", "sweep"]


@dataclass(frozen=True)
class Setting:
    """An order around its expiry: its trade, its age, the steps of those who would end it, and how many plays that
    makes: of the payment and any two, of all."""

    state: str
    age_minutes: float
    ending: Sequence[Touch]
    pairs: int
    all: int

    @property
    def closes(self) -> bool:
        return self.ending is CLOSING

    def plays(self) -> Iterator[list[str]]:
        actors = STEPS | {"sweep": self.ending, "close": self.ending}
        some = [OTHERS] if SOAK else [*itertools.combinations(OTHERS, 1), *itertools.combinations(OTHERS, 2)]
        for company in some:
            yield from Plot({name: actors[name] for name in ("pay", *company)}, [NO_NOTICE_UNPAID]).orders()


NO_NOTICE_UNPAID = (("pay", 0), ("callback", 0))
WAITS = Setting("waiting", 10, CLOSING, 245, 40_400)
# WeChat closes nothing younger than five minutes.
TOO_YOUNG = Setting("waiting", 4.9, ASKING, 91, 7_758)
# Alipay knows no trade before the code is scanned.
NEVER_SCANNED = Setting("absent", 10, ASKING, 91, 7_758)

SETTINGS = [
    pytest.param("wechat", WAITS, id="wechat"),
    pytest.param("wechat", TOO_YOUNG, id="wechat-too-young-to-close"),
    pytest.param("alipay", NEVER_SCANNED, id="alipay-never-scanned"),
    *([pytest.param("alipay", WAITS, id="alipay")] if SOAK else []),
]


@pytest.fixture
def stuff(request: pytest.FixtureRequest, settings: Any) -> Iterator[ScriptedProvider]:
    with ScriptedProvider(request.getfixturevalue(request.param), settings) as provider:
        yield provider


@pytest.mark.rare
@pytest.mark.parametrize(("stuff", "setting"), SETTINGS, indirect=["stuff"])
def test_C6_C7_C8_C9_however_five_actors_meet_around_expiry_a_payment_is_credited_once(
    stuff: ScriptedProvider, setting: Setting, buyer: User, provider: Client, books_agree: Any
) -> None:
    desk = CallbackDesk(stuff.merchant, provider)
    ends: Counter[str] = Counter()
    with Stage(["pay", *OTHERS]) as stage:
        for turns in setting.plays():
            order = around_expiry(buyer, stuff, setting)
            try:
                play(stage, turns, order, stuff, desk)
                ends[look_at(order, stuff)] += 1
            except BaseException:
                print("In this order:", " ".join(turns))
                raise
            if SOAK and ends.total() % 500 == 0:
                books_agree()
    print(f"\n{ends.total()} plays: {dict(ends)}")
    assert ends.total() == (setting.all if SOAK else setting.pairs)
    assert balance(buyer) == order.quota * (ends["paid"] + ends["paid late"])
    books_agree()
    # It was never asked to close what it would not close yet; a scan after our end is a late payment.
    assert ("close" in stuff.operations()) == setting.closes
    assert (ends["paid late"] > 0) == (setting is NEVER_SCANNED)
    assert (ends["closed"] > 0) == setting.closes


def around_expiry(buyer: User, stuff: ScriptedProvider, setting: Setting) -> Order:
    now = clock.now()
    order = pending_order(buyer, stuff.merchant, expires_at=now, next_ask_at=now)
    Order.objects.filter(pk=order.pk).update(created=now - timedelta(minutes=setting.age_minutes))
    stuff.states[order.order_no] = setting.state
    stuff.known = {order.order_no: order}
    return order


def play(stage: Stage, turns: list[str], order: Order, stuff: ScriptedProvider, desk: CallbackDesk) -> None:
    def pay() -> None:
        if stuff.states[order.order_no] != "closed":
            stuff.pay(order)

    def callback() -> bool:
        """Nobody tells of a payment that was refused."""
        return stuff.states[order.order_no] != "paid" or desk.acknowledged(desk.merchant.notice(order))

    acts = {
        "pay": pay,
        "callback": callback,
        "poll": lambda: services.poll_order(Order.objects.select_related("user").get(pk=order.pk)),
        "sweep": services.follow_orders,
        "close": lambda: services.close_order(Order.objects.select_related("user").get(pk=order.pk), source="admin"),
    }
    stuff.before = {"query": [stage.cut] * 20, "close": [stage.cut] * 20}
    said = stage.play(turns, {name: acts[name] for name in acts if name in turns})
    stuff.before = {}
    assert said.get("callback", True) is True


def look_at(order: Order, stuff: ScriptedProvider) -> str:
    """The end, once the sweep had its next turns: what became of the order; fails when that is not right."""
    for _ in range(2):
        order.refresh_from_db()
        if order.next_ask_at is None:
            break
        # By now it is old enough to be closed.
        Order.objects.filter(pk=order.pk).update(created=Now() - timedelta(hours=1), next_ask_at=Now())
        services.follow_orders()
    late = Alert.objects.filter(event="late_payment", key=f"late:{order.order_no}").count()
    if stuff.states[order.order_no] == "paid":
        credited_once(order)
        # Late is what came after our end, and is always reported.
        assert (order.paid_late, late) == (order.closed_at is not None, int(order.paid_late))
        return "paid late" if order.paid_late else "paid"
    assert stuff.states[order.order_no] == "closed"
    not_credited(order, Order.State.CLOSED)
    assert (late, order.review, order.next_ask_at) == (0, "", None)
    return "closed"
