"""Faults F: clocks that are wrong, zones, days that end, and numbers that are none."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import full, rarely, sampled
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup import services
from topup.models import Order
from topup.money import fen, yuan
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import AccessToken, User
from voicehelper.api import ratelimit
from voicehelper.wallet.models import Entry, Hold
from voicehelper.wallet.services import MAX_QUOTA, credit, hold, reap_holds

from .conftest import CallbackDesk, balance, credited_once, not_credited
from .scripted import ScriptedProvider, gateway_of

SKEWS = {
    "ten minutes slow": timedelta(minutes=-10),
    "ten minutes fast": timedelta(minutes=10),
    "an hour slow": timedelta(hours=-1),
    "an hour fast": timedelta(hours=1),
}


# --- F1: our clock is wrong ------------------------------------------------------------------------------------------
@pytest.fixture(params=sampled(SKEWS, keep=2))
def skew(request: pytest.FixtureRequest) -> Iterator[timedelta]:
    """This process's clock is wrong; the database's is right."""
    wrong = SKEWS[request.param]
    with time_machine.travel(datetime.now(UTC) + wrong, tick=True):
        assert abs(datetime.now(UTC) - clock.now() - wrong) < timedelta(seconds=5)
        yield wrong


def ends_in(order: Order, **ahead: float) -> None:
    """By the database's clock."""
    now = clock.now()
    made = now - timedelta(minutes=20)
    Order.objects.filter(pk=order.pk).update(created=made, expires_at=now + timedelta(**ahead), next_ask_at=now)
    order.refresh_from_db()


@pytest.mark.django_db(transaction=True)
def test_F1_M8_the_databases_clock_decides_what_has_expired(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider, skew: timedelta
) -> None:
    alive, over = pending_order(buyer, desk.merchant), pending_order(buyer, desk.merchant)
    for order, minutes in ((alive, 5), (over, -5)):
        scripted.states[order.order_no] = "waiting"
        ends_in(order, minutes=minutes)
    assert 290 <= services.seconds_left(alive) <= 300
    assert services.seconds_left(over) == 0
    services.follow_orders()
    alive.refresh_from_db()
    over.refresh_from_db()
    assert (alive.state, over.state) == ("pending", "closed")
    # Closed by the database's clock as well.
    assert abs(over.closed_at - clock.now()) < timedelta(seconds=30)  # type: ignore[operator]
    assert abs(alive.next_ask_at - clock.now() - services.ASK_EVERY) < timedelta(seconds=30)  # type: ignore[operator]


@pytest.mark.django_db(transaction=True)
def test_F1_M8_an_order_gets_its_whole_life_by_the_databases_clock(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider, as_user: Any, skew: timedelta
) -> None:
    gateway = gateway_of(desk.merchant)
    body = {"amount": 10, "payment_method": gateway}
    answer = as_user(buyer).post(f"/api/user/{gateway}/pay", body, format="json")
    order = Order.objects.get(order_no=answer.json()["data"]["order_id"])
    assert abs(order.created - clock.now()) < timedelta(seconds=30)
    assert abs(order.expires_at - clock.now() - timedelta(minutes=30)) < timedelta(seconds=30)
    told = scripted.calls[0].fields["time_expire"]
    pattern, grace = ("%Y%m%d%H%M%S", 5) if gateway == "wechat" else ("%Y-%m-%d %H:%M:%S", 0)
    expected = order.expires_at.astimezone(clock.BEIJING) + timedelta(minutes=grace)
    assert told == f"{expected:{pattern}}"


@pytest.mark.django_db(transaction=True)
def test_F1_M8_polling_is_braked_by_the_databases_clock(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider, skew: timedelta
) -> None:
    order = pending_order(buyer, desk.merchant)
    services.poll_order(order)
    assert scripted.calls == []  # younger than five seconds, whatever we think
    Order.objects.filter(pk=order.pk).update(created=clock.now() - timedelta(seconds=6))
    services.poll_order(order)
    services.poll_order(order)
    assert scripted.operations() == ["query"]
    Order.objects.filter(pk=order.pk).update(polled_at=clock.now() - timedelta(seconds=5))
    services.poll_order(order)
    assert scripted.operations() == ["query", "query"]


