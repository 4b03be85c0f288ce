"""H: what spending survives: too many at once, stale knowledge, clients that leave, repeats, leaks."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import psycopg
import pytest
from aiohttp import web
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.db import connection

from llm.models import Credential, Model, Usage
from llm.relay.engine import engine
from llm.seeds import plant
from tests.conftest import sampled
from tests.ledger import spend
from tests.llm.conftest import ASK, STREAM, World
from tests.llm.upstream import Asked, Script, Upstream, chat, fails, in_a_thread, says, send_chunk, tokens
from tests.processes import Server, database_address
from voicehelper.accounts.key_limits import KeyLimits
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.postgres import _address
from voicehelper.wallet import audit, services
from voicehelper.wallet.models import Budget, Entry, Hold, Wallet
from voicehelper.wallet.statements import HOLD
from voicehelper.wallet.tasks import reap_holds

from .proxy import Proxy, database_behind

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = "/v1/chat/completions"
QUOTA_PER_TOKEN = 50


@pytest.fixture
def speaker(transactional_db: None) -> User:
    plant(Model)
    return User.objects.create_user("speaker")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with in_a_thread(Upstream()) as found:
        yield found


def give(user: User, quota: int) -> None:
    services.credit(user, quota, kind=Entry.Kind.GIFT, ref=f"welcome-{user.pk}", actor="test")


def headers(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {create_api_key(user, 'test')[1]}"}


# --- H1, H2: admission -----------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_H1_two_hundred_calls_at_several_processes_on_a_balance_for_ten(
    speaker: User, upstream: Upstream, books_agree: Callable[[], None]
) -> None:
    """Streamed and not, spread over two servers of two processes each. A call holds up to 111 tokens and uses 111."""
    give(speaker, 10 * 111 * QUOTA_PER_TOKEN)
    upstream.otherwise = chat((11, 100), after_s=0.3)
    account = {"ARK_API_KEY": "ark-key", "ARK_BASE_URL": upstream.url}

    async def ask(session: aiohttp.ClientSession, server: Server, number: int) -> int:
        body = STREAM if number % 2 else ASK
        async with session.post(f"{server.address}{CHAT}", json=body) as answer:
            content = await answer.read()
            assert answer.status != 200 or b"[DONE]" in content or not number % 2
            return answer.status

    async def all_at_once(*servers: Server) -> list[int]:
        async with aiohttp.ClientSession(headers=headers_once, connector=aiohttp.TCPConnector(limit=0)) as session:
            return await asyncio.gather(*(ask(session, servers[n // 2 % len(servers)], n) for n in range(200)))

    headers_once = headers(speaker)
    with Server(workers=2, **account) as one, Server(workers=2, **account) as other:
        lowest = Lowest(speaker)
        with lowest:
            statuses = asyncio.run(all_at_once(one, other))
    assert (statuses.count(200), statuses.count(402)) == (10, 190)
    wallet = services.wallet_of(speaker)
    assert (wallet.balance, wallet.held) == (0, 0)
    assert len(upstream.asked) == Usage.objects.count() == 10
    assert lowest.available >= 0
    books_agree()


# --- O4: keys with limits --------------------------------------------------------------------------------------------
@pytest.mark.rare
@pytest.mark.parametrize("limit", ["quota", "rpm", "tpm"])
def test_O4_a_hundred_clients_of_one_key_in_two_dialects_over_four_processes(
    speaker: User, upstream: Upstream, books_agree: Callable[[], None], limit: str
) -> None:
    """A key for ten calls: each holds at most 115 tokens and uses 111. One that is over its limit is told 429."""
    give(speaker, 10_000_000)
    upstream.otherwise = chat((11, 100), after_s=0.3)
    account = {"ARK_API_KEY": "ark-key", "ARK_BASE_URL": upstream.url}
    limits = {"quota": 10 * 115 * QUOTA_PER_TOKEN, "rpm": 10, "tpm": 10 * 115}
    key, text = create_api_key(speaker, "test", KeyLimits(**{limit: limits[limit]}, period="day"))

    async def ask(session: aiohttp.ClientSession, server: Server, number: int) -> int:
        path, body = (CHAT, "/v1/messages")[number % 2], (ASK, STREAM)[number // 2 % 2]
        async with session.post(f"{server.address}{path}", json=body) as answer:
            await answer.read()
            return answer.status

    async def all_at_once(*servers: Server) -> list[int]:
        headers = {"Authorization": f"Bearer {text}"}
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
            return await asyncio.gather(*(ask(session, servers[n // 4 % len(servers)], n) for n in range(100)))

    with Server(workers=2, **account) as one, Server(workers=2, **account) as other:
        statuses = asyncio.run(all_at_once(one, other))
    assert set(statuses) == {200, 429}
    assert 9 <= statuses.count(200) <= 10
    budget = Budget.objects.get(api_key=key)
    assert (budget.used, budget.held) == (statuses.count(200) * 111 * QUOTA_PER_TOKEN, 0)
    assert len(upstream.asked) == Usage.objects.count() == statuses.count(200)
    books_agree()


class Lowest:
    """Watches a wallet, as anybody could see it, while something goes on."""

    def __init__(self, user: User) -> None:
        self.available = 2**62
        self._user = user
        self._over = threading.Event()

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            wallet = Wallet.objects.get(user=self._user)
            self.available = min(self.available, wallet.available, wallet.balance)
        connection.close()


def test_H2_quota_that_another_transaction_is_taking_is_not_there(
    world: World, books_agree: Callable[[], None]
) -> None:
    """The statement waits for the row and decides by what it finds then, not by what its snapshot showed."""
    world.give(10_000)

    async def scenario(w: World) -> int:
        with psycopg.connect(**_address()) as elsewhere:
            elsewhere.execute(
                "UPDATE wallet_wallet SET balance = balance - 9999, used = used + 9999 WHERE user_id = %s", [w.user.pk]
            )
            elsewhere.execute(
                "INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason)"
                " SELECT id, 'spend', -9999, 1, 'taken', 'test', '' FROM wallet_wallet WHERE user_id = %s",
                [w.user.pk],
            )
            asking = asyncio.create_task(w.client.post(CHAT, ASK))
            await asyncio.sleep(0.5)
            assert not asking.done()
            elsewhere.commit()
        return (await asking).status

    assert world.play(scenario) == 402
    assert world.upstream.asked == []
    assert world.wallet.balance == 1
    books_agree()


def test_H2_a_process_that_has_seen_a_full_wallet_does_not_remember_it(
    world: World, books_agree: Callable[[], None]
) -> None:
    world.give(1_000_000)

    def spend_elsewhere() -> None:
        available = services.wallet_of(world.user).available
        spend(world.user, available, ref="elsewhere")
        connection.close()

    async def scenario(w: World) -> list[int]:
        before = (await w.client.post(CHAT, ASK)).status
        await sync_to_async(spend_elsewhere, thread_sensitive=False)()
        return [before, (await w.client.post(CHAT, ASK)).status, (await w.client.post(CHAT, STREAM)).status]

    assert world.play(scenario) == [200, 402, 402]
    assert Usage.objects.count() == 1
    books_agree()


def test_H2_the_statement_that_admits_locks_and_compares_in_one() -> None:
    """As PostgreSQL was sent it: the lock is there, and what is compared comes from under it."""
    with psycopg.connect(**_address()) as session:
        session.execute(f"PREPARE admission AS {HOLD.sql}".encode())
        plan = "\n".join(row[0] for row in session.execute("EXPLAIN EXECUTE admission ('[]')"))
    assert "LockRows" in plan
    assert "Update on wallet_wallet" in plan


# --- H3: clients that leave ------------------------------------------------------------------------------------------
def slowly(asked: Asked) -> Any:
    """Ten words, then the report, then the end, with time to leave before each of them."""

    async def answer() -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked.request)
        await asyncio.sleep(0.4)
        for number in range(10):
            await send_chunk(response, asked, {"content": f"word{number} "}, None)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.4)
        await send_chunk(response, asked, {}, None, finish="stop")
        await asyncio.sleep(0.4)
        await send_chunk(response, asked, None, tokens((10, 50)))
        await asyncio.sleep(0.4)
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    return answer()


# What a client has read when it leaves, and what the model was at then.
MOMENTS = {
    "before the first word": b"",
    "at the first word": b"word0",
    "midway": b"word5",
    "after the last word": b"word9",
    "after the last chunk": b'"finish_reason":"stop"',
    "after the report": b"completion_tokens",
}


@pytest.mark.rare
def test_H3_O3_who_hangs_up_pays_for_what_the_model_wrote_whenever_that_is(
    speaker: User, upstream: Upstream, books_agree: Callable[[], None]
) -> None:
    """Over real connections, politely and with a reset, at every moment: what the provider reported, not 0 and not the
    hold. Nothing is left behind: no hold, no connection to the provider."""
    give(speaker, 10_000_000)
    upstream.otherwise = slowly
    key = headers(speaker)
    with Server(ARK_API_KEY="ark-key", ARK_BASE_URL=upstream.url) as server:
        leaving = [
            threading.Thread(target=leave, args=(server.port, key, upstream, seen, reset))
            for seen in MOMENTS.values()
            for reset in (False, True)
        ]
        for thread in leaving:
            thread.start()
        for thread in leaving:
            thread.join()
        deadline = time.monotonic() + 10
        while Usage.objects.count() < len(leaving) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.get("/healthz").status == 200
    charged = list(Usage.objects.values_list("quota", "usage_source"))
    assert charged == [(60 * QUOTA_PER_TOKEN, "provider")] * len(leaving)
    assert services.wallet_of(speaker).balance == 10_000_000 - 60 * QUOTA_PER_TOKEN * len(leaving)
    assert not Hold.objects.filter(state="open").exists()
    assert not any(asked.hung_up for asked in upstream.asked)
    books_agree()


def leave(port: int, key: dict[str, str], upstream: Upstream, seen: bytes, reset: bool) -> None:
    """Ask, read until `seen` has come (nothing: until the model was asked), and go."""
    mark = f"{seen!r} {reset}"
    body = json.dumps({**STREAM, "user": mark, "stream_options": {"include_usage": True}}).encode()
    sent = {**key, "Host": "a", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"POST {CHAT} HTTP/1.1\r\n{head}\r\n".encode() + body)
        while not any(asked.body["user"] == mark for asked in upstream.asked):
            time.sleep(0.01)
        got = b""
        while seen not in got:
            piece = sock.recv(65536)
            assert piece, got
            got += piece
        assert b"[DONE]" not in got
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_H3_nobody_is_asked_for_a_client_that_has_left(world: World, books_agree: Callable[[], None]) -> None:
    """It left during the pause between two tries: there is no second one, and nothing to pay."""
    world.give(1_000_000)
    Credential.objects.update(retry_delay_ms=600)
    world.upstream.scripts = [fails(500)]
    world.play(lambda w: w.client.post(CHAT, STREAM, leave_after_s=0.15, leave_when=lambda: bool(w.upstream.asked)))
    assert len(world.upstream.asked) == 1
    assert (world.usage().quota, world.usage().outcome, world.wallet.held) == (0, "failed", 0)
    books_agree()


# --- H5: repeats -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("after", [False, True], ids=["before PostgreSQL heard of it", "after it was committed"])
@pytest.mark.parametrize("body", sampled([ASK, STREAM], keep=1), ids=["whole", "streamed"])
def test_H5_retries_failover_and_a_repeated_settlement_are_one_capture(
    world: World, body: dict[str, Any], after: bool, books_agree: Callable[[], None]
) -> None:
    """The provider fails, its replacement answers, and the connection breaks around the settlement's commit."""
    world.give(1_000_000)
    with Proxy(database_address()) as proxy, database_behind(proxy):

        async def scenario(w: World) -> Any:
            await w.client.post(CHAT, body)
            w.upstream.scripts = [fails(500), fails(429, retry_after="0"), fails(503)]
            proxy.break_at(b"wallet_settle", "down", after=after)
            asking = asyncio.create_task(w.client.post(CHAT, {**body, "fallbacks": ["doubao-lite"]}))
            await asyncio.to_thread(proxy.sprung.wait, 10)
            await asyncio.sleep(0.3)
            assert not asking.done()
            proxy.heal()
            return await asking

        answer = world.play(scenario)
    assert answer.status == 200
    last = Usage.objects.latest("id")
    assert (last.model_name, last.asked_model) == ("doubao-lite", "doubao-pro,doubao-lite")
    assert (last.tries, last.quota) == (4, 30 * 25)
    entries = list(Entry.objects.filter(kind="spend").order_by("id").values_list("ref", "amount"))
    assert entries[1:] == [(last.request_id, -750)]
    assert Hold.objects.filter(ref=last.request_id, state="captured").count() == 1
    assert (Usage.objects.count(), len(entries)) == (2, 2)
    books_agree()


