"""The chat API as its clients see it: answers, streams, sessions, errors, and what is left when somebody leaves."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from llm.models import ChatMessage, ChatSession
from voicehelper.accounts.services import issue_token

from .client import Answer, ApiClient
from .conftest import World
from .upstream import stream

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE = "/api/chat/message"
STREAM = "/api/chat/stream"
ASK = {"content": "Say hello", "model": "doubao-pro"}
WORDS = [f"word{number}" for number in range(30)]


@pytest.fixture
def chatting(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The user signed in with a token, and rich. No thread of the server keeps its connection to the test database."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    world.client = ApiClient(issue_token(world.user))
    world.give(1_000_000)
    return world


def ask(world: World, path: str = MESSAGE, **changes: Any) -> Answer:
    return world.play(lambda w: w.client.post(path, ASK | changes))


# --- Whole answers ---------------------------------------------------------------------------------------------------
def test_an_answer_says_what_it_cost(chatting: World, books_agree: Callable[[], None]) -> None:
    answer = ask(chatting)
    assert answer.status == 200, answer.body
    said = answer.json
    assert set(said) == {"sessionId", "messageId", "content", "model", "usage", "quota"}
    assert (said["content"], said["model"], said["quota"]) == ("Hello there", "doubao-pro", 1500)
    assert said["usage"] == {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    stored = ChatMessage.objects.get(public_id=said["messageId"])
    assert (stored.content, stored.complete, stored.quota) == ("Hello there", True, 1500)
    assert chatting.usage().request_id == stored.request_id
    books_agree()


def test_a_session_remembers(chatting: World) -> None:
    async def scenario(w: World) -> None:
        first = await w.client.post(MESSAGE, ASK | {"sessionId": "mine-1"})
        assert first.json["sessionId"] == "mine-1"
        await w.client.post(MESSAGE, ASK | {"sessionId": "mine-1", "content": "And now?"})

    chatting.play(scenario)
    assert chatting.upstream.asked[1].body["messages"] == [
        {"role": "user", "content": "Say hello"},
        {"role": "assistant", "content": "Hello there"},
        {"role": "user", "content": "And now?"},
    ]
    assert ChatSession.objects.get().title == "Say hello"


# --- Streams ---------------------------------------------------------------------------------------------------------
def test_a_stream_starts_tells_and_is_done(chatting: World, books_agree: Callable[[], None]) -> None:
    answer = ask(chatting, STREAM)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    names = [name for name, _ in answer.told]
    assert (names[0], set(names[1:-1]), names[-1]) == ("start", {"delta"}, "done")
    done = answer.told[-1][1]
    assert (
        "".join(data["content"] for name, data in answer.told if name == "delta") == done["content"] == "Hello there "
    )
    assert (done["quota"], done["balance"], done["usageSource"]) == (1500, 998_500, "provider")
    assert done["messageId"] == answer.told[0][1]["messageId"]
    stored = ChatMessage.objects.get(public_id=done["messageId"])
    assert (stored.content, stored.complete, stored.quota) == ("Hello there ", True, 1500)
    books_agree()


def test_who_leaves_finds_what_was_written_and_its_price(chatting: World, books_agree: Callable[[], None]) -> None:
    chatting.upstream.scripts = [stream(WORDS, (10, 30), pause_s=0.02)]
    answer = chatting.play(lambda w: w.client.post(STREAM, ASK, leave_after=5))
    assert not answer.complete
    stored = ChatMessage.objects.get(role="assistant")
    assert (stored.complete, stored.quota) == (False, 2000)
    assert stored.content.startswith("word0 word1 ")
    assert "word20" not in stored.content
    assert (chatting.usage().outcome, chatting.usage().quota) == ("abandoned", 2000)
    books_agree()
