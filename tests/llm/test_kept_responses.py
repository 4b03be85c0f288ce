"""Answers to /v1/responses that are kept: for their user, until they expire, unless he says store: false."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from llm.models import KeptResponse, KeptTotal
from llm.relay import kept
from llm.services import forget_expired_responses
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

from .client import Answer, ApiClient
from .conftest import World
from .test_responses import ASK, RESPONSES, STREAM, chats, sent
from .upstream import DONE, chunk, sends

pytestmark = pytest.mark.django_db(transaction=True)

KEEP = {name: value for name, value in ASK.items() if name != "store"}
USER, HELLO = {"role": "user", "content": "Say hello"}, {"role": "assistant", "content": "Hello there"}


async def in_the_database(work: Any) -> Any:
    def closing() -> Any:
        try:
            return work()
        finally:
            connection.close()

    return await sync_to_async(closing, thread_sensitive=False)()


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_a_request_goes_on_from_an_answer_that_was_kept(chats: World, streamed: bool) -> None:
    chats.upstream.scripts = [sends(chunk({"content": "Hello there"}), DONE)] if streamed else []

    async def scenario(w: World) -> list[Answer]:
        first = await w.client.post(RESPONSES, {**KEEP, "stream": streamed, "instructions": "Be kind."})
        said = first.events[-1]["response"] if streamed else first.json
        second = await w.client.post(RESPONSES, {**KEEP, "input": "again", "previous_response_id": said["id"]})
        third = {**KEEP, "input": "and again", "previous_response_id": second.json["id"]}
        return [first, second, await w.client.post(RESPONSES, third)]

    answers = chats.play(scenario)
    assert [answer.status for answer in answers] == [200] * 3, answers[-1].body
    again = {"role": "user", "content": "again"}
    # What the model was told to be is not carried over.
    assert chats.upstream.asked[1].body["messages"] == [USER, HELLO, again]
    assert chats.upstream.asked[2].body["messages"] == [USER, HELLO, again, HELLO, {**again, "content": "and again"}]
    assert "store" not in chats.upstream.asked[1].body
    assert answers[1].json["previous_response_id"].startswith("resp_")
    assert answers[1].json["store"] is True


def test_items_that_are_referred_to_are_put_in(chats: World) -> None:
    async def scenario(w: World) -> Answer:
        first = await w.client.post(RESPONSES, KEEP)
        item = {"type": "item_reference", "id": first.json["output"][0]["id"]}
        again = {"role": "user", "content": "again"}
        return await w.client.post(RESPONSES, {**KEEP, "input": [USER, item, again]})

    assert chats.play(scenario).status == 200
    assert chats.upstream.asked[1].body["messages"][:2] == [USER, HELLO]


def test_outputs_of_tools_find_their_calls_in_the_answer_before(chats: World) -> None:
    call = {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]}
    thought = {"reasoning_content": "hm"}
    chats.upstream.scripts = [sends(chunk(thought), chunk(call), DONE)]
    tools = {"tools": [{"type": "function", "name": "f"}]}

    async def scenario(w: World) -> Answer:
        first = await w.client.post(RESPONSES, {**KEEP, **tools, "stream": True})
        previous = first.events[-1]["response"]["id"]
        output = {"type": "function_call_output", "call_id": "c1", "output": "done"}
        orphan = await w.client.post(RESPONSES, {**KEEP, **tools, "input": [output]})
        assert orphan.status == 400
        return await w.client.post(RESPONSES, {**KEEP, **tools, "input": [output], "previous_response_id": previous})

    assert chats.play(scenario).status == 200
    called, answered = chats.upstream.asked[1].body["messages"][1:]
    # What was thought goes back to who thought it, though nobody asked to see it sealed.
    assert called["reasoning_content"] == "hm"
    assert answered == {"role": "tool", "tool_call_id": "c1", "content": "done"}


def test_nobody_else_finds_them_nor_anybody_after_they_are_gone(chats: World, other_user: User) -> None:
    credit(other_user, 10**9, kind=Entry.Kind.GIFT, ref="friend", actor="test")
    friend = ApiClient(create_api_key(other_user, "test")[1])

    async def found(client: ApiClient, said: Any) -> list[int]:
        one = f"{RESPONSES}/{said['id']}"
        reference = {"type": "item_reference", "id": said["output"][0]["id"]}
        answers = [
            await client.get(one),
            await client.get(f"{one}/input_items"),
            await client.post(RESPONSES, {**ASK, "previous_response_id": said["id"]}),
            await client.post(RESPONSES, {**ASK, "input": [USER, reference]}),
        ]
        codes = [answer.json["error"]["code"] for answer in answers if answer.status != 200]
        assert set(codes) <= {"previous_response_not_found", "item_reference_not_supported"}
        return [answer.status for answer in answers]

    async def scenario(w: World) -> None:
        said = (await w.client.post(RESPONSES, KEEP)).json
        one, nothing = f"{RESPONSES}/{said['id']}", [404, 404, 400, 400]
        assert await found(w.client, said) == [200] * 4
        assert await found(friend, said) == nothing
        assert (await friend.request("DELETE", one, b"")).status == 404
        gone = await w.client.request("DELETE", one, b"")
        assert gone.json == {"id": said["id"], "object": "response", "deleted": True}
        assert await found(w.client, said) == nothing
        assert (await w.client.request("DELETE", one, b"")).status == 404
        late = (await w.client.post(RESPONSES, KEEP)).json
        await in_the_database(lambda: KeptResponse.objects.update(expires=clock.now() - timedelta(seconds=1)))
        assert await found(w.client, late) == nothing
        await w.client.post(RESPONSES, KEEP)

    chats.play(scenario)
    newest = KeptResponse.objects.latest("pk")
    assert timedelta(days=29) < newest.expires - clock.now() <= timedelta(days=30)
    assert forget_expired_responses() > 0
    assert list(KeptResponse.objects.values_list("pk", flat=True)) == [newest.pk]


def test_what_must_not_be_stored_is_not(chats: World) -> None:
    async def scenario(w: World) -> int:
        said = (await w.client.post(RESPONSES, ASK)).json
        assert said["store"] is False
        return (await w.client.get(f"{RESPONSES}/{said['id']}")).status

    assert chats.play(scenario) == 404
    assert not KeptResponse.objects.exists()


def test_an_answer_and_what_it_answered_can_be_read_again(chats: World) -> None:
    odd = "a\0b \ud83d\ude00"

    async def scenario(w: World) -> list[Any]:
        items = [
            {"role": "user", "content": odd},
            {"role": "assistant", "content": "1"},
            {"role": "user", "content": "2"},
        ]
        said = (await w.client.post(RESPONSES, {**KEEP, "input": items})).json
        one = f"{RESPONSES}/{said['id']}"
        pages = [await w.client.get(f"{one}/input_items{query}") for query in ("", "?order=asc&limit=2", "?limit=x")]
        cancelled = await w.client.post(f"{one}/cancel", {})
        return [said, (await w.client.get(one)).json, *pages, cancelled.status]

    said, again, newest, page, wrong, cancelled = chats.play(scenario)
    assert again == said
    assert [item["content"] for item in newest.json["data"]] == ["2", "1", "a\0b \U0001f600"]
    assert (page.json["has_more"], len(page.json["data"])) == (True, 2)
    assert all(item["id"].startswith("msg_") for item in page.json["data"])
    assert (wrong.status, cancelled) == (400, 400)


def test_a_conversation_is_not_read_without_end(chats: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST_CHARACTERS", 100)

    async def scenario(w: World) -> list[int]:
        previous, statuses = None, []
        for _ in range(4):
            answer = await w.client.post(RESPONSES, {**KEEP, "previous_response_id": previous})
            statuses.append(answer.status)
            previous = answer.json.get("id")
        return statuses

    assert chats.play(scenario) == [200, 200, 200, 400]


def kept_bytes(user: User) -> int:
    return sum(len(row.body.encode()) + len(row.input.encode()) for row in KeptResponse.objects.filter(user=user))


def test_the_oldest_answers_make_room_for_the_newest(chats: World, settings: Any) -> None:
    settings.LLM_RESPONSES_BYTES = 10_000
    long = {**KEEP, "input": "a" * 2000}

    async def scenario(w: World) -> list[Answer]:
        said = [await w.client.post(RESPONSES, long) for _ in range(8)]
        first, last = said[0].json["id"], said[-1].json["id"]
        again = [await w.client.post(RESPONSES, {**KEEP, "previous_response_id": each}) for each in (first, last)]
        return [*said, *again, await w.client.get(f"{RESPONSES}/{first}")]

    *said, forgotten, remembered, gone = chats.play(scenario)
    assert {answer.status for answer in said} == {200}
    assert (forgotten.status, forgotten.json["error"]["code"]) == (400, "previous_response_not_found")
    assert (remembered.status, gone.status) == (200, 404)
    assert 5_000 < kept_bytes(chats.user) <= 10_000


def test_an_answer_that_is_larger_than_the_room_is_kept_alone(chats: World, settings: Any) -> None:
    settings.LLM_RESPONSES_BYTES = 100

    async def scenario(w: World) -> list[Answer]:
        said = [await w.client.post(RESPONSES, KEEP) for _ in range(3)]
        return [await w.client.get(f"{RESPONSES}/{answer.json['id']}") for answer in said]

    assert [answer.status for answer in chats.play(scenario)] == [404, 404, 200]


def test_the_room_is_each_users_own_and_exact_over_all_processes(chats: World, settings: Any, other_user: User) -> None:
    """Thirty answers end at once, over six sessions."""
    settings.LLM_RESPONSES_BYTES = 20_000
    nodes = [kept.KeptResponses() for _ in range(6)]

    async def keep(number: int, user: User) -> None:
        body = {"id": f"resp_{user.pk:09}_{number:03}", "output": [{"id": "x", "text": "é" * 1000}]}
        await nodes[number % 6].keep(user.pk, body, [])

    found: list[int] = []

    async def scenario(_world: World) -> None:
        await keep(100, other_user)
        await asyncio.gather(*(keep(number, chats.user) for number in range(30)))
        found.extend(await in_the_database(lambda: list(left.values_list("position", flat=True))))
        # Those that were written at once with the newest are for the next one to find.
        await keep(999, chats.user)
        for node in nodes:
            await node.close()

    left = KeptResponse.objects.filter(user=chats.user)
    chats.play(scenario)
    each = kept_bytes(other_user)
    assert KeptTotal.objects.get(user=chats.user).bytes == 31 * each
    assert len(set(found)) == len(found)
    assert set(found) >= set(range(29 * each, 30 * each - 20_000, -each))
    assert 20_000 - each <= kept_bytes(chats.user) <= 20_000
    assert KeptResponse.objects.filter(user=other_user).count() == 1


def test_tokens_are_counted_for_nothing(chats: World) -> None:
    answer = chats.play(lambda w: w.client.post(f"{RESPONSES}/input_tokens", {**KEEP, "input": "a" * 380}))
    assert answer.json["object"] == "response.input_tokens"
    assert 95 < answer.json["input_tokens"] < 120
    assert chats.upstream.asked == []


def test_what_is_not_here_is_said(chats: World) -> None:
    async def scenario(w: World) -> list[Any]:
        answers = [await w.client.post(f"{RESPONSES}/compact", KEEP), await w.client.get(RESPONSES)]
        return [(answer.status, answer.json["error"]["code"]) for answer in answers]

    assert chats.play(scenario) == [(404, "unknown_url"), (405, "method_not_allowed")]


__all__ = ["STREAM", "chats", "sent"]
