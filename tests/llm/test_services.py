"""Models for the rest of the house: answers, streams, accounts from the environment, with and without an event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from llm import services
from llm.credentials import ensure_environment_credentials
from llm.models import Credential, Model, Usage
from llm.providers.base import Audio
from llm.relay import loops
from llm.relay.audio import measure
from llm.seeds import ROWS, plant
from voicehelper.wallet.services import InsufficientQuota

from .conftest import ASK, World
from .test_billing import wav
from .upstream import Asked, chat, fails, stream

pytestmark = pytest.mark.django_db(transaction=True)

BODY = {"messages": ASK["messages"], "max_tokens": 100}
WORDS = [f"word{number}" for number in range(30)]


class BehindTheScenes:
    """The upstream on the loop that synchronous callers use."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> None:
        loops.run(self.world.upstream.__aenter__())

    def __exit__(self, *_error: object) -> None:
        loops.run(self.world.upstream.__aexit__())


def test_a_view_without_an_event_loop_gets_an_answer(world: World, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    with BehindTheScenes(world):
        completed = loops.run(services.chat(world.user, BODY, models=("doubao-pro",)))
    assert completed.result.body["choices"][0]["message"]["content"] == "Hello there"
    assert (completed.quota, completed.model) == (1500, "doubao-pro")
    assert completed.quota == Usage.objects.get(request_id=completed.request_id).quota
    books_agree()


def test_and_a_stream(world: World, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    world.upstream.scripts = [stream(WORDS, (10, 30))]

    async def read_all() -> tuple[services.AnswerStream, str]:
        opened = await services.stream(world.user, BODY, models=("doubao-pro",))
        return opened, "".join([chunk.text async for chunk in opened])

    with BehindTheScenes(world):
        opened, text = loops.run(read_all())
    assert text.split() == WORDS
    assert opened.completed is not None
    assert opened.completed.quota == 40 * 50
    books_agree()


def test_errors_come_before_the_stream(world: World) -> None:
    with BehindTheScenes(world), pytest.raises(InsufficientQuota):
        loops.run(services.stream(world.user, BODY, models=("doubao-pro",)))
    assert world.upstream.asked == []


def test_a_stream_that_is_left_is_charged_in_the_background(world: World, books_agree: Callable[[], None]) -> None:
    """As Django does when its client hangs up: the task that reads is cancelled."""
    world.give(1_000_000)
    world.upstream.scripts = [stream(WORDS, (10, 30), pause_s=0.01)]

    async def scenario(w: World) -> None:
        opened = await services.stream(w.user, BODY, models=("doubao-pro",))

        async def read() -> None:
            async for _ in opened:
                await asyncio.sleep(0.01)

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        reader.cancel()
        await asyncio.wait([reader])

    world.play(scenario)
    usage = world.usage()
    assert (usage.outcome, usage.usage_source, usage.quota) == ("abandoned", "provider", 40 * 50)
    books_agree()


def test_speech_is_charged_by_the_second(world: World, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    Credential.objects.update(provider="openai")

    async def heard(asked: Asked) -> Any:
        from aiohttp import web

        return web.json_response({"text": "hello"})

    world.upstream.scripts = [heard]
    with BehindTheScenes(world):
        recording = measure(Audio(wav(3), "a.wav", "audio/wav"))
        completed = loops.run(services.transcribe(world.user, recording, models=("whisper-1",)))
    assert b"hello" in completed.result.body
    assert (completed.used.input, completed.quota) == (3, 150)
    books_agree()


def test_the_operator_can_try_an_account(world: World) -> None:
    world.upstream.scripts = [fails(401, "no such key")]
    with BehindTheScenes(world), pytest.raises(Exception, match="no such key"):
        services.probe(world.credential, "doubao-pro")


def test_accounts_of_the_environment_are_made_and_kept(db: None, settings: Any) -> None:
    settings.LLM_ACCOUNTS = {"ark": ("key-1", "http://127.0.0.1:1/api/v3"), "openai": ("", ""), "claude": ("key-2", "")}
    assert ensure_environment_credentials() == 2
    assert ensure_environment_credentials() == 0
    ark = Credential.objects.get(provider="ark")
    assert (ark.api_key.reveal(), ark.base_url, ark.from_environment) == ("key-1", "http://127.0.0.1:1/api/v3", True)
    assert Credential.objects.get(provider="claude").base_url == "https://api.anthropic.com"
    Credential.objects.filter(provider="ark").update(enabled=False, timeout_s=7)
    settings.LLM_ACCOUNTS = {"ark": ("key-3", "")}
    assert ensure_environment_credentials() == 1
    ark.refresh_from_db()
    assert (ark.api_key.reveal(), ark.base_url) == ("key-3", "https://ark.cn-beijing.volces.com/api/v3")
    assert (ark.enabled, ark.timeout_s) == (False, 7)


def test_the_models_that_come_along(world: World) -> None:
    call_command("plant_models")
    assert Model.objects.count() == len(ROWS) == 10
    pro = Model.objects.get(name="doubao-pro")
    assert (pro.provider_model_id, pro.max_tokens, str(pro.cost_per_1k), pro.latency_ms, str(pro.quality)) == (
        "ep-20241201140014-vbzjz",
        4096,
        "0.100000",
        300,
        "0.920",
    )
    Model.objects.filter(name="gpt-4").delete()
    assert plant(Model) == 1


def test_the_best_model_by_priority(world: World) -> None:
    world.give(10_000_000)
    world.upstream.otherwise = chat()
    with BehindTheScenes(world):
        completed = loops.run(services.chat(world.user, BODY, priority=services.Priority.QUALITY))
    assert completed.model == "doubao-pro"


def test_a_demo_shows_its_accounts_before_the_first_call(transactional_db: None, settings: Any) -> None:
    settings.LLM_ACCOUNTS = {"ark": ("a key", "http://127.0.0.1:1/sandbox/llm/ark/api/v3"), "openai": ("", "")}
    call_command("seed_demo")
    account = Credential.objects.get()
    assert (account.provider, account.from_environment) == ("ark", True)
    call_command("seed_demo")
    assert Credential.objects.count() == 1
