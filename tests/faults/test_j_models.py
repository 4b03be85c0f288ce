"""J11: what a model, or whoever poses as its provider, cannot learn and cannot tell."""

import asyncio
import json
import logging
from typing import Any

import pytest
from aiohttp import web
from django.core.serializers import serialize

from llm.models import Usage
from notifications.models import Alert
from tests.conftest import sampled
from tests.llm.conftest import ASK, STREAM, World
from tests.llm.upstream import Asked, completion, fails, says, tokens
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet import services
from voicehelper.wallet.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = "/v1/chat/completions"
CANARY = "ark-CANARY-0123456789-abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def canary(world: World) -> World:
    """The account's key is one that would be noticed anywhere."""
    world.credential.api_key = CANARY  # type: ignore[assignment]  # see EncryptedField
    world.credential.max_retries = 1
    world.credential.save()
    world.give(10_000_000)
    return world


# --- What goes out ---------------------------------------------------------------------------------------------------
def test_J11_a_provider_gets_the_callers_words_and_nothing_of_ours(world: World) -> None:
    """Neither who asks, nor his keys, balance or messages of before, nor another's: only what this request said."""
    world.give(123_456_789)
    User.objects.filter(pk=world.user.pk).update(username="canary-name", email="canary@example.com", group="canary-vip")
    body = {**ASK, "user": "the caller's own mark"}

    async def scenario(w: World) -> None:
        await w.client.post(CHAT, {**ASK, "messages": [{"role": "user", "content": "canary of an earlier call"}]})
        headers = {
            "cookie": "sessionid=canary-session",
            "x-forwarded-for": "203.0.113.77",
            "user-agent": "canary-agent",
        }
        for asked in (body, {**body, "stream": True}):
            await w.client.post(CHAT, asked, headers=headers)

    world.play(scenario)
    for asked in world.upstream.asked[1:]:
        added = {"model", "temperature", "stream", "stream_options"}
        assert {k: v for k, v in asked.body.items() if k not in added} == {k: body[k] for k in body if k not in added}
        assert asked.body["model"] != body["model"]
        sent = json.dumps(asked.body) + str(asked.request.headers)
        for secret in ("canary", "203.0.113.77", world.client.key, "123456789", "Cookie", "Forwarded"):
            assert secret not in sent


def test_J11_everybody_gets_the_answer_to_his_own_question(world: World) -> None:
    """Sixty users at once over one pool of connections; the model answers with what it was told."""

    async def echo(asked: Asked) -> Any:
        await asyncio.sleep(0.01 * (hash(asked.body["messages"][0]["content"]) % 10))
        return await says(completion("x", asked.body["messages"][0]["content"], tokens((10, 10))))(asked)

    world.upstream.otherwise = echo
    people = [User.objects.create_user(f"user-{number}") for number in range(60)]
    keys = {}
    for user in people:
        services.credit(user, 100_000, kind=Entry.Kind.GIFT, ref=f"welcome-{user.pk}", actor="test")
        keys[user.username] = create_api_key(user, "test")[1]

    async def ask(w: World, name: str) -> tuple[str, str]:
        secret = {**ASK, "messages": [{"role": "user", "content": f"the secret of {name}"}]}
        answer = await w.client.post(CHAT, secret, headers={"authorization": f"Bearer {keys[name]}"})
        return name, answer.json["choices"][0]["message"]["content"]

    async def scenario(w: World) -> Any:
        return await asyncio.gather(*(ask(w, name) for name in keys for _ in range(3)))

    assert all(said == f"the secret of {name}" for name, said in world.play(scenario))
    assert {usage.user.username for usage in Usage.objects.select_related("user")} == set(keys)


# --- What comes back -------------------------------------------------------------------------------------------------
def error(status: int, **said: Any) -> Any:
    return says({"error": said}, status)


ECHOES = {
    "in an error's text": error(400, message=f"You sent Authorization: Bearer {CANARY}, which is odd"),
    "across the cut of a long text": error(400, message="x" * 480 + CANARY),
    "as the error's code": error(400, message="strange", code=CANARY),
    "as the error's type": error(400, message="strange", type=CANARY),
    "as all there is": error(400, code=CANARY),
    "as plain text": says(f"headers: {CANARY}", 400),
    "with a status of theirs": error(500, message=f"key {CANARY}"),
    "where our key is refused": error(401, message=f"Incorrect API key provided: {CANARY}"),
    "where we owe them money": error(429, message=f"{CANARY} of org-0815 is overdue", code="AccountOverdueError"),
    "inside a 200": error(200, message=f"key {CANARY}", code=CANARY),
    "as an address": error(302, message=f"https://example.com/?key={CANARY}"),
}


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
@pytest.mark.parametrize("echo", sampled(ECHOES, keep=3))
def test_J11_a_provider_that_repeats_our_key_tells_nobody(
    canary: World, caplog: pytest.LogCaptureFixture, echo: str, body: dict[str, Any]
) -> None:
    """Neither the caller, nor logs, usage, or alerts; and what is wrong with our account is our business."""
    caplog.set_level(logging.DEBUG)
    canary.upstream.otherwise = ECHOES[echo]
    answer = canary.play(lambda w: w.client.post(CHAT, body))
    assert answer.status >= 400
    assert b"0815" not in answer.body
    nowhere(answer, caplog)


def test_J11_nor_in_the_middle_of_a_stream(canary: World, caplog: pytest.LogCaptureFixture) -> None:
    async def midway(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked.request)
        chunk = {"choices": [{"index": 0, "delta": {"content": "hello"}}]}
        said = {"error": {"message": f"{CANARY} of org-0815 is overdue", "code": "AccountOverdueError", "type": CANARY}}
        for event in (chunk, said):
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
        return response

    canary.upstream.otherwise = midway
    answer = canary.play(lambda w: w.client.post(CHAT, STREAM))
    assert "error" in answer.events[-1]
    assert b"0815" not in answer.body
    nowhere(answer, caplog)


def nowhere(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """No eight characters of the key in anything that anybody gets to see."""
    places = {
        "the answer": answer.body.decode() + str(answer.headers),
        "the log": caplog.text,
        "usage": serialize("json", Usage.objects.all()),
        "alerts": serialize("json", Alert.objects.all()),
        "entries": serialize("json", Entry.objects.all()),
    }
    pieces = [CANARY[at : at + 8] for at in range(len(CANARY) - 7)]
    for place, text in places.items():
        assert not [piece for piece in pieces if piece in text], f"in {place}: {text}"


def test_J11_an_account_that_owes_money_is_not_the_callers_business(canary: World) -> None:
    canary.upstream.otherwise = fails(402, "org-0815 has run out of credit")
    answer = canary.play(lambda w: w.client.post(CHAT, ASK))
    assert answer.status == 502
    assert b"0815" not in answer.body
    assert "0815" in canary.usage().error
