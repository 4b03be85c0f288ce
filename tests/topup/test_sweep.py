"""When the sweep looks after which order: the schedule, and what may go wrong without stopping it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F
from django.db.models.functions import Now

from tests.faults.scripted import Merchant, ScriptedProvider, gateway_of
from tests.orders import pending_order
from topup import services, tasks
from topup.models import Order
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry, Wallet

pytestmark = pytest.mark.django_db(transaction=True)

# A buyer whose notice was lost and who closed the page has the quota after this.
CREDITED_WITHIN = timedelta(minutes=2)


@pytest.fixture(params=["wechat", "alipay"])
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
    batch = 5 * one_call
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


def test_what_is_paid_is_credited_and_never_asked_about_again(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User, books_agree: Any
) -> None:
    order = pending_order(buyer, merchant)
    scripted.pay(order)
    due(order)
    services.follow_orders()
    order.refresh_from_db()
    assert (order.state, order.credited_by, order.next_ask_at) == (Order.State.PAID, "sweep", None)
    books_agree()


def test_what_expired_unpaid_is_closed_at_the_provider_and_then_here(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    order = pending_order(buyer, merchant, created=clock.now() - timedelta(minutes=31), expires_at=clock.now())
    scripted.states[order.order_no] = "waiting"
    due(order)
    services.follow_orders()
    assert scripted.operations() == ["query", "close"]
    assert scripted.states[order.order_no] == "closed"
    order.refresh_from_db()
    assert (order.state, order.next_ask_at) == (Order.State.CLOSED, None)


def test_who_waited_longest_is_first_and_one_run_does_no_more_than_it_may(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    orders = [pending_order(buyer, merchant) for _ in range(12)]
    due(*orders)
    assert services.follow_orders(limit=7) == 7
    assert {call.order_no for call in scripted.calls} == {order.order_no for order in orders[:7]}
    assert services.follow_orders(budget_s=0) == 0
    assert services.follow_orders() == 5
    assert services.follow_orders() == 0
    assert len(scripted.calls) == 12


def test_a_sweep_that_was_killed_is_made_up_for_a_minute_later(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    order = pending_order(buyer, merchant)
    scripted.pay(order)
    due(order)
    # Killed between its claim and its first question.
    services.following._claim(5)
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


def test_a_gateway_that_was_switched_off_leaves_its_orders_for_later(
    scripted: ScriptedProvider, merchant: Merchant, buyer: User
) -> None:
    order = pending_order(buyer, merchant)
    scripted.pay(order)
    merchant.configure(**{f"{gateway_of(merchant).title()}Enabled": False})
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
    scripted: ScriptedProvider, merchant: Merchant, buyer: User, capsys: Any
) -> None:
    order = pending_order(buyer, merchant)
    scripted.pay(order)
    due(order)
    call_command("close_expired_orders")
    assert "1 orders" in capsys.readouterr().out
    order.refresh_from_db()
    assert order.state == Order.State.PAID