@pytest.mark.django_db
def test_F1_M8_a_payment_is_credited_whatever_our_clock_says(
    desk: CallbackDesk, buyer: User, skew: timedelta, books_agree: Callable[[], None]
) -> None:
    order = pending_order(buyer, desk.merchant)
    assert desk.acknowledged(desk.merchant.notice(order))
    credited_once(order)
    assert order.credited_at is not None
    assert abs(order.credited_at - clock.now()) < timedelta(seconds=30)
    assert abs(Entry.objects.get().created - clock.now()) < timedelta(seconds=30)
    assert order.paid_at == datetime(2026, 11, 21, 4, tzinfo=UTC)  # what the provider said
    books_agree()


@pytest.mark.django_db
def test_F1_M8_tokens_and_holds_end_by_the_databases_clock(buyer: User, as_user: Any, skew: timedelta) -> None:
    client = as_user(buyer)
    token = AccessToken.objects.get()
    assert abs(token.expires_at - clock.now() - timedelta(days=30)) < timedelta(seconds=30)
    for minutes, status in ((5, 200), (-5, 401)):
        AccessToken.objects.update(expires_at=clock.now() + timedelta(minutes=minutes))
        assert client.get("/api/user/self").status_code == status
    credit(buyer, 100, kind=Entry.Kind.GIFT, ref="gift", actor="test")
    for name, minutes in (("alive", 5), ("over", -5)):
        hold(buyer, 10, ref=name, life=timedelta(minutes=minutes))
    assert reap_holds() == 1
    assert {held.ref: held.state for held in Hold.objects.all()} == {"alive": "open", "over": "released"}


def test_M8_no_wait_is_longer_than_its_limit_says_after_a_clock_was_an_hour_ahead() -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1), tick=True):
        assert ratelimit.hit("1 per minute", "a clock that jumps") == 0
    assert 0 < ratelimit.hit("1 per minute", "a clock that jumps") <= 60