def test_H5_ten_failures_in_ten_calls_are_ten_captures(world: World, books_agree: Callable[[], None]) -> None:
    world.give(10_000_000)
    Credential.objects.update(retry_delay_ms=1)
    failed: set[str] = set()

    async def at_the_second_try(asked: Asked) -> Any:
        mark = asked.body["messages"][0]["content"]
        script: Script = chat() if mark in failed else fails(500)
        failed.add(mark)
        return await script(asked)

    world.upstream.otherwise = at_the_second_try
    bodies = [{**(STREAM if n % 2 else ASK), "messages": [{"role": "user", "content": f"call {n}"}]} for n in range(10)]

    async def scenario(w: World) -> list[int]:
        return [answer.status for answer in await asyncio.gather(*(w.client.post(CHAT, body) for body in bodies))]

    assert world.play(scenario) == [200] * 10
    assert len(world.upstream.asked) == 20
    assert list(Entry.objects.filter(kind="spend").values_list("amount", flat=True)) == [-1500] * 10
    books_agree()


# --- H6: holds that leak ---------------------------------------------------------------------------------------------
def test_H6_a_hold_nobody_ends_is_found_by_the_audit_and_released_by_the_reaper(world: World) -> None:
    """A call that lost its process; the reaper stands still, the audit says so; the reaper runs, and all is well."""
    world.give(1_000_000)

    async def scenario(w: World) -> None:
        await engine().ledger.hold(w.user.pk, 5000, ref="req_leaked")

    world.play(scenario)
    assert audit.run(full=True).findings == []
    assert reap_holds() == 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE wallet_hold SET expires_at = now() - interval '16 minutes'")
    for whole in (True, False):
        (finding,) = audit.run(full=whole).findings
        assert finding.startswith("nothing stuck: hold req_leaked: still open, expired at ")
    assert reap_holds() == 1
    wallet = world.wallet
    assert (wallet.balance, wallet.held) == (1_000_000, 0)
    assert Hold.objects.get().state == "released"
    assert audit.run(full=True).findings == []


