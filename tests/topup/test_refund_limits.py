"""How much may go back: without quota that is spent, and without a second person."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F

from tests.conftest import rarely, sampled
from tests.faults.conftest import at_once
from tests.ledger import spend
from tests.merchants import ALIPAY
from tests.orders import pending_order
from topup import services
from topup.gateways.orders import Receipt
from topup.models import Order, RechargeSettings, Refund
from topup.services import RefundRefused
from voicehelper.accounts.models import User
from voicehelper.wallet.services import wallet_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("alipay")]


def paid(user: User, **changes: Any) -> Order:
    """73.00 yuan unless `changes` say otherwise, credited; no provider is asked for a refund in this file."""
    order = pending_order(user, ALIPAY, **changes)
    account = {"app_id": ALIPAY.app_id, "merchant_id": ALIPAY.seller_id, "live": False}
    receipt = Receipt("alipay", order.order_no, f"2026{order.pk}", order.amount_fen, "CNY", paid_at=None, **account)
    assert services.settle_order(receipt, source="notice").outcome == services.Settlement.CREDITED
    return Order.objects.select_related("user").get(pk=order.pk)


def ask(order: Order, amount_fen: int, actor: User) -> Refund:
    number = services.next_number(order)
    return services.request_refund(order, amount_fen, number=number, actor=actor, reason="The customer asked for it")


def waits(order: Order, amount_fen: int, actor: User) -> bool:
    return ask(order, amount_fen, actor).waits_for_approval


@pytest.fixture
def limit() -> int:
    """Thirty yuan, in fen."""
    RechargeSettings.load()
    RechargeSettings.objects.update(approve_refunds_above=30)
    return 3000


@pytest.fixture
def people(db: None) -> list[User]:
    return [User.objects.create_user(f"user{number}") for number in range(6)]


# --- A second person -------------------------------------------------------------------------------------------------
def test_J3_exactly_the_limit_needs_nobody_and_a_fen_more_a_second_person(
    limit: int, buyer: User, other_user: User, people: list[User], books_agree: Callable[[], None]
) -> None:
    assert not waits(paid(buyer), limit, other_user)
    assert waits(paid(people[0]), limit + 1, people[1])
    books_agree()


def test_J3_nobody_agrees_with_himself_and_nothing_is_sent_before_somebody_else_does(
    limit: int, buyer: User, other_user: User, people: list[User]
) -> None:
    made = ask(paid(buyer), limit + 1, other_user)
    with pytest.raises(RefundRefused):
        services.approve_refund(made, by=other_user)
    assert services.submit_refund(made).state == Refund.State.REQUESTED
    services.approve_refund(made, by=people[0])
    assert services.submit_refund(made).state == Refund.State.UNKNOWN


def test_N2_refunds_of_one_order_count_together_however_old_they_are_and_whoever_made_them(
    limit: int, buyer: User, people: list[User], books_agree: Callable[[], None]
) -> None:
    order = paid(buyer)
    assert not waits(order, limit - 1000, people[0])
    Refund.objects.update(created=F("created") - timedelta(days=100))
    assert not waits(order, 1000, people[1])
    Refund.objects.update(created=F("created") - timedelta(days=100))
    last = ask(order, 1, people[2])
    assert last.waits_for_approval
    # What waits counts, and what was given up does not.
    assert waits(order, 1, people[2])
    Refund.objects.filter(amount_fen=1000).update(needs_approval=True)
    for refund in Refund.objects.exclude(amount_fen=limit - 1000):
        services.withdraw_refund(refund, by=people[3], reason="not after all")
    assert not waits(order, 1000, people[2])
    assert waits(order, 1, people[2])
    books_agree()


def test_N2_refunds_to_one_user_count_together_for_a_day(
    limit: int, buyer: User, people: list[User], books_agree: Callable[[], None]
) -> None:
    assert not waits(paid(buyer), limit, people[0])
    assert waits(paid(buyer), 1, people[1])
    assert not waits(paid(people[5]), limit, people[2])
    Refund.objects.update(created=F("created") - timedelta(hours=23, minutes=59))
    assert waits(paid(buyer), 1, people[3])
    Refund.objects.update(created=F("created") - timedelta(minutes=1))
    Refund.objects.filter(amount_fen=1).update(created=F("created") - timedelta(days=1))
    assert not waits(paid(buyer), limit, people[4])
    books_agree()


def test_N2_refunds_an_operator_sends_alone_count_together_for_a_day(
    limit: int, buyer: User, staff: User, people: list[User], books_agree: Callable[[], None]
) -> None:
    assert not waits(paid(people[0]), limit, buyer)
    second = ask(paid(people[1]), 1, buyer)
    assert second.waits_for_approval
    Refund.objects.exclude(pk=second.pk).update(created=F("created") - timedelta(days=1))
    # What a second person looks at was not his alone.
    assert waits(paid(people[2]), limit + 1, buyer)
    assert not waits(paid(people[3]), limit, buyer)
    assert waits(paid(people[4]), 1, buyer)
    # A superuser needs nobody: he could raise the limit.
    assert not waits(paid(people[5]), 7300, staff)
    assert not waits(paid(people[5]), 7300, staff)
    books_agree()


def test_N2_refunds_of_six_orders_at_once_do_not_slip_past_each_other(
    limit: int, buyer: User, people: list[User], books_agree: Callable[[], None]
) -> None:
    orders = [paid(user) for user in people]

    def click(order: Order) -> Callable[[], bool]:
        return lambda: waits(Order.objects.get(pk=order.pk), limit // 2, User.objects.get(pk=buyer.pk))

    waiting = at_once(*[click(order) for order in orders])
    assert sorted(waiting) == [False, False, True, True, True, True]
    books_agree()


# --- Quota that is spent ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("quota", sampled([3, 20, 7], keep=2))
@pytest.mark.parametrize("before_fen", [*rarely(0), 3])
def test_what_is_said_to_be_unspent_can_be_refunded_and_a_fen_more_cannot(
    buyer: User, staff: User, quota: int, before_fen: int, books_agree: Callable[[], None]
) -> None:
    """Seven fen for 3, 20 or 7 quota, spent one by one, untouched or partly refunded before."""
    order = paid(buyer, amount_fen=7, quota=quota)
    if before_fen:
        ask(order, before_fen, staff)
    for spent in range(wallet_of(buyer).available + 1):
        if spent:
            spend(buyer, 1, ref=f"spent{spent}")
        unspent = services.unspent_fen(order)
        assert unspent == 0 or _can(order, unspent, staff)
        assert unspent == services.refundable_fen(order) or not _can(order, unspent + 1, staff)
    books_agree()


def _can(order: Order, amount_fen: int, actor: User) -> bool:
    """Whether it would be written down; it is not."""
    with transaction.atomic():
        try:
            ask(order, amount_fen, actor)
        except RefundRefused:
            return False
        transaction.set_rollback(True)
    return True