# --- F3: zones and the end of the day --------------------------------------------------------------------------------
@pytest.fixture(params=["Asia/Shanghai", "America/New_York", *rarely("UTC", "Pacific/Kiritimati")])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The process runs in this time zone."""
    before = os.environ["TZ"]
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 11, 21, 15, 59, 59, tzinfo=UTC), "20261121"),
        (datetime(2026, 11, 21, 16, 0, 0, tzinfo=UTC), "20261122"),
        (datetime(2026, 12, 31, 15, 59, 59, 999999, tzinfo=UTC), "20261231"),
        (datetime(2026, 12, 31, 16, 0, 0, tzinfo=UTC), "20270101"),
        (datetime(2028, 2, 28, 16, 0, 0, tzinfo=UTC), "20280229"),
    ],
)
def test_F3_an_orders_day_is_beijings_day_to_the_second(zone: str, moment: datetime, day: str) -> None:
    assert Order.new_number(moment).startswith(day)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("beijing", "utc"),
    [
        ((2026, 11, 21, 23, 59, 59), datetime(2026, 11, 21, 15, 59, 59, tzinfo=UTC)),
        ((2026, 11, 22, 0, 0, 0), datetime(2026, 11, 21, 16, 0, 0, tzinfo=UTC)),
    ],
)
def test_F3_a_providers_times_are_beijings_wherever_we_run(
    zone: str, beijing: tuple[int, ...], utc: datetime, desk: CallbackDesk, buyer: User
) -> None:
    order = pending_order(buyer, desk.merchant)
    year, month, day, hour, minute, second = beijing
    if isinstance(desk.merchant, WeChatMerchant):
        told = {"time_end": f"{year}{month:02d}{day:02d}{hour:02d}{minute:02d}{second:02d}"}
    else:
        told = {"gmt_payment": f"{year}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"}
    assert desk.acknowledged(desk.merchant.notice(order, **told))
    credited_once(order)
    assert order.paid_at == utc


@pytest.mark.django_db
def test_F3_the_api_shows_beijing_time_wherever_we_run(zone: str, wechat: Any, buyer: User, as_user: Any) -> None:
    order = pending_order(buyer, wechat)
    Order.objects.filter(pk=order.pk).update(expires_at=datetime(2026, 11, 21, 16, tzinfo=UTC))
    data = as_user(buyer).get(f"/api/user/topup/orders/{order.order_no}").json()["data"]
    assert data["expires_at"] == "2026-11-22T00:00:00+08:00"


@pytest.mark.django_db
def test_F3_a_time_that_is_none_does_not_keep_a_payment_from_being_credited(desk: CallbackDesk, buyer: User) -> None:
    name = "time_end" if isinstance(desk.merchant, WeChatMerchant) else "gmt_payment"
    for nonsense in ("", "0", "00000000000000", "20261332256199", "99999999999999", "not a time", None):
        order = pending_order(buyer, desk.merchant)
        assert desk.acknowledged(desk.merchant.notice(order, **{name: nonsense}))
        credited_once(order)
        assert order.paid_at is not None


# --- F5, F6: exact money ---------------------------------------------------------------------------------------------
@settings(max_examples=full(20_000, 150), deadline=None, database=None)
@given(st.integers(0, 10**9))
def test_F5_yuan_and_fen_are_each_others_inverse_up_to_ten_million_yuan(amount: int) -> None:
    text = yuan(amount)
    assert fen(text) == amount
    assert Decimal(text) * 100 == amount


@pytest.mark.rare
@pytest.mark.django_db
@settings(
    max_examples=full(2_000, 60),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    amount=st.integers(1, 10_000),
    price=st.decimals("0.01", "99", places=6),
    ratio=st.decimals("0.1", "10", places=4),
    discount=st.decimals("0.01", "1", places=4),
)
def test_F6_M7_what_is_quoted_is_charged_stored_and_credited_rounded_once(
    amount: int, price: Decimal, ratio: Decimal, discount: Decimal, alipay: AlipayMerchant, provider: Any, buyer: User
) -> None:
    write_options(
        {
            "Price": str(price),
            "AmountDiscount": {str(amount): str(discount)},
            "TopupGroupRatio": {"default": str(ratio)},
            "ConfirmAbove": 9_000_000,
        }
    )
    exact = (Decimal(amount) * price * ratio * discount).quantize(Decimal("0.01"), ROUND_HALF_UP)
    if not exact:
        return
    quoted = services.quote_for(buyer, "alipay", amount)
    assert quoted.money == str(exact)
    order = pending_order(buyer, alipay, amount)
    # The settings change between the order and the payment.
    write_options({"Price": "1", "AmountDiscount": {}, "TopupGroupRatio": {"default": 1}, "QuotaPerUnit": 7})
    before = balance(buyer)
    assert alipay.notice_values(order)["total_amount"] == str(exact)
    assert CallbackDesk(alipay, provider).acknowledged(alipay.notice(order))
    order.refresh_from_db()
    assert (order.amount_fen, order.state) == (int(exact * 100), "paid")
    assert balance(buyer) - before == order.quota == amount * 500_000
    write_options({"QuotaPerUnit": 500_000})


@pytest.mark.django_db(transaction=True)
def test_F6_M7_a_repeat_after_a_price_change_charges_what_was_agreed(
    desk: CallbackDesk, buyer: User, scripted: ScriptedProvider, as_user: Any
) -> None:
    gateway = gateway_of(desk.merchant)
    write_options({"Price": "7.333333", "TopupGroupRatio": {"default": "0.9"}, "AmountDiscount": {"13": "0.95"}})
    body = {"amount": 13, "payment_method": gateway}
    client = as_user(buyer)
    quoted = client.post("/api/user/amount", body, format="json").json()["data"]
    assert quoted == "81.51"  # 13 × 7.333333 × 0.9 × 0.95 = 81.5099…
    scripted.answers = [b"nonsense"]
    client.post(f"/api/user/{gateway}/pay", body, format="json", HTTP_IDEMPOTENCY_KEY="k")
    write_options({"Price": "9.99"})
    client.post(f"/api/user/{gateway}/pay", body, format="json", HTTP_IDEMPOTENCY_KEY="k")
    name, told = ("total_fee", "8151") if gateway == "wechat" else ("total_amount", "81.51")
    assert [call.fields[name] for call in scripted.calls] == [told, told]
    assert Order.objects.get().amount_fen == 8151


# --- F7: numbers that are none ---------------------------------------------------------------------------------------
NO_AMOUNTS = [
    "0", "-1", "-0", "1.5", "10.0", "1e1", "1e400", "-1e400", "NaN", "Infinity", "-Infinity", '"10"', '""', "true",
    "false", "null", "[]", "[10]", "{}", '{"$gt": 0}', "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "1" + "0" * 30, "1" + "0" * 5000, "9007199254740993.5", "0x10", "010", '"１０"', '"1e3"',
    '"10 "',
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("route", ["/api/user/wechat/pay", "/api/user/amount"])
def test_F7_an_amount_that_is_none_is_refused_and_orders_nothing(
    route: str, wechat: WeChatMerchant, buyer: User, as_user: Any, settings: Any
) -> None:
    settings.PAY_RATE_LIMIT = "1000 per minute"
    client = as_user(buyer)
    client.raise_request_exception = False
    for amount in NO_AMOUNTS:
        body = f'{{"amount": {amount}, "payment_method": "wechat"}}'
        response = client.post(route, body, content_type="application/json")
        assert response.status_code == 400, amount
        assert response.json()["message"] == "error", amount
    assert not Order.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("display", ["currency", "tokens"])
def test_F7_the_least_and_the_largest_amount(display: str, wechat: WeChatMerchant, buyer: User, as_user: Any) -> None:
    wechat.configure(WechatMinTopUp=3, QuotaDisplayType=display, QuotaPerUnit=1000)
    client = as_user(buyer)
    unit = 1000 if display == "tokens" else 1

    def ask(amount: int) -> Any:
        return client.post("/api/user/amount", {"amount": amount, "payment_method": "wechat"}, format="json")

    refused = ask(3 * unit - 1)
    assert refused.status_code == 400
    assert str(3 * unit) in refused.json()["data"]
    assert ask(3 * unit).json() == {"message": "success", "data": "21.90"}
    # ¥100,000,000.00 is the most a provider takes.
    assert ask(13_698_630 * unit).json()["data"] == "99999999.00"
    assert ask(13_698_631 * unit).status_code == 400


@pytest.mark.parametrize("amount", [0, -1, -(10**30), MAX_QUOTA + 1, 2**63, 10**30])
@pytest.mark.django_db
def test_F7_the_ledger_refuses_what_is_no_amount(amount: int, buyer: User, books_agree: Any) -> None:
    with pytest.raises(ValueError):
        credit(buyer, amount, kind=Entry.Kind.GIFT, ref="x", actor="test")
    with pytest.raises(ValueError):
        hold(buyer, amount, ref="x", life=timedelta(minutes=1))
    assert balance(buyer) == 0
    books_agree()


@pytest.mark.django_db(transaction=True)
def test_F7_a_balance_that_would_overflow_credits_nothing_and_loses_nothing(
    desk: CallbackDesk, buyer: User, books_agree: Any
) -> None:
    credit(buyer, MAX_QUOTA, kind=Entry.Kind.GIFT, ref="a", actor="test")
    credit(buyer, MAX_QUOTA - 1, kind=Entry.Kind.GIFT, ref="b", actor="test")
    order = pending_order(buyer, desk.merchant)
    assert not desk.acknowledged(desk.merchant.notice(order))
    not_credited(order)
    assert order.notices.get().verdict == "failed"
    books_agree()