ODD = [
    {"choices": [None]},
    {"choices": ["text"]},
    {"choices": [{"message": None}]},
    {"choices": [{"message": "text"}]},
    {"choices": [{"message": {"content": 7, "tool_calls": "text"}}]},
    {"choices": [{"message": {"tool_calls": [None]}}]},
    {"choices": [{"message": {"tool_calls": [{"function": "text"}], "function_call": "text"}}]},
    {"choices": [{}], "usage": {"prompt_tokens": "many"}},
    {"choices": []},
]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_H6_an_answer_of_any_shape_leaves_no_hold(world: World, path: str, books_agree: Callable[[], None]) -> None:
    world.give(10_000_000)
    Credential.objects.update(max_retries=1)
    world.upstream.scripts = [says(body) for body in ODD]

    async def scenario(w: World) -> list[int]:
        return [(await w.client.post(path, ASK)).status for _ in ODD]

    statuses = world.play(scenario)
    assert set(statuses) <= {200, 502}
    assert Usage.objects.count() == len(ODD)
    assert not Hold.objects.filter(state="open").exists()
    # What could not be used is not paid for.
    assert [usage.quota > 0 for usage in Usage.objects.order_by("id")] == [status == 200 for status in statuses]
    books_agree()


def test_H6_pictures_are_counted_as_pictures(world: World, books_agree: Callable[[], None]) -> None:
    """A list that is none counts as nothing, whatever its length."""
    world.give(10_000_000)
    picture = {"measure": "image", "capabilities": ["image"], "cost_per_1k": "1"}
    Model.objects.filter(name="doubao-pro").update(**picture)
    world.upstream.scripts = [says({"data": data}) for data in ("x" * 500, 3, {"a": 1, "b": 2}, [{"url": "a"}])]

    async def scenario(w: World) -> None:
        for _ in range(4):
            await w.client.post("/v1/images/generations", {"model": "doubao-pro", "prompt": "a cat"})

    world.play(scenario)
    assert list(Usage.objects.order_by("id").values_list("quota", flat=True)) == [0, 0, 0, 500_000]
    assert not Hold.objects.filter(state="open").exists()
    books_agree()


def test_H1_the_larger_of_two_limits_is_held_for(world: World) -> None:
    """Providers disagree about which of the two counts."""
    world.give(50_000)
    body = {**ASK, "max_tokens": 4000, "max_completion_tokens": 1}
    assert world.play(lambda w: w.client.post(CHAT, body)).status == 402
    assert world.upstream.asked == []


def test_H6_the_reaper_is_on_the_schedule() -> None:
    planned = {entry["task"]: entry["schedule"] for entry in django_settings.CELERY_BEAT_SCHEDULE.values()}
    assert 0 < planned[reap_holds.name] <= 60
