"""Faults C: duplicates, odd orders, races. However the news of a payment comes, it is credited once and never lost."""

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications.models import Alert
from notifications.services import raise_alert, resolve
from tests.conftest import sampled
from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from topup import services
from topup.models import Notice, Order
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import wallet_of

from .conftest import CallbackDesk, alert, at_once, balance, credited_once, not_credited
from .scripted import ScriptedProvider, gateway_of

pytestmark = pytest.mark.django_db(transaction=True)

CREDIT = 5_000_000


@pytest.fixture
def order(buyer: User, desk: CallbackDesk) -> Order:
    """A pending order that was made ten minutes ago."""
    return made_before(pending_order(buyer, desk.merchant), minutes=10)


def made_before(order: Order, **ago: float) -> Order:
    Order.objects.filter(pk=order.pk).update(created=timezone.now() - timedelta(**ago))
    order.refresh_from_db()
    return order


def expire(order: Order, **ago: float) -> None:
    """The order's time was over so long ago, and the sweep is due."""
    moment = timezone.now() - timedelta(**(ago or {"seconds": 1}))
    Order.objects.filter(pk=order.pk).update(expires_at=moment, next_ask_at=moment)


def make_due(order: Order) -> None:
    Order.objects.filter(pk=order.pk, next_ask_at__isnull=False).update(next_ask_at=timezone.now())


def test_C1_a_notice_sent_again_is_acknowledged_and_changes_nothing(
    desk: CallbackDesk, order: Order, books_agree: Callable[[], None]
) -> None:
    body = desk.merchant.notice(order)
    assert desk.acknowledged(body)
    order.refresh_from_db()
    after = Order.objects.filter(pk=order.pk).values().get()
    for _ in range(10):
        assert desk.acknowledged(body)
    assert desk.acknowledged(desk.merchant.notice(order, nonce_str="another", notify_id="another"))
    assert Order.objects.filter(pk=order.pk).values().get() == after
    assert list(Notice.objects.values_list("verdict", flat=True).order_by("pk")) == ["credited", *["duplicate"] * 11]
    assert balance(order.user) == CREDIT
    credited_once(order)
    books_agree()


@pytest.mark.parametrize("round_", sampled(range(4), keep=1))
def test_C3_callback_poll_sweep_and_operator_all_see_it_paid_and_it_is_credited_once(
    round_: int, desk: CallbackDesk, order: Order, scripted: ScriptedProvider, as_user: Any, books_agree: Any
) -> None:
    scripted.pay(order)
    make_due(order)
    meet = threading.Barrier(5)
    # Poll, sweep and operator have all asked before anyone is answered; at that moment the callbacks come.
    scripted.before["query"] = [lambda _number: meet.wait(20)] * 3
    client, body = as_user(order.user), desk.merchant.notice(order)

    def sweep() -> int:
        """It leaves an order alone that somebody else is just writing to, and comes back."""
        while not (done := services.follow_orders()):
            pass
        return done

    results = at_once(
        lambda: meet.wait(20) < 5 and desk.acknowledged(body),
        lambda: meet.wait(20) < 5 and desk.acknowledged(body),
        lambda: client.get(f"/api/user/topup/orders/{order.order_no}").json()["data"]["status"],
        sweep,
        lambda: services.ask_provider(Order.objects.get(pk=order.pk), source="admin"),
    )
    assert results[:4] == [True, True, "paid", 1]
    assert scripted.operations() == ["query"] * 3
    credited_once(order)
    assert balance(order.user) == CREDIT
    assert not Alert.objects.filter(level="critical").exists()
    books_agree()


# --- C5: the order is ours before it is theirs -----------------------------------------------------------------------
def pay(client: Any, gateway: str, amount: int = 10, **headers: str) -> Any:
    body = {"amount": amount, "payment_method": gateway}
    return client.post(f"/api/user/{gateway}/pay", body, format="json", **headers)


def test_C5_the_order_is_committed_before_the_provider_hears_of_it(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider, as_user: Any
) -> None:
    found: list[Any] = []
    # In the provider's thread, through another connection: only what is committed is seen there.
    scripted.before["create"] = [lambda number: found.append(Order.objects.filter(order_no=number).values().first())]
    response = pay(as_user(buyer), gateway_of(desk.merchant))
    assert response.status_code == 200
    assert found[0]["state"] == "created"
    assert found[0]["order_no"] == response.json()["data"]["order_id"]
    assert found[0]["next_ask_at"] is not None


