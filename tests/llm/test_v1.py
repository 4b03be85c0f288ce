"""/v1 as its clients see it: answers, streams, errors, limits."""

import asyncio
import json
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from llm.models import Usage
from tests.conftest import sampled
from topup.models import RechargeSettings
from voicehelper.accounts.models import ApiKey, User
from voicehelper.accounts.services import create_api_key, revoke_api_key
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

from .client import Answer, ApiClient
from .conftest import ASK, STREAM, World, model
from .upstream import chat, says, stream

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_answer_costs_what_the_provider_reports(world: World, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    answer = world.play(lambda w: w.client.post("/v1/chat/completions", ASK))
    assert answer.status == 200, answer.body
    assert answer.json["choices"][0]["message"]["content"] == "Hello there"
    assert answer.json["model"] == "doubao-pro"
    usage = world.usage()
    assert (usage.quota, usage.input_tokens, usage.output_tokens, usage.usage_source) == (30 * 50, 10, 20, "provider")
    assert answer.headers["x-request-id"] == usage.request_id
    assert (world.wallet.balance, world.wallet.held, world.wallet.used) == (1_000_000 - 1500, 0, 1500)
    books_agree()


def test_a_stream_is_captured_before_its_last_byte(world: World, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    charged: list[int | None] = []

    def look() -> None:
        charged.append(Usage.objects.values_list("quota", flat=True).first())
        connection.close()

    def on_data(data: bytes) -> None:
        if b"[DONE]" in data:
            thread = Thread(target=look)
            thread.start()
            thread.join()

    answer = world.play(lambda w: w.client.post("/v1/chat/completions", STREAM, on_data=on_data))
    assert answer.text == "Hello there"
    assert answer.events[-1] == "[DONE]"
    assert charged == [1500]
    assert not any(event != "[DONE]" and event.get("usage") for event in answer.events)
    books_agree()


def test_a_wallet_that_does_not_cover_the_call_is_refused(world: World, books_agree: Callable[[], None]) -> None:
    world.give(4999)
    answer = world.play(lambda w: w.client.post("/v1/chat/completions", ASK))
    assert answer.status == 402
    assert answer.json["error"]["code"] == "insufficient_quota"
    assert world.upstream.asked == []
    assert not Usage.objects.exists()
    books_agree()


def test_a_revoked_key_stops_at_once(world: World) -> None:
    """The notice of PostgreSQL reaches every process; five seconds is the longest it can take without. The first call
    opens the session that listens, with which everything is forgotten anyway: the second is the one remembered."""
    world.give(1_000_000)
    key = ApiKey.objects.get()
    assert world.client.key not in (key.digest, key.shown)
    assert key.shown.endswith(world.client.key[-4:])

    async def scenario(w: World) -> list[int]:
        def revoke() -> None:
            assert revoke_api_key(w.user, key.pk)
            connection.close()

        before = [(await w.client.post("/v1/chat/completions", ASK)).status for _ in range(2)]
        await sync_to_async(revoke, thread_sensitive=False)()
        await asyncio.sleep(0.2)
        return [*before, (await w.client.post("/v1/chat/completions", ASK)).status]

    assert world.play(scenario) == [200, 200, 401]


def test_a_new_price_group_counts_at_once(world: World) -> None:
    """The group is remembered with the key, and what a model costs with the catalogue: each by its own name."""
    world.give(1_000_000)
    set_ratios(default="1", friends="0.5")

    async def scenario(w: World) -> None:
        def befriend() -> None:
            User.objects.filter(pk=w.user.pk).update(group="friends")
            connection.close()

        for _ in range(2):
            assert (await w.client.post("/v1/chat/completions", ASK)).status == 200
        await sync_to_async(befriend, thread_sensitive=False)()
        await asyncio.sleep(0.2)
        assert (await w.client.post("/v1/chat/completions", ASK)).status == 200

    world.play(scenario)
    assert list(Usage.objects.order_by("pk").values_list("quota", flat=True)) == [1500, 1500, 750]


def test_two_groups_at_one_server_pay_each_its_own_price(world: World, other_user: User) -> None:
    """One after the other and back, while the catalogue is the same."""
    set_ratios(default="1", friends="0.5")
    User.objects.filter(pk=other_user.pk).update(group="friends")
    world.give(1_000_000)
    credit(other_user, 1_000_000, kind=Entry.Kind.GIFT, ref="friend", actor="test")
    friend = ApiClient(create_api_key(other_user, "test")[1])

    async def scenario(w: World) -> None:
        for client in (w.client, friend, w.client, friend):
            assert (await client.post("/v1/chat/completions", ASK)).status == 200

    world.play(scenario)
    assert list(Usage.objects.order_by("pk").values_list("quota", flat=True)) == [1500, 750, 1500, 750]


def set_ratios(**ratios: str) -> None:
    section = RechargeSettings.load()
    section.group_ratios = {group: float(ratio) for group, ratio in ratios.items()}
    section.save()


def test_an_inactive_user_has_no_key(world: World) -> None:
    User.objects.filter(pk=world.user.pk).update(is_active=False)
    assert world.play(lambda w: w.client.get("/v1/models")).status == 401


@pytest.mark.parametrize(
    ("change", "param"),
    sampled(
        [
            ({"model": None}, "model"),
            ({"model": 7}, "model"),
            ({"messages": []}, "messages"),
            ({"messages": "hi"}, "messages"),
            ({"messages": [{"role": "king", "content": "hi"}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
            ({"messages": [{"role": "user"}]}, "messages[0].content"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"max_tokens": 1.5}, "max_tokens"),
            ({"max_tokens": True}, "max_tokens"),
            ({"max_tokens": 10**9}, "max_tokens"),
            ({"n": 0}, "n"),
            ({"n": 10**6}, "n"),
            ({"stream": "yes"}, "stream"),
            ({"temperature": "hot"}, "temperature"),
            ({"tools": "all"}, "tools"),
            ({"priority": "luck"}, "priority"),
            ({"fallbacks": "gpt-4"}, "fallbacks"),
        ],
        keep=5,
    ),
)
def test_a_wrong_parameter_is_named(world: World, change: dict[str, Any], param: str) -> None:
    world.give(10**9)
    answer = world.play(lambda w: w.client.post("/v1/chat/completions", {**ASK, **change}))
    assert answer.status == 400
    assert answer.json["error"]["param"] == param
    assert world.upstream.asked == []


@pytest.mark.parametrize(
    "content",
    sampled(
        [
            b"",
            b"{",
            b"[]",
            b'"x"',
            b'{"model":NaN}',
            b'{"model":"\xff"}',
            b'{"messages":' + b"[" * 2000 + b"]" * 2000 + b"}",
            json.dumps({**ASK, "metadata": json.loads("[" * 70 + "]" * 70)}).encode(),
        ],
        keep=3,
    ),
)
def test_what_is_no_reasonable_json_is_refused(world: World, content: bytes) -> None:
    answer = world.play(lambda w: w.client.post("/v1/chat/completions", content))
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


def test_W14_a_body_may_be_32_mib_and_no_more(world: World) -> None:
    world.give(10**9)
    megabytes = 1024 * 1024
    url = f"data:image/png;base64,{'A' * (6 * megabytes)}"
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    announced = {"content-length": str(33 * megabytes)}

    async def scenario(w: World) -> list[int]:
        return [
            (await w.client.post("/v1/chat/completions", {**ASK, "messages": picture})).status,
            (
                await w.client.post("/v1/chat/completions", b" " * (33 * megabytes), headers={"content-length": "2"})
            ).status,
            (await w.client.post("/v1/chat/completions", ASK, headers=announced)).status,
        ]

    assert world.play(scenario) == [200, 413, 413]
    assert world.upstream.asked[0].body["messages"] == picture


def test_what_is_not_streamed_is_not_streamed_when_a_client_asks_for_it(world: World) -> None:
    world.give(1_000_000)
    world.upstream.otherwise = says({"data": [{"embedding": [1.0]}], "usage": {"prompt_tokens": 7, "total_tokens": 7}})
    body = {"model": "doubao-embedding", "input": "a", "stream": True, "stream_options": {"include_usage": True}}
    answer = world.play(lambda w: w.client.post("/v1/embeddings", body))
    assert answer.status == 200
    assert not {"stream", "stream_options"} & set(world.upstream.asked[0].body)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/images/generations", "/v1/audio/speech"])
def test_token_limits_are_numbers_whatever_is_asked_for(path: str, world: World) -> None:
    body = {"model": "doubao-pro", "input": "a", "prompt": "a", "voice": "alloy", "max_tokens": [1]}
    answer = world.play(lambda w: w.client.post(path, body))
    assert (answer.status, answer.json["error"]["param"]) == (400, "max_tokens")


def test_the_best_model_is_chosen_when_none_is_named(world: World) -> None:
    world.give(10_000_000)

    async def scenario(w: World) -> list[str]:
        names = ("auto", "auto:cost", "auto:quality", "auto:speed")
        return [(await w.client.post("/v1/chat/completions", {**ASK, "model": name})).json["model"] for name in names]

    assert world.play(scenario) == ["doubao-lite", "doubao-lite", "doubao-pro", "doubao-lite"]


def test_one_key_makes_so_many_calls_at_once(world: World, settings: Any) -> None:
    world.give(10_000_000)
    settings.LLM_KEY_CONCURRENCY = 3
    world.upstream.otherwise = chat(after_s=0.3)

    async def scenario(w: World) -> list[int]:
        answers = await asyncio.gather(*(w.client.post("/v1/chat/completions", ASK) for _ in range(5)))
        return sorted(answer.status for answer in answers)

    assert world.play(scenario) == [200, 200, 200, 429, 429]


def test_one_key_makes_so_many_calls_a_minute(world: World, settings: Any) -> None:
    world.give(10_000_000)
    settings.LLM_KEY_CALLS_PER_MINUTE = 2

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post("/v1/chat/completions", ASK) for _ in range(3)]

    answers = world.play(scenario)
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) > 0


def test_anthropics_messages_are_answered_in_their_shape(world: World, books_agree: Callable[[], None]) -> None:
    world.give(1_000_000)
    ask = {**ASK, "system": "Be brief", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}
    answer = world.play(
        lambda w: w.client.post("/v1/messages", ask, headers={"authorization": "", "x-api-key": w.client.key})
    )
    said = answer.json
    assert (said["type"], said["content"], said["stop_reason"]) == (
        "message",
        [{"type": "text", "text": "Hello there"}],
        "end_turn",
    )
    caches = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    assert said["usage"] == {"input_tokens": 10, "output_tokens": 20, **caches}
    assert world.upstream.asked[0].body["messages"][0] == {"role": "system", "content": "Be brief"}
    books_agree()


def test_a_model_of_another_name_upstream_keeps_the_name_users_know(world: World) -> None:
    world.give(1_000_000)
    model("mine")
    answer = world.play(lambda w: w.client.post("/v1/chat/completions", {**STREAM, "model": "mine"}))
    assert {event["model"] for event in answer.events if event != "[DONE]"} == {"mine"}
    assert world.upstream.asked[0].body["model"] == "mine-id"


def test_one_client_does_not_see_anothers_models_bill(world: World, other_user: User) -> None:
    world.give(1_000_000)
    stranger = ApiClient(create_api_key(other_user, "k")[1])
    world.upstream.otherwise = stream(["a"])
    assert world.play(lambda w: stranger.post("/v1/chat/completions", ASK)).status == 402
    assert world.wallet.balance == 1_000_000
