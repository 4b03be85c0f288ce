"""When the sweep looks after which order: the schedule, and what may go wrong without stopping it."""

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from notifications.models import Alert
from tests.conftest import rarely
from tests.faults.scripted import Merchant, ScriptedProvider, gateway_of
from tests.orders import pending_order
from topup import services, tasks
from topup.models import Order
from topup.models.orders import LANE, Lane
from topup.services.gateways import UNREACHABLE_AFTER
from topup.services.options import write_options
from topup.services.sweeping import CLAIMED, OFTEN, WORKERS, claim
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry, Wallet

pytestmark = pytest.mark.django_db(transaction=True)

# A buyer whose notice was lost and who closed the page has the quota after this.
CREDITED_WITHIN = timedelta(minutes=2)


@pytest.fixture(params=["wechat", *rarely("alipay")])
def merchant(request: pytest.FixtureRequest) -> Merchant:
    """Each gateway in turn, switched on."""
    found: Merchant = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def scripted(merchant: Merchant, settings: Any) -> Iterator[ScriptedProvider]:
    with ScriptedProvider(merchant, settings) as provider:
        yield provider


def due(*orders: Order, by: timedelta = timedelta()) -> None:
    """Time passes until they are due, some longer than others."""
    for number, order in enumerate(orders):
        late = by + timedelta(seconds=len(orders) - number)
        Order.objects.filter(pk=order.pk).update(next_ask_at=Now() - late)


def wait_s(order: Order) -> float:
    """Until the sweep asks about it next."""
    order.refresh_from_db()
    assert order.next_ask_at is not None
    return (order.next_ask_at - clock.now()).total_seconds()


def test_an_order_is_asked_about_often_enough_to_be_credited_within_two_minutes(settings: Any) -> None:
    beat = settings.CELERY_BEAT_SCHEDULE["close_expired_orders"]
    assert beat["task"] == tasks.close_expired_orders.name
    every = timedelta(seconds=beat["schedule"])
    # A run that could not start in time gives way to the next.
    assert timedelta(seconds=beat["options"]["expires"]) <= every
    one_call = timedelta(seconds=7)
    batch = CLAIMED // WORKERS * one_call
    assert services.ASK_EVERY + every + batch <= CREDITED_WITHIN