def test_C5_no_provider_is_called_inside_a_transaction(
    desk: CallbackDesk, order: Order, scripted: ScriptedProvider, as_user: Any
) -> None:
    """Asked of the database itself: no session of ours is in a transaction while the provider is at work."""
    open_transactions: list[int] = []

    def count(_number: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%%'"
            )
            open_transactions.append(cursor.fetchone()[0])

    scripted.before = {operation: [count] * 5 for operation in ("create", "query", "close")}
    assert pay(as_user(order.user), gateway_of(desk.merchant)).status_code == 200
    services.poll_order(order)
    scripted.states[order.order_no] = "waiting"
    expire(order)
    services.follow_orders()
    write_options({"ConfirmAbove": 0})
    desk.deliver(desk.merchant.notice(order))
    assert set(scripted.operations()) == {"create", "query", "close"}
    assert set(open_transactions) == {0}


def test_C5_a_payment_that_overtakes_the_answer_is_credited_and_shown(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider, as_user: Any, books_agree: Any
) -> None:
    def pay_at_once(number: str) -> None:
        order = Order.objects.get(order_no=number)
        scripted.pay(order)
        assert desk.acknowledged(desk.merchant.notice(order))

    scripted.before["create"] = [pay_at_once]
    response = pay(as_user(buyer), gateway_of(desk.merchant))
    assert response.status_code == 200
    order = Order.objects.get(order_no=response.json()["data"]["order_id"])
    credited_once(order)
    books_agree()


# --- C6, C7: closing -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("state", [Order.State.CLOSED, Order.State.FAILED])
def test_C6_a_payment_after_the_end_is_credited_and_reported(
    state: Order.State, desk: CallbackDesk, order: Order, scripted: ScriptedProvider, books_agree: Any
) -> None:
    """So late, money may have gone back since: the provider is asked before it is credited."""
    order.move(Order.State.CLOSED, closed_at=timezone.now(), next_ask_at=None)
    if state == Order.State.FAILED:
        Order.objects.filter(pk=order.pk).update(state=state)
    scripted.pay(order)
    assert desk.acknowledged(desk.merchant.notice(order))
    assert scripted.operations() == ["query"]
    credited_once(order)
    assert order.paid_late
    assert alert("late_payment").level == "info"
    assert balance(order.user) == CREDIT
    books_agree()


def interleavings() -> Iterator[tuple[str, ...]]:
    """Every order of: we query, we close, the buyer pays, the callback comes; and those without a callback."""
    for events in (("query", "close", "pay", "callback"), ("query", "close", "pay")):
        for order in itertools.permutations(events):
            place = {event: number for number, event in enumerate(order)}
            if place["query"] < place["close"] and place["pay"] < place.get("callback", 9):
                # After a confirmed close nobody can pay, unless the provider lets him and then says so.
                if place["pay"] > place["close"] and "callback" not in place:
                    continue
                yield order


@pytest.mark.parametrize("events", sampled(map(pytest.param, interleavings()), keep=3), ids="-".join)
def test_C7_however_payment_and_closing_interleave_and_the_query_lags_the_payment_is_credited(
    events: tuple[str, ...],
    desk: CallbackDesk,
    order: Order,
    scripted: ScriptedProvider,
    books_agree: Any,
) -> None:
    scripted.states[order.order_no] = "waiting"
    scripted.lies = ["waiting"]
    acts = {"pay": lambda: scripted.pay(order), "callback": lambda: callback()}

    def callback() -> None:
        assert desk.acknowledged(desk.merchant.notice(order))

    def up_to(event: str) -> Callable[[str], None]:
        """What happens between our previous step and this one: while the provider has our request in its hands."""
        before = events[: events.index(event)]
        steps = before[before.index("query") + 1 :] if event == "close" else before
        return lambda _number: [acts[step]() for step in steps if step in acts] and None

    scripted.before = {"query": [up_to("query")], "close": [up_to("close")]}
    expire(order)
    services.follow_orders()
    done = {step for act in ("query", "close") if act in scripted.operations() for step in events[: events.index(act)]}
    for step in events:
        if step in acts and step not in done:
            acts[step]()
    for _ in range(3):
        make_due(order)
        services.follow_orders()
    credited_once(order)
    assert balance(order.user) == CREDIT
    books_agree()


