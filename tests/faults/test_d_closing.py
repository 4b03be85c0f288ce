"""D: `kill -9` at each step of closing an order that nobody paid in time. The next sweep ends it; a payment is kept."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from sandbox.buyer import scan
from sandbox.models import Trade, TradeState
from tests.conftest import SOAK, rarely
from tests.crashpoints import End
from tests.processes import open_sandbox_accounts
from topup import services
from topup.models import Order
from voicehelper.accounts.models import User

from .workers import Workers, credited_once, lines, pay_by_phone, sweep_now

pytestmark = pytest.mark.django_db(transaction=True)

AGE = timedelta(minutes=10)
STEPS = {
    "claimed_and_not_asked": "topup/services/following.py:follow_order",
    "before_the_provider_is_asked": "topup/gateways/exchanges.py:sent",
    "asked_before_it_is_closed_there": "topup/services/following.py:_close_at_provider",
    "closed_there_before_it_is_closed_here": "topup/models/orders.py:move",
}
_first, *_between, _last = STEPS
SOME_STEPS = [_first, *rarely(*_between), _last]


@pytest.fixture(params=["wechat", *rarely("alipay, never scanned"), *(["alipay"] if SOAK else [])])
def expired(request: pytest.FixtureRequest, workers: Workers, buyer: User) -> Callable[[], Order]:
    """Makes an order whose time is over, old enough to be closed; Alipay knows of it once its code was scanned."""
    open_sandbox_accounts()
    gateway, _, unseen = request.param.partition(",")

    def make() -> Order:
        order = services.place_order(buyer, gateway, 10, client_ip="127.0.0.1")
        if not unseen:
            scan(order.pay_url)
        Order.objects.filter(pk=order.pk).update(created=Now() - AGE, expires_at=Now(), next_ask_at=Now())
        Trade.objects.filter(out_trade_no=order.order_no).update(created_at=F("created_at") - AGE)
        return order

    return make


def closed(order: Order) -> bool:
    """Ended on both sides; or here, and watched as long as its code can be scanned there."""
    order.refresh_from_db()
    trade = Trade.objects.get(out_trade_no=order.order_no)
    there = trade.state == TradeState.CLOSED
    never_scanned = trade.scanned_at is None and order.gateway == "alipay"
    return order.state == Order.State.CLOSED and (order.next_ask_at is not None, there) == (
        never_scanned,
        not never_scanned,
    )


def end(order: Order) -> None:
    """The next sweep, and one more; nobody has to do anything."""
    for _ in range(2):
        sweep_now(pk=order.pk)


@pytest.mark.parametrize("step", SOME_STEPS)
def test_D_a_worker_killed_while_it_closes_an_order_leaves_it_to_the_next(
    workers: Workers, expired: Callable[[], Order], books_agree: Callable[[], None], step: str
) -> None:
    order = expired()
    killed = workers.forge.command("close_expired_orders", kill_at=STEPS[step])
    # What was never scanned cannot be closed there.
    assert killed.where or step == "asked_before_it_is_closed_there"
    order.refresh_from_db()
    assert (order.state, order.closed_at) == (("pending", None) if killed.where else ("closed", order.closed_at))
    books_agree()
    end(order)
    assert closed(order), killed
    books_agree()


@pytest.mark.parametrize("step", SOME_STEPS)
def test_D_what_is_paid_while_the_worker_is_dead_is_credited(
    workers: Workers, expired: Callable[[], Order], books_agree: Callable[[], None], step: str
) -> None:
    order = expired()
    workers.forge.command("close_expired_orders", kill_at=STEPS[step])
    payable = Trade.objects.get(out_trade_no=order.order_no).state == TradeState.WAITING
    if payable:
        pay_by_phone(workers, order.pay_url, fault="drop")
    end(order)
    assert credited_once(order) if payable else closed(order)
    books_agree()


@pytest.mark.rare
def test_D_an_operator_whose_server_is_killed_while_it_closes_an_order_presses_again(
    workers: Workers, expired: Callable[[], Order], operator: dict[str, str], books_agree: Callable[[], None]
) -> None:
    order = expired()
    path = f"/admin/topup/order/{order.pk}/do/close/"
    for point in STEPS.values():
        workers.post_to_mortal(point, path, b"reason=", **operator)
    books_agree()
    assert workers.post(workers.immortal, path, b"reason=", **operator).status == 302
    assert closed(order)


@pytest.mark.rare
def test_D_a_worker_may_be_killed_before_any_line_of_closing_an_order(
    workers: Workers, expired: Callable[[], Order], books_agree: Callable[[], None]
) -> None:
    order = expired()
    whole: End = workers.forge.command("close_expired_orders")
    assert closed(order)
    assert whole.lines > 60
    died = set()
    for line in lines(whole.lines, 3):
        order = expired()
        killed = workers.forge.command("close_expired_orders", kill_at=line)
        died.add(killed.where)
        end(order)
        assert closed(order), killed
    assert len(died - {""}) > 1
    books_agree()
    print(f"\nKilled before {len(died - {''})} different lines of closing.")
