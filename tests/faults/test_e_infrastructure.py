"""E: the database, Redis or the provider is slow, broken or gone. A real server behind proxies that misbehave."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, transaction

from sandbox.models import Delivery
from tests.conftest import SOAK, rare_row, rarely, sampled
from tests.merchants import WECHAT
from tests.orders import pending_order
from tests.processes import (
    Reply,
    Server,
    database_address,
    database_url,
    open_sandbox_accounts,
    redis_address,
    redis_url,
)
from topup.models import Order
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import wallet_of

from .proxy import Proxy
from .workers import credited_once, sweep_now

pytestmark = pytest.mark.django_db(transaction=True)

# WeChat and Alipay give a callback up after five seconds.
ANSWER_WITHIN_S = 5.0
# Two seconds to connect and five to read, and some for a machine that is busy.
PAY_WITHIN_S = 15.0


@dataclass
class World:
    """One server and the three ways out of it."""

    server: Server
    database: Proxy
    redis: Proxy
    provider: Proxy

    def notify(self, body: bytes) -> tuple[Reply, float]:
        """Post a WeChat notice; the answer, and how long it took."""
        started = time.monotonic()
        reply = self.server.post("/api/wechat/notify", body, timeout_s=20)
        return reply, time.monotonic() - started

    def pay(self, token: str, gateway: str = "wechat", amount: int = 10, key: str = "") -> tuple[Reply, float]:
        headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
        started = time.monotonic()
        ask = {"amount": amount, "payment_method": gateway}
        reply = self.server.post_json(f"/api/user/{gateway}/pay", ask, headers=headers)
        return reply, time.monotonic() - started

    def script(self, fault: str, operation: str = "", gateway: str = "wechat", **more: Any) -> None:
        """What the stand-in does next."""
        asked = {"gateway": gateway, "fault": fault, "operation": operation} | more
        reply = self.server.post_json("/sandbox/script", asked)
        assert reply.status == 201, reply


@pytest.fixture(scope="module")
def _world(django_db_setup: None) -> Iterator[World]:
    server = Server()
    ways = Proxy(database_address()), Proxy(redis_address()), Proxy(("127.0.0.1", server.port))
    with ways[0] as database, ways[1] as redis, ways[2] as provider:
        server.environment |= {
            "DATABASE_URL": database_url(database.address),
            "REDIS_URL": redis_url(redis.address),
            "WECHAT_PAY_BASE_URL": f"http://{provider.address}/sandbox/wechat",
            "ALIPAY_GATEWAY_URL": f"http://{provider.address}/sandbox/alipay/gateway.do",
        }
        with server:
            yield World(server, database, redis, provider)


@pytest.fixture
def world(_world: World, settings: Any, db: None) -> Iterator[World]:
    settings.WECHAT_PAY_BASE_URL = _world.server.environment["WECHAT_PAY_BASE_URL"]
    settings.ALIPAY_GATEWAY_URL = _world.server.environment["ALIPAY_GATEWAY_URL"]
    yield _world
    for proxy in (_world.database, _world.redis, _world.provider):
        proxy.heal()


@pytest.fixture
def token(buyer: User) -> str:
    return issue_token(buyer)


def succeeded(reply: Reply) -> bool:
    return reply.status == 200 and b"SUCCESS" in reply.body


# --- The database ----------------------------------------------------------------------------------------------------
MOMENTS = {
    "before_anything_is_said": b"",
    "while_settings_are_read": b"FROM topup_rechargesettings",
    "while_the_order_is_read": b'FROM "topup_order"',
    "while_the_notice_is_stored": b'INSERT INTO "topup_notice"',
    "while_the_wallet_is_made": b'INSERT INTO "wallet_wallet"',
    # What credits is one statement, and a transaction by itself.
    "before_the_commit": b"UPDATE wallet_wallet",
    "after_the_commit": b"UPDATE wallet_wallet",
}


# A silent database costs each try the whole patience, so that only soak tries it at every moment.
WAYS = [(moment, "down") for moment in MOMENTS] + [
    (moment, "half_open") for moment in MOMENTS if SOAK or moment in {"before_the_commit", "after_the_commit"}
]
OFTEN = {("before_the_commit", "down"), ("after_the_commit", "half_open")}


@pytest.mark.parametrize(("moment", "way"), [way if way in OFTEN else rare_row(way) for way in WAYS])
def test_E1_postgresql_fails_in_the_middle_of_a_notice_and_success_is_never_said_before_the_commit(
    world: World, buyer: User, wechat: Any, books_agree: Callable[[], None], moment: str, way: Any
) -> None:
    order = pending_order(buyer, WECHAT)
    notice = WECHAT.notice(order)
    if moment != "while_the_wallet_is_made":
        wallet_of(buyer)
    if MOMENTS[moment]:
        world.database.break_at(MOMENTS[moment], way, after=moment == "after_the_commit")
    else:
        world.database.mode = way

    reply, took_s = world.notify(notice)

    if MOMENTS[moment]:
        assert world.database.sprung.is_set(), reply
    assert not succeeded(reply)
    assert reply.status, "no answer at all"
    assert took_s < ANSWER_WITHIN_S
    world.database.heal()
    reply, took_s = world.notify(notice)
    assert succeeded(reply), reply
    assert took_s < ANSWER_WITHIN_S
    assert credited_once(order)
    books_agree()


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(act, range(count)))


def test_E2_sessions_that_died_while_idle_fail_no_notice(
    world: World, buyer: User, wechat: Any, books_agree: Callable[[], None]
) -> None:
    def settle_some(count: int) -> None:
        orders = [pending_order(buyer, WECHAT) for _ in range(count)]
        replies = at_once(count, lambda n: world.notify(WECHAT.notice(orders[n]))[0])
        assert all(succeeded(reply) for reply in replies), replies
        assert all(credited_once(order) for order in orders)

    settle_some(8)
    # As after a restart or a failover of PostgreSQL: every session is gone, and nobody has noticed yet.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        assert cursor.fetchone()[0] >= 4
    settle_some(12)
    world.database.reset()
    settle_some(12)
    books_agree()


def test_E4_a_row_that_somebody_holds_delays_a_notice_within_limits(
    world: World, buyer: User, wechat: Any, books_agree: Callable[[], None]
) -> None:
    order = pending_order(buyer, WECHAT)
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=order.pk)
        reply, took_s = world.notify(WECHAT.notice(order))
    assert reply.status
    assert not succeeded(reply)
    assert took_s < ANSWER_WITHIN_S
    assert not Entry.objects.exists()
    assert succeeded(world.notify(WECHAT.notice(order))[0])
    assert credited_once(order)
    books_agree()


# --- Redis -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", sampled(["down", "half_open"], keep=1))
def test_E5_without_redis_people_sign_in_pay_and_are_credited_and_limits_still_hold(
    world: World, buyer: User, books_agree: Callable[[], None], way: Any
) -> None:
    open_sandbox_accounts()
    world.redis.mode = way
    assert world.server.get("/healthz").status == 503
    # Whatever was learnt of Redis before counts no more.
    time.sleep(0.1)

    def sign_in(name: str, password: str) -> Reply:
        return world.server.post_json("/api/auth/login", {"username": name, "password": password})

    started = time.monotonic()
    reply = sign_in("buyer", "a long buyer password")
    assert reply.status == 200, reply
    reply, _ = world.pay(reply.json["token"])
    assert reply.status == 200, reply
    code = reply.json["data"]["pay_url"]
    assert world.server.post_json("/sandbox/phone/pay", {"code": code, "fault": "drop"}).status == 200
    reply, took_s = world.notify(Delivery.objects.get().body.encode())
    assert succeeded(reply)
    assert took_s < 2
    assert time.monotonic() - started < 8, "a dead Redis must not slow every step"
    assert credited_once(Order.objects.get())
    # Ten wrong passwords are allowed; nobody can try on because Redis is away.
    statuses = [sign_in(f"mallory {way}", f"guess {n}").status for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    books_agree()


# --- The provider ----------------------------------------------------------------------------------------------------
def pay_by_phone(world: World, code: str, **faults: Any) -> None:
    reply = world.server.post_json("/sandbox/phone/pay", {"code": code} | faults)
    assert reply.status == 200, reply


def is_unknown(order: Order) -> bool:
    """Open, with a reason, and to be asked about: neither failed nor forgotten."""
    return order.state == Order.State.CREATED and bool(order.failure) and order.next_ask_at is not None


ANSWERS = {
    "http_500": {},
    "html": {},
    "half_body": {},
    "wrong_signature": {},
    "system_error": {},
    "http_500_after_work": {"after_work": True},
} | ({"timeout": {"seconds": 30}, "timeout_after_work": {"seconds": 30, "after_work": True}} if SOAK else {})


@pytest.mark.parametrize("gateway", ["wechat", *rarely("alipay")])
@pytest.mark.parametrize("answer", sampled(ANSWERS, keep=2))
def test_E10_an_answer_that_proves_nothing_leaves_the_order_unknown_and_it_is_settled_later(
    world: World, token: str, books_agree: Callable[[], None], answer: str, gateway: str
) -> None:
    open_sandbox_accounts()
    # Twice: "busy" is tried once more.
    world.script(answer.removesuffix("_after_work"), "create", gateway, times=2, **ANSWERS[answer])

    reply, took_s = world.pay(token, gateway, key="one")

    assert reply.status == 502
    assert reply.json["message"] == "error"
    assert took_s < PAY_WITHIN_S
    assert is_unknown(Order.objects.get())
    # Once more with the same key: the same order, and now the code.
    world.server.request("DELETE", "/sandbox/script")
    reply, _ = world.pay(token, gateway, key="one")
    assert reply.status == 200, reply
    order = Order.objects.get()
    assert reply.json["data"]["order_id"] == order.order_no
    pay_by_phone(world, reply.json["data"]["pay_url"], fault="drop")
    # The first question meets the same trouble, and proves nothing either.
    world.script(answer.removesuffix("_after_work"), "query", gateway, **ANSWERS[answer] | {"times": 1})
    if "timeout" not in answer:
        sweep_now()
        order.refresh_from_db()
        assert order.state == Order.State.PENDING
    world.server.request("DELETE", "/sandbox/script")
    sweep_now()
    assert credited_once(order)
    books_agree()


@pytest.mark.rare
def test_E10_while_the_provider_is_silent_pay_answers_in_time_and_callbacks_do_not_wait(
    world: World, token: str, books_agree: Callable[[], None]
) -> None:
    open_sandbox_accounts()
    orders, notices = [], []
    # 1460 yuan: more than what is believed without asking the provider.
    for amount in (10, 200):
        reply, _ = world.pay(token, amount=amount)
        pay_by_phone(world, reply.json["data"]["pay_url"], fault="drop")
        orders.append(Order.objects.get(order_no=reply.json["data"]["order_id"]))
        notices.append(Delivery.objects.latest("pk").body.encode())
    (small, large), (small_notice, large_notice) = orders, notices
    world.provider.mode = "half_open"

    # As many as the server has threads for pages and the API.
    with ThreadPoolExecutor(17) as pool:
        payments = [pool.submit(world.pay, token, ("wechat", "alipay")[n % 2], key=f"{n}") for n in range(16)]
        time.sleep(1)
        asked = pool.submit(world.notify, large_notice)
        reply, took_s = world.notify(small_notice)
        assert succeeded(reply), reply
        assert took_s < 2
        reply, took_s = asked.result()
        assert reply.status == 200
        assert not succeeded(reply)
        assert took_s < ANSWER_WITHIN_S
        for payment in payments:
            reply, took_s = payment.result()
            assert reply.status == 502
            assert took_s < PAY_WITHIN_S
    assert credited_once(small)
    assert not credited_once(large)
    unknown = Order.objects.exclude(pk__in=[small.pk, large.pk])
    assert len(unknown) == 16
    assert all(is_unknown(order) for order in unknown)

    world.provider.heal()
    sweep_now()
    assert credited_once(large)
    for order in unknown:
        order.refresh_from_db()
        assert order.state == Order.State.CREATED
    reply, _ = world.pay(token, key="0")
    assert reply.status == 200
    assert Order.objects.count() == 18
    books_agree()


@pytest.mark.rare
def test_E10_a_provider_that_refuses_connections_is_no_reason_to_wait(world: World, token: str) -> None:
    open_sandbox_accounts()
    world.provider.mode = "down"
    reply, took_s = world.pay(token, key="one")
    assert reply.status == 502
    assert took_s < 3
    assert is_unknown(Order.objects.get())
    world.provider.heal()
    assert world.pay(token, key="one")[0].status == 200