def test_C8_wechat_is_not_asked_to_close_an_order_younger_than_five_minutes(
    wechat: WeChatMerchant, buyer: User, settings: Any
) -> None:
    with ScriptedProvider(wechat, settings) as provider:
        order = made_before(pending_order(buyer, wechat), minutes=4, seconds=58)
        provider.states[order.order_no] = "waiting"
        expire(order)
        services.follow_orders()
        assert provider.operations() == ["query"]
        not_credited(order)
        made_before(order, minutes=5, seconds=1)
        make_due(order)
        services.follow_orders()
        assert provider.operations() == ["query", "query", "close"]
        order.refresh_from_db()
        assert (order.state, order.next_ask_at) == ("closed", None)


@pytest.mark.parametrize("when", ["query", "close"])
def test_C9_an_order_the_provider_does_not_know_can_still_be_paid_and_is_watched(
    when: str, desk: CallbackDesk, order: Order, scripted: ScriptedProvider, books_agree: Any
) -> None:
    """Alipay's trade exists only once somebody scanned the code; WeChat's answer can lag."""
    if when == "close":
        scripted.lies = ["waiting"]
    expire(order)
    services.follow_orders()
    order.refresh_from_db()
    assert order.state == "closed"
    assert order.next_ask_at is not None
    # Hours later, nobody has sent a callback.
    scripted.pay(order)
    make_due(order)
    services.follow_orders()
    credited_once(order)
    assert (order.credited_by, order.paid_late) == ("sweep", True)
    books_agree()


@pytest.mark.rare
def test_C9_it_is_watched_for_25_hours_after_the_code_expired(
    desk: CallbackDesk, order: Order, scripted: ScriptedProvider
) -> None:
    expire(order)
    services.follow_orders()
    for hours, goes_on in ((1, True), (24.9, True), (25.1, False)):
        before = len(scripted.calls)
        Order.objects.filter(pk=order.pk).update(
            expires_at=timezone.now() - timedelta(hours=hours), next_ask_at=timezone.now()
        )
        services.follow_orders()
        assert len(scripted.calls) > before, "also once after the last moment"
        order.refresh_from_db()
        assert (order.next_ask_at is not None) == goes_on
    # And even then, money that comes is credited.
    scripted.pay(order)
    assert desk.acknowledged(desk.merchant.notice(order))
    credited_once(order)


def test_C9_an_order_that_was_never_offered_is_asked_about_too(
    desk: CallbackDesk, order: Order, scripted: ScriptedProvider
) -> None:
    """The answer to `create` was lost: the code may have been shown by the provider all the same."""
    Order.objects.filter(pk=order.pk).update(state=Order.State.CREATED, pay_url="")
    scripted.pay(order)
    make_due(order)
    services.follow_orders()
    credited_once(order)


@pytest.mark.parametrize(
    "changes",
    sampled(
        [
            {"refund_fee": "10.00", "gmt_refund": "2026-11-21 12:10:00.123", "out_biz_no": "R1"},
            {"refund_fee": "10.00"},
            {"gmt_refund": "2026-11-21 12:10:00"},
            {"out_biz_no": "R1"},
            {"refund_fee": "73.00", "trade_status": "TRADE_CLOSED"},
        ],
        keep=2,
    ),
    ids=lambda changes: "-".join(changes),
)
def test_C11_a_notice_about_a_refund_is_no_payment(
    changes: dict[str, str], alipay: Any, buyer: User, provider: Client
) -> None:
    order = pending_order(buyer, alipay)
    desk = CallbackDesk(alipay, provider)
    assert desk.acknowledged(alipay.notice(order, **changes))
    in_full = changes.get("refund_fee") == "73.00"
    state = Order.State.CLOSED if in_full else Order.State.PENDING
    not_credited(order, state)
    assert Notice.objects.get().verdict in (Notice.Verdict.REFUND, Notice.Verdict.UNCONFIRMED)
    # What it says is kept with the order: nothing is credited before the provider has said how much went back.
    assert desk.acknowledged(alipay.notice(order, refund_fee="0.00")) == in_full
    not_credited(order, state)
    assert "refunded at the provider" in order.review


def test_C11_a_wechat_payment_that_was_refunded_before_we_knew_is_flagged_and_not_credited(
    wechat: WeChatMerchant, buyer: User, settings: Any
) -> None:
    with ScriptedProvider(wechat, settings) as provider:
        order = made_before(pending_order(buyer, wechat), minutes=10)
        provider.states[order.order_no] = "refunded"
        services.poll_order(order)
        not_credited(order)
        assert "refunded" in order.review


