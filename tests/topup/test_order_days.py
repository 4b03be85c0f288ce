"""The sums of days say what the orders say, whatever moves when the day is over."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import full
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup import order_days
from topup.admin.figures import Figures, figures
from topup.models import Order, OrderDay, OrderDayChange, OrderDaySum, Refund
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.postgres import _address
from voicehelper.wallet.findings import Scope

pytestmark = pytest.mark.django_db

DAYS = 8
PLACED = st.fixed_dictionaries(
    {
        "days_ago": st.integers(0, DAYS + 2),
        "who": st.integers(0, 1),
        "wechat": st.booleans(),
        "live": st.booleans(),
        "paid_after_s": st.none() | st.integers(0, 2 * 86400),
    }
)
MOVES = st.lists(
    st.tuples(st.sampled_from(["pay", "close", "refund", "add up"]), st.integers(0, 30)), min_size=1, max_size=12
)


def credit(order: Order, moment: Any) -> None:
    facts = {"state": "paid", "credited_at": moment, "transaction_id": f"T{order.pk}"}
    Order.objects.filter(pk=order.pk, credited_at=None).update(**facts)


def move(doing: str, order: Order) -> None:
    if doing == "add up":
        order_days.add_up()
    elif doing == "pay":
        credit(order, Now())
    elif doing == "close":
        Order.objects.filter(pk=order.pk, state="pending").update(state="closed")
    elif Order.objects.filter(pk=order.pk, state="paid").update(state="refunded"):
        facts = {"ref": f"R{order.pk}", "refund_no": f"R{order.pk}", "quota_due": 0, "quota": 0, "requested_by": "op"}
        Refund.objects.create(
            order=order, number=1, amount_fen=order.amount_fen, state="succeeded", finished_at=Now(), **facts
        )


def by_hand(days: Sequence[date], *, sandbox: bool) -> dict[tuple[date, str], tuple[Any, ...]]:
    """By plain arithmetic over all rows: placed, open, converted, payments, income, waited, times, newcomers, refunds,
    refunded."""
    found: dict[tuple[date, str], Counter[Any]] = defaultdict(Counter)
    paid_before = set()

    def day(moment: Any) -> date:
        return moment.astimezone(clock.BEIJING).date()  # type: ignore[no-any-return]

    orders = [order for order in Order.objects.order_by("credited_at") if order.live or sandbox]
    for order in orders:
        placed = found[day(order.created), order.gateway]
        placed.update(placed=1, open=order.state in Order.OPEN, converted=order.state in Order.CREDITED)
        if order.credited_at:
            credited = found[day(order.credited_at), order.gateway]
            wait = round((order.credited_at - order.created).total_seconds())
            credited.update(payments=1, income=order.amount_fen, waited=wait)
            if order.user_id not in paid_before:
                credited.update(newcomers=1)
            paid_before.add(order.user_id)
    for refund in Refund.objects.select_related("order"):
        if refund.finished_at and (refund.order.live or sandbox):
            found[day(refund.finished_at), refund.order.gateway].update(refunds=1, refunded=refund.amount_fen)
    names = ("placed", "open", "converted", "payments", "income", "waited", "newcomers", "refunds", "refunded")
    return {key: tuple(cell[name] for name in names) for key, cell in found.items() if key[0] in days}


def said(found: Figures) -> dict[tuple[date, str], tuple[Any, ...]]:
    return {
        (day, gateway): (
            *(cell.placed, cell.still_open, cell.converted, cell.payments, cell.income_fen, cell.waited_s),
            *(cell.newcomers, cell.refunds, cell.refunded_fen),
        )
        for (day, gateway, _group), cell in found.cells.items()
    }


def by_group(found: Figures) -> dict[str, tuple[Any, ...]]:
    return {
        group: (cell.placed, cell.payments, cell.income_fen, cell.waits, cell.newcomers, cell.refunded_fen)
        for group, cell in found.by(2).items()
    }


@given(placed=st.lists(PLACED, min_size=1, max_size=12), moves=MOVES, sandbox=st.booleans())
@settings(max_examples=full(150, 20), deadline=None, suppress_health_check=list(HealthCheck))
def test_figures_are_those_of_the_rows(
    buyer: User,
    other_user: User,
    wechat: WeChatMerchant,
    alipay: AlipayMerchant,
    settings: Any,
    placed: list[dict[str, Any]],
    moves: list[tuple[str, int]],
    sandbox: bool,
) -> None:
    settings.SANDBOX = sandbox
    User.objects.filter(pk=other_user.pk).update(group="vip")
    for model in (Refund, Order, OrderDay, OrderDaySum, OrderDayChange):
        model.objects.all().delete()
    now, orders = clock.now(), []
    for facts in placed:
        created = now - timedelta(days=facts["days_ago"], minutes=1)
        order = pending_order(
            (buyer, other_user)[facts["who"]],
            wechat if facts["wechat"] else alipay,
            created=created,
            live=facts["live"],
        )
        if facts["paid_after_s"] is not None:
            credit(order, min(now, created + timedelta(seconds=facts["paid_after_s"])))
        orders.append(order)
    OrderDayChange.objects.all().delete()
    today = clock.today()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    for doing, number in [("add up", 0), *moves]:
        move(doing, orders[number % len(orders)])
        found = figures(today, DAYS, groups=False)
        assert said(found) == by_hand(days, sandbox=sandbox)
        grouped = figures(today, DAYS)
        assert (grouped.states, grouped.total) == (found.states, found.total)
    assert not list(order_days.day_sums_are_the_sums_of_orders(Scope()))
    # Without sums, all of it comes out of the rows.
    OrderDay.objects.all().delete()
    assert by_group(figures(today, DAYS)) == by_group(grouped)


def old_order(user: User, merchant: WeChatMerchant, days: int) -> Order:
    return pending_order(user, merchant, created=clock.now() - timedelta(days=days), live=True)


def placed_on(day: date) -> int:
    return figures(day, 1, groups=False).total.still_open


def test_days_that_are_over_are_read_from_their_sums(buyer: User, wechat: WeChatMerchant) -> None:
    for _ in range(3):
        old_order(buyer, wechat, 5)
    assert order_days.add_up() in (4, 5)
    assert order_days.add_up() == 0
    with CaptureQueriesContext(connection) as queries:
        assert figures(clock.today() - timedelta(days=3), 3, groups=False).total.placed == 3
    assert not [query["sql"] for query in queries if "FROM topup_order o" in query["sql"]]


def test_an_order_that_moves_late_is_counted_at_once_and_added_up_again(buyer: User, wechat: WeChatMerchant) -> None:
    order = old_order(buyer, wechat, 5)
    fresh = pending_order(buyer, wechat, live=True)
    order_days.add_up()
    day = order.created.astimezone(clock.BEIJING).date()
    assert placed_on(day) == 1
    for each in (order, fresh):
        Order.objects.filter(pk=each.pk).update(state="closed")
    # One that is an hour old at most is of a day that is not added up yet.
    assert [change.day for change in OrderDayChange.objects.all()] == [day]
    assert placed_on(day) == 0
    assert order_days.add_up() == 1
    assert not OrderDayChange.objects.exists()
    assert placed_on(day) == 0


@pytest.mark.django_db(transaction=True)
def test_a_move_that_is_not_committed_yet_is_not_forgotten(buyer: User, wechat: WeChatMerchant) -> None:
    order = old_order(buyer, wechat, 5)
    order_days.add_up()
    day = order.created.astimezone(clock.BEIJING).date()
    with psycopg.connect(**_address()) as session:
        session.execute("UPDATE topup_order SET state = 'closed' WHERE id = %s", [order.pk])
        OrderDayChange.objects.create(day=day)
        # Added up again while somebody moves it: what is not seen is not taken for seen.
        assert order_days.add_up() == 1
        assert placed_on(day) == 1
        session.commit()
    assert placed_on(day) == 0
    assert order_days.add_up() == 1
    assert placed_on(day) == 0


def test_the_full_audit_finds_sums_that_are_not_those_of_the_orders(buyer: User, wechat: WeChatMerchant) -> None:
    old_order(buyer, wechat, 5)
    order_days.add_up()
    assert not list(order_days.day_sums_are_the_sums_of_orders(Scope()))
    OrderDaySum.objects.update(count=2)
    (finding,) = order_days.day_sums_are_the_sums_of_orders(Scope())
    assert "placed wechat pending: say 2 over" in str(finding)
    assert not list(order_days.day_sums_are_the_sums_of_orders(Scope(full=False)))