def test_a_new_order_is_asked_about_after_a_minute_and_not_before(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    order = services.place_order(buyer, gateway_of(merchant), 10, client_ip="127.0.0.1")
    assert wait_s(order) == pytest.approx(60, abs=5)
    scripted.pay(order)
    assert services.follow_orders() == 0
    assert scripted.operations() == ["create"]


@pytest.mark.parametrize("answer", ["waiting", "absent", "nonsense"])
def test_an_open_order_is_asked_about_every_minute_whatever_was_answered(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User, answer: str
) -> None:
    order = pending_order(buyer, merchant)
    scripted.states[order.order_no] = answer
    if answer == "nonsense":
        scripted.answers = [b"<html>502</html>"]
    due(order)
    assert services.follow_orders() == 1
    assert wait_s(order) == pytest.approx(60, abs=5)
    order.refresh_from_db()
    assert (order.state, order.asked) == (Order.State.PENDING, 1)


def test_who_waited_longest_is_first_and_a_run_ends_when_its_time_is_used_up(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    orders = [pending_order(buyer, merchant) for _ in range(12)]
    due(*orders)
    assert [order.pk for order in claim(gateway_of(merchant), 14)] == [order.pk for order in orders[:7]]
    assert services.follow_orders(budget_s=0) == 0
    assert services.follow_orders() == 5
    assert services.follow_orders() == 0
    assert {call.order_no for call in scripted.calls} == {order.order_no for order in orders[7:]}


def test_neither_new_orders_nor_old_nor_those_only_watched_keep_the_others_waiting(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    """A thousand of each might be due: half of a claim is for the new, a quarter for each other kind."""
    lanes = {"watched": {"state": "closed"}, "ageing": {"asked": 40}, "fresh": {}}
    orders = {name: [pending_order(buyer, merchant, **facts) for _ in range(8)] for name, facts in lanes.items()}
    due(*itertools.chain(*orders.values()))
    turns = {order.pk: name for name, some in orders.items() for order in some}
    assert Counter(turns[order.pk] for order in claim(gateway_of(merchant), 8)) == {
        "fresh": 4,
        "ageing": 2,
        "watched": 2,
    }
    # Without company the last lane may have it all.
    Order.objects.exclude(state="closed").update(next_ask_at=None)
    assert len(claim(gateway_of(merchant), 6)) == 6


def test_the_claim_of_each_lane_is_a_short_walk_along_an_index(merchant: Merchant, buyer: User) -> None:
    with connection.cursor() as cursor:
        # A few rows are sorted as quickly as they are read in order.
        cursor.execute("SET enable_seqscan = off; SET enable_sort = off")
        try:
            for lane in Lane:
                orders = Order.objects.alias(lane=LANE).filter(gateway="wechat", lane=lane, next_ask_at__lte=Now())
                plan = orders.order_by("next_ask_at").values("pk")[:8].explain()
                assert "Index Scan using order_to_ask_in_lane" in plan
                assert "Filter" not in plan
                assert "Sort" not in plan
        finally:
            cursor.execute("SET enable_seqscan = on; SET enable_sort = on")


def test_an_order_that_comes_to_no_end_is_asked_about_hourly_in_the_end(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    order = pending_order(buyer, merchant, asked=OFTEN)
    due(order)
    assert services.follow_orders() == 1
    assert wait_s(order) == pytest.approx(3600, abs=5)


def test_a_provider_that_is_down_is_asked_a_few_times_and_reported_once_and_left_until_the_next_run(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    orders = [pending_order(buyer, merchant) for _ in range(60)]
    due(*orders)
    scripted.answers = [b"<html>502 Bad Gateway</html>"] * 60
    assert services.follow_orders() == len(scripted.calls) == UNREACHABLE_AFTER
    assert Alert.objects.get().event == "gateway_unreachable"
    assert services.follow_orders() == UNREACHABLE_AFTER
    told = Alert.objects.get()
    assert told.resolved_at is None

    # It is back: all are asked about, and the alert is over.
    scripted.answers = []
    Order.objects.update(next_ask_at=Now())
    assert services.follow_orders() == 60
    told.refresh_from_db()
    assert told.resolved_by == "VoiceHelper"
    asked = Counter(call.order_no for call in scripted.calls[2 * UNREACHABLE_AFTER :])
    assert set(asked.values()) == {1}


@pytest.mark.rare
def test_a_provider_that_falls_silent_in_the_middle_stops_everybody(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    due(*[pending_order(buyer, merchant) for _ in range(100)])
    silence = [b"<html>502 Bad Gateway</html>"] * 100
    scripted.before["query"] = [lambda _number: None] * 10 + [lambda _number: scripted.answers.extend(silence)]
    services.follow_orders()
    # What the others had in hand when the last of them gave up.
    assert len(scripted.calls) <= 10 + UNREACHABLE_AFTER + 2 * WORKERS
    assert Alert.objects.get().resolved_at is None


def test_a_gateway_that_is_down_does_not_keep_the_other_waiting(
    wechat: Any, alipay: Any, buyer: User, settings: Any
) -> None:
    stuck = [pending_order(buyer, alipay) for _ in range(9)]
    with ScriptedProvider(wechat, settings) as provider:
        settings.ALIPAY_GATEWAY_URL = "http://127.0.0.1:9/gateway.do"
        paid = [pending_order(buyer, wechat) for _ in range(9)]
        for order in paid:
            provider.pay(order)
        due(*stuck, *paid)
        assert services.follow_orders() == len(paid) + UNREACHABLE_AFTER
    assert Order.objects.filter(state="paid", gateway="wechat").count() == len(paid)


def test_a_sweep_that_was_killed_is_made_up_for_a_minute_later(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    order = pending_order(buyer, merchant)
    scripted.pay(order)
    due(order)
    # Killed between its claim and its first question.
    assert claim(gateway_of(merchant), 5) == [order]
    assert services.follow_orders() == 0
    assert wait_s(order) <= 60
    Order.objects.update(next_ask_at=F("next_ask_at") - services.ASK_EVERY)
    assert services.follow_orders() == 1
    order.refresh_from_db()
    assert order.state == Order.State.PAID


def test_an_order_that_cannot_be_credited_does_not_keep_the_others_waiting(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User, other_user: User, books_agree: Any
) -> None:
    # A balance so large that the column cannot hold more.
    full = Wallet.objects.create(user=other_user, balance=2**63 - 1)
    Entry.objects.create(
        wallet=full, kind=Entry.Kind.GIFT, amount=2**63 - 1, balance_after=2**63 - 1, ref="gift", actor="test"
    )
    stuck = pending_order(other_user, merchant)
    orders = [pending_order(buyer, merchant) for _ in range(3)]
    for order in (stuck, *orders):
        scripted.pay(order)
    due(stuck, *orders)
    services.follow_orders()
    stuck.refresh_from_db()
    assert stuck.state == Order.State.PENDING
    assert wait_s(stuck) <= 60
    assert Wallet.objects.get(user=buyer).balance == sum(order.quota for order in orders)
    books_agree()


def test_a_gateway_that_is_not_complete_leaves_its_orders_for_later(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    order = pending_order(buyer, merchant)
    scripted.pay(order)
    wechat = gateway_of(merchant) == "wechat"
    merchant.configure(**({"WechatEnabled": False} if wechat else {"AlipayEnabled": False}))
    write_options({"WechatApiV2Key" if wechat else "AlipayPublicKey": None})
    due(order)
    services.follow_orders()
    order.refresh_from_db()
    assert (order.state, scripted.calls) == (Order.State.PENDING, [])
    merchant.configure()
    due(order)
    services.follow_orders()
    order.refresh_from_db()
    assert order.state == Order.State.PAID


def test_the_command_does_what_the_sweep_does(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User, capsys: Any, books_agree: Any
) -> None:
    order = pending_order(buyer, merchant)
    scripted.pay(order)
    due(order)
    call_command("close_expired_orders")
    assert "1 orders" in capsys.readouterr().out
    order.refresh_from_db()
    assert (order.state, order.credited_by, order.next_ask_at) == (Order.State.PAID, "sweep", None)
    books_agree()