# --- C12: the same order twice ---------------------------------------------------------------------------------------
def test_C12_the_same_key_gives_the_same_order_and_never_another_amount(
    desk: CallbackDesk, buyer: User, other_user: User, scripted: ScriptedProvider, as_user: Any
) -> None:
    gateway = gateway_of(desk.merchant)
    first = pay(as_user(buyer), gateway, HTTP_IDEMPOTENCY_KEY="k1")
    again = pay(as_user(buyer), gateway, HTTP_IDEMPOTENCY_KEY="k1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    different = pay(as_user(buyer), gateway, amount=20, HTTP_IDEMPOTENCY_KEY="k1")
    assert (different.status_code, different.json()["message"]) == (409, "error")
    assert pay(as_user(other_user), gateway, amount=20, HTTP_IDEMPOTENCY_KEY="k1").status_code == 200
    assert pay(as_user(buyer), gateway, HTTP_IDEMPOTENCY_KEY="k2").status_code == 200
    assert list(Order.objects.filter(user=buyer).values_list("amount", flat=True)) == [10, 10]
    assert scripted.operations() == ["create"] * 3
    assert pay(as_user(buyer), gateway, HTTP_IDEMPOTENCY_KEY="").json() != pay(as_user(buyer), gateway).json()


def test_C12_the_same_key_at_the_other_gateway_is_refused(
    wechat: Any, alipay: Any, buyer: User, as_user: Any, settings: Any
) -> None:
    with ScriptedProvider(wechat, settings):
        assert pay(as_user(buyer), "wechat", HTTP_IDEMPOTENCY_KEY="k").status_code == 200
    with ScriptedProvider(alipay, settings):
        assert pay(as_user(buyer), "alipay", HTTP_IDEMPOTENCY_KEY="k").status_code == 409
    assert Order.objects.count() == 1


def test_C12_a_double_click_places_one_order(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider, as_user: Any
) -> None:
    gateway = gateway_of(desk.merchant)
    clients = [as_user(buyer) for _ in range(6)]
    answers = at_once(*[lambda c=c: pay(c, gateway, HTTP_IDEMPOTENCY_KEY="double").json() for c in clients])
    order = Order.objects.get()
    assert [answer["data"]["order_id"] for answer in answers] == [order.order_no] * 6
    assert {answer["data"]["pay_url"] for answer in answers} == {order.pay_url}
    assert order.pay_url
    assert {call.order_no for call in scripted.calls} == {order.order_no}


def test_C12_a_repeat_after_an_answer_that_was_lost_goes_on_with_the_same_order(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider, as_user: Any
) -> None:
    gateway = gateway_of(desk.merchant)
    scripted.answers = [b"<html>502 Bad Gateway</html>"]
    assert pay(as_user(buyer), gateway, HTTP_IDEMPOTENCY_KEY="k").status_code == 502
    again = pay(as_user(buyer), gateway, HTTP_IDEMPOTENCY_KEY="k")
    assert again.status_code == 200
    assert Order.objects.get().order_no == again.json()["data"]["order_id"]
    assert len({call.order_no for call in scripted.calls}) == 1


# --- C14: two operators ----------------------------------------------------------------------------------------------
def test_C14_of_two_operators_who_complete_an_order_at_once_one_wins(
    desk: CallbackDesk, order: Order, scripted: ScriptedProvider, books_agree: Any
) -> None:
    scripted.pay(order)
    meet = threading.Barrier(2)
    scripted.before["query"] = [lambda _number: meet.wait(10)] * 2
    at_once(
        lambda: services.ask_provider(Order.objects.get(pk=order.pk), source="admin a"),
        lambda: services.ask_provider(Order.objects.get(pk=order.pk), source="admin b"),
    )
    credited_once(order)
    assert Entry.objects.get(ref=order.order_no).actor == order.credited_by
    assert order.credited_by in ("admin a", "admin b")
    books_agree()


def test_C14_of_two_operators_who_resolve_an_alert_at_once_one_wins(db: None) -> None:
    raise_alert("test", level="info", title="Something")
    found = Alert.objects.get()
    assert sorted(at_once(*[lambda name=name: resolve(found, by=name) for name in ("a", "b", "c")])) == [
        False,
        False,
        True,
    ]


def test_C14_two_operators_who_save_settings_at_once_lose_neither_change(wechat: WeChatMerchant) -> None:
    from topup.services.options import read_options

    for number in range(5):
        at_once(
            lambda n=number: write_options({"WechatMinTopUp": n + 2}),
            lambda n=number: write_options({"WechatMchId": f"190000{n:04d}"}),
            lambda n=number: write_options({"WechatAppId": f"wx{n:016d}"}),
        )
        options = read_options()
        assert options["WechatMinTopUp"] == number + 2
        assert options["WechatMchId"] == f"190000{number:04d}"
        assert options["WechatAppId"] == f"wx{number:016d}"


def test_C14_two_replays_of_a_notice_at_once_credit_once(desk: CallbackDesk, order: Order, books_agree: Any) -> None:
    from topup.services.receiving import replay_notice

    body = desk.merchant.notice(order)
    notice = Notice.objects.create(gateway=gateway_of(desk.merchant), body=body.decode(), source="127.0.0.1")
    replays = at_once(*[lambda name=name: replay_notice(notice, actor=name) for name in ("a", "b", "c")])
    assert sorted(replay.verdict for replay in replays) == ["credited", "duplicate", "duplicate"]
    credited_once(order)
    books_agree()


# --- C15: the locks that are relied on are really sent ---------------------------------------------------------------
def statements(queries: CaptureQueriesContext, *words: str) -> list[str]:
    return [query["sql"] for query in queries.captured_queries if all(word in query["sql"] for word in words)]


def test_C15_the_sweep_claims_under_skip_locked(desk: CallbackDesk, order: Order, scripted: ScriptedProvider) -> None:
    make_due(order)
    with CaptureQueriesContext(connection) as queries:
        services.follow_orders()
    claims = statements(queries, 'FROM "topup_order"', "FOR UPDATE SKIP LOCKED")
    assert claims
    everything = [query["sql"] for query in queries.captured_queries]
    (moved_on,) = statements(queries, 'UPDATE "topup_order" SET "asked"', '"next_ask_at" = ')
    assert everything[everything.index(moved_on) - 1] in claims
    assert everything[everything.index(moved_on) + 1] == "COMMIT"


def test_C15_two_sweeps_never_look_after_the_same_order(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider
) -> None:
    orders = [made_before(pending_order(buyer, desk.merchant), minutes=10) for _ in range(12)]
    for order in orders:
        make_due(order)
    assert sum(at_once(*[services.follow_orders] * 3)) == 12
    assert sorted(call.order_no for call in scripted.calls) == sorted(order.order_no for order in orders)


def test_C15_a_row_that_is_locked_is_left_to_whoever_holds_it(
    desk: CallbackDesk, order: Order, scripted: ScriptedProvider
) -> None:
    make_due(order)
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=order.pk)
        assert at_once(services.follow_orders) == [0]
    assert services.follow_orders() == 1


