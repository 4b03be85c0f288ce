"""Faults E on the way of a call: the database or Redis goes away while models are asked."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from llm.models import Usage
from llm.relay import engine
from tests.conftest import sampled
from tests.llm.conftest import ASK, STREAM, World
from tests.llm.upstream import chat, stream
from tests.processes import database_address
from voicehelper.wallet.models import Entry, Hold
from voicehelper.wallet.services import reap_holds

from .proxy import Proxy, database_behind

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = "/v1/chat/completions"
PRICE = 1500


@pytest.mark.parametrize("mode", sampled(["down", "reset"], keep=1))
def test_E1_E2_the_database_goes_away_under_load_and_every_answer_is_paid_for_once(
    world: World, books_agree: Callable[[], None], mode: str
) -> None:
    """Three times in the middle of two hundred calls. Who was answered has paid; who was not, has nothing held for
    long; and as soon as the database is back, calls go on."""
    world.give(10_000_000)
    world.upstream.otherwise = chat((10, 20), after_s=0.05)
    with Proxy(database_address()) as proxy, database_behind(proxy):

        async def one(w: World, number: int) -> Any:
            await asyncio.sleep(random.random() * 2)
            return await w.client.post(CHAT, STREAM if number % 2 else ASK)

        async def trouble() -> None:
            for _ in range(3):
                await asyncio.sleep(0.4)
                if mode == "reset":
                    proxy.reset()
                else:
                    proxy.mode = "down"
                    await asyncio.sleep(0.3)
                    proxy.heal()

        async def scenario(w: World) -> list[Any]:
            *answers, _ = await asyncio.gather(*(one(w, number) for number in range(200)), trouble())
            assert (await w.client.post(CHAT, ASK)).status == 200
            return answers

        answers = world.play(scenario)
    answered = [answer for answer in answers if answer.status == 200]
    assert {answer.status for answer in answers} <= {200, 503}
    assert len(answered) > 100
    assert all(answer.complete and "error" not in str(answer.body[-200:]) for answer in answered)
    paid = {entry.ref: entry.amount for entry in Entry.objects.filter(kind="spend")}
    assert all(paid[answer.headers["x-request-id"]] == -PRICE for answer in answered)
    assert set(paid.values()) == {-PRICE}
    assert len(paid) == Usage.objects.filter(quota=PRICE).count() >= len(answered) + 1
    # A hold whose answer was lost may exist without its call; it does not last.
    Hold.objects.filter(state="open").update(expires_at="2020-01-01T00:00Z")
    reap_holds()
    assert world.wallet.held == 0
    books_agree()


def test_E5_without_redis_calls_are_admitted_answered_and_charged(
    world: World, settings: Any, monkeypatch: pytest.MonkeyPatch, books_agree: Callable[[], None]
) -> None:
    """Only what others have seen of the models is missing."""
    settings.RATELIMIT_STORAGE = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(engine, "_SHARE_EVERY_S", 0.05)
    world.give(40 * PRICE + 5000)

    async def scenario(w: World) -> list[int]:
        statuses = []
        for number in range(40):
            statuses.append((await w.client.post(CHAT, STREAM if number % 2 else ASK)).status)
            await asyncio.sleep(0.01)
        return statuses

    assert world.play(scenario) == [200] * 40
    assert world.wallet.balance == 5000
    books_agree()


def test_E10_clients_that_leave_in_crowds_leave_nothing_behind(
    world: World, settings: Any, books_agree: Callable[[], None]
) -> None:
    """No call, no connection to the provider, no task, no account in use: while the process goes on."""
    settings.LLM_DRAIN_SECONDS = 0.3
    world.give(10_000_000)
    world.upstream.otherwise = stream(["word"] * 2000, (10, 2000), pause_s=0.01)

    async def scenario(w: World) -> None:
        relay = engine.engine()
        await w.client.get("/v1/models")
        before = len(asyncio.all_tasks())
        await asyncio.gather(*(w.client.post(CHAT, STREAM, leave_after=number % 5) for number in range(60)))
        await asyncio.sleep(0.3)
        assert relay.under_way == {}
        (lease,) = relay.providers._open.values()
        assert lease.calls == 0
        left = [*relay.ledger._holds._waiting, *relay.ledger._settlements._waiting, *relay._background]
        assert left == []
        # What is left belongs to the upstream's ends of connections, which close in their own time.
        mine = [task for task in asyncio.all_tasks() if "aiohttp" not in repr(task.get_coro())]
        assert len(mine) <= before + 1, mine

    world.play(scenario)
    assert all(asked.hung_up for asked in world.upstream.asked)
    assert world.wallet.held == 0
    assert Usage.objects.count() == 60
    books_agree()