def test_C15_a_move_of_an_order_names_the_state_it_was_read_in(desk: CallbackDesk, order: Order) -> None:
    # A first recharge would make the wallet, then credit.
    wallet_of(order.user)
    with CaptureQueriesContext(connection) as queries:
        desk.deliver(desk.merchant.notice(order))
    # State, balance, entry and notice in one statement, which is one transaction.
    swap, *more = statements(queries, "UPDATE topup_order")
    assert not more
    assert "o.state = t.state" in swap
    assert '"state":"pending"' in swap
    for change in ("UPDATE wallet_wallet", "INSERT INTO wallet_entry", "UPDATE topup_notice"):
        assert statements(queries, change) == [swap]
    sent = [query["sql"] for query in queries.captured_queries]
    around = sent[sent.index(swap) - 1 : sent.index(swap) + 2]
    assert not {"BEGIN", "COMMIT"} & set(around)


def test_C15_a_stale_copy_of_an_order_moves_nothing(desk: CallbackDesk, order: Order) -> None:
    stale = Order.objects.get(pk=order.pk)
    assert desk.acknowledged(desk.merchant.notice(order))
    assert not stale.move(Order.State.CLOSED)
    assert not stale.move(Order.State.PAID, transaction_id="x", credited_at=timezone.now())
    credited_once(order)


def test_C15_settings_are_locked_while_they_are_changed(wechat: WeChatMerchant) -> None:
    with CaptureQueriesContext(connection) as queries:
        write_options({"WechatMinTopUp": 3})
    assert statements(queries, 'FROM "topup_wechatsettings"', "FOR UPDATE")
