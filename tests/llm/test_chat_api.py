"""The chat API as its clients see it: answers, streams, sessions, errors, and what is left when somebody leaves."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from llm.api import events
from llm.models import ChatMessage, ChatSession, Model, Usage
from tests.conftest import sampled
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token

from .client import Answer, ApiClient
from .conftest import World, model
from .upstream import chat, fails, never, stream

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE = "/api/chat/message"
STREAM = "/api/chat/stream"
ASK = {"content": "Say hello", "model": "doubao-pro"}
WORDS = [f"word{number}" for number in range(30)]


@pytest.fixture
def chatting(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
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


def test_history_is_what_fits_and_what_was_answered(chatting: World, settings: Any) -> None:
    settings.LLM_HISTORY_TOKENS = 60
    long = "long " * 30

    async def scenario(w: World) -> None:
        await w.client.post(MESSAGE, ASK | {"sessionId": "s", "content": long})
        await w.client.post(MESSAGE, ASK | {"sessionId": "s", "content": "short"})
        w.upstream.scripts = [fails(400, "not like this")]
        assert (await w.client.post(MESSAGE, ASK | {"sessionId": "s", "content": "refused"})).status == 400
        await w.client.post(MESSAGE, ASK | {"sessionId": "s", "content": "last"})

    chatting.play(scenario)
    said = [message["content"] for message in chatting.upstream.asked[-1].body["messages"]]
    assert said == ["short", "Hello there", "last"]


def test_the_sessions_choice_of_a_model_stays(chatting: World) -> None:
    async def scenario(w: World) -> list[str]:
        asked = [{"model": "auto:quality"}, {}, {"model": "doubao-lite"}, {}]
        answers = [await w.client.post(MESSAGE, {"content": "Hi", "sessionId": "s", **more}) for more in asked]
        return [answer.json["model"] for answer in answers]

    Model.objects.filter(name="doubao-pro").update(quality="0.99")
    assert chatting.play(scenario) == ["doubao-pro", "doubao-pro", "doubao-lite", "doubao-lite"]


def test_O3_who_leaves_before_a_whole_answer_finds_it_later(chatting: World, books_agree: Callable[[], None]) -> None:
    chatting.upstream.otherwise = chat(after_s=0.5)
    answer = chatting.play(lambda w: w.client.post(MESSAGE, ASK, leave_after_s=0.2))
    assert answer.status == 0
    stored = ChatMessage.objects.get(role="assistant")
    assert (stored.content, stored.complete, stored.quota) == ("Hello there", True, 1500)
    books_agree()


@pytest.mark.parametrize("chunks", sampled([0, 1, 2, 7, 25], keep=2))
def test_O3_a_stop_at_a_chunk_boundary_charges_what_was_shown(
    chatting: World, chunks: int, books_agree: Callable[[], None]
) -> None:
    """The provider hears of it at once; the text that is paid for is told, with its price, and kept."""
    word = "x" * 37 + " "
    chatting.upstream.otherwise = stream([word] * chunks + [""], space="", pause_s=0.01, then_waits=True)

    async def scenario(w: World) -> tuple[Answer, Answer]:
        body = ASK | {"sessionId": "s"}
        streaming = asyncio.create_task(w.client.post(STREAM, body, headers={"Idempotency-Key": "k"}))
        async with asyncio.timeout(20):
            while not (w.upstream.asked and w.upstream.asked[0].chunks_sent >= chunks + 2):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            stopped = await w.client.post("/api/chat/stop", {}, headers={"Idempotency-Key": "k"})
            return await streaming, stopped

    told, stopped = chatting.play(scenario)
    assert stopped.status == 200
    assert chatting.upstream.asked[0].hung_up
    name, end = told.told[-1]
    shown = "".join(data["content"] for event, data in told.told if event == "delta")
    assert (name, end["content"], shown) == ("stopped", word * chunks, word * chunks)
    stored, usage = ChatMessage.objects.get(role="assistant"), chatting.usage()
    assert (stored.state, stored.content, stored.quota) == ("stopped", shown, usage.quota)
    assert (usage.outcome, end["quota"]) == ("abandoned", usage.quota)
    # A chunk is ten tokens.
    assert 10 * chunks <= usage.output_tokens <= 10 * chunks + 1
    books_agree()


# --- Errors ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", sampled([MESSAGE, STREAM], keep=1))
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"content": ""}, 400, "invalid_parameters"),
        ({"content": "  "}, 400, "invalid_parameters"),
        ({"content": 7}, 400, "invalid_parameters"),
        ({"content": "a\0b"}, 400, "invalid_parameters"),
        ({"content": "\ud800"}, 400, "invalid_parameters"),
        ({"content": "x" * 32_001}, 400, "invalid_parameters"),
        ({"contentType": "image"}, 400, "invalid_parameters"),
        ({"sessionId": "no/slash"}, 400, "invalid_parameters"),
        ({"sessionId": "x" * 65}, 400, "invalid_parameters"),
        ({"model": "auto:luck"}, 400, "unknown_priority"),
        ({"model": "no-such-model"}, 404, "model_not_found"),
        ({"model": "doubao-embedding"}, 400, "unsupported"),
    ],
)
def test_a_wrong_question_is_refused_and_changes_nothing(
    chatting: World, path: str, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = ask(chatting, path, **changes)
    assert (answer.status, answer.json["success"], answer.json["code"]) == (status, False, code)
    assert answer.json["message"]
    assert not ChatSession.objects.exists()
    assert chatting.upstream.asked == []


@pytest.mark.parametrize("path", sampled([MESSAGE, STREAM], keep=1))
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (fails(400, "this content is refused"), 400, "x"),
        (fails(429, "slow down", Retry_After="60"), 429, "upstream_rate_limited"),
        (fails(500), 502, "upstream_error"),
    ],
)
def test_a_model_that_fails_is_told_before_the_stream(
    chatting: World, path: str, script: Any, status: int, code: str, books_agree: Callable[[], None]
) -> None:
    chatting.upstream.otherwise = script
    answer = ask(chatting, path)
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert answer.headers["content-type"] == "application/json"
    assert ("retry-after" in answer.headers) == (status == 429)
    assert ChatMessage.objects.get(role="assistant").state == "failed"
    books_agree()


def test_a_model_that_never_answers_is_504(chatting: World, settings: Any) -> None:
    settings.LLM_TOTAL_SECONDS = 0.5
    chatting.upstream.otherwise = never()
    answer = ask(chatting)
    assert (answer.status, answer.json["code"], answer.json["message"]) == (
        504,
        "upstream_timeout",
        "模型未能及时回答，请重试",
    )


def test_an_empty_wallet_is_told_where_to_recharge(chatting: World, other_user: User, settings: Any) -> None:
    chatting.client = ApiClient(issue_token(other_user))
    answer = ask(chatting)
    assert (answer.status, answer.json["code"]) == (402, "insufficient_quota")
    assert f"{settings.SERVER_ADDRESS}/recharge" in answer.json["message"]
    assert not ChatSession.objects.exists()


def test_errors_are_in_the_users_language(chatting: World) -> None:
    answer = chatting.play(lambda w: w.client.post(MESSAGE, ASK | {"model": "gone"}, headers={"accept-language": "en"}))
    assert answer.json["message"] == "This model does not exist or is switched off: choose another one"


def test_so_many_questions_and_then_a_pause(chatting: World, settings: Any) -> None:
    settings.CHAT_RATE_LIMIT = "2 per minute"

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post(path, ASK) for path in (MESSAGE, STREAM, MESSAGE)]

    answers = chatting.play(scenario)
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[-1].json["code"] == "rate_limited"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60


@pytest.mark.parametrize("path", [MESSAGE, STREAM])
@pytest.mark.parametrize("token", ["", "vh-wrong"])
def test_nobody_is_401(chatting: World, token: str, path: str) -> None:
    chatting.client = ApiClient(token)
    answer = ask(chatting, path)
    assert (answer.status, answer.json["code"]) == (401, "not_signed_in")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_browser_asks_with_its_session_and_its_token(chatting: World) -> None:
    browser = Client()
    browser.force_login(chatting.user)
    browser.get("/accounts/password")
    cookies = {name: morsel.value for name, morsel in browser.cookies.items()}
    headers = {"authorization": "", "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}

    async def scenario(w: World) -> list[int]:
        with_token = headers | {"x-csrftoken": cookies["csrftoken"]}
        return [(await w.client.post(STREAM, ASK, headers=sent)).status for sent in (headers, with_token)]

    assert chatting.play(scenario) == [403, 200]


# --- Repeats ---------------------------------------------------------------------------------------------------------
def test_a_repeat_with_the_same_key_is_the_same_answer_for_no_more(
    chatting: World, books_agree: Callable[[], None]
) -> None:
    key = {"idempotency-key": "once"}

    async def scenario(w: World) -> list[Answer]:
        first = await w.client.post(MESSAGE, ASK, headers=key)
        again = await w.client.post(MESSAGE, ASK, headers=key)
        streamed = await w.client.post(STREAM, ASK, headers=key)
        other = await w.client.post(MESSAGE, ASK | {"content": "Something else"}, headers=key)
        return [first, again, streamed, other]

    first, again, streamed, other = chatting.play(scenario)
    assert (first.status, again.json) == (200, first.json)
    assert [name for name, _ in streamed.told] == ["start", "delta", "done"]
    assert streamed.told[-1][1]["messageId"] == first.json["messageId"]
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
    assert Usage.objects.count() == 1
    books_agree()


def test_a_repeat_while_the_first_is_under_way_waits(chatting: World) -> None:
    chatting.upstream.otherwise = chat(after_s=0.5)
    key = {"idempotency-key": "once"}

    async def scenario(w: World) -> list[int]:
        first = asyncio.create_task(w.client.post(MESSAGE, ASK, headers=key))
        await asyncio.sleep(0.25)
        second = await w.client.post(MESSAGE, ASK, headers=key)
        assert second.json["code"] == "under_way"
        return [(await first).status, second.status]

    assert chatting.play(scenario) == [200, 409]
    assert Usage.objects.count() == 1


def test_a_key_whose_question_failed_can_be_used_again(chatting: World) -> None:
    key = {"idempotency-key": "once"}
    chatting.upstream.scripts = [fails(400, "no")]

    async def scenario(w: World) -> list[int]:
        return [(await w.client.post(MESSAGE, ASK, headers=key)).status for _ in range(2)]

    assert chatting.play(scenario) == [400, 200]


# --- Streams ---------------------------------------------------------------------------------------------------------
def test_a_stream_starts_tells_and_is_done(chatting: World, books_agree: Callable[[], None]) -> None:
    answer = ask(chatting, STREAM)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    names = [name for name, _ in answer.told]
    assert (names[0], set(names[1:-1]), names[-1]) == ("start", {"delta"}, "done")
    done = answer.told[-1][1]
    assert "".join(data["content"] for name, data in answer.told if name == "delta") == done["content"] == "Hello there"
    assert (done["quota"], done["balance"], done["usageSource"]) == (1500, 998_500, "provider")
    assert done["messageId"] == answer.told[0][1]["messageId"]
    stored = ChatMessage.objects.get(public_id=done["messageId"])
    assert (stored.content, stored.complete, stored.quota) == ("Hello there", True, 1500)
    books_agree()


def test_O3_a_lost_connection_lets_the_answer_finish_and_keeps_it(
    chatting: World, books_agree: Callable[[], None]
) -> None:
    chatting.upstream.scripts = [stream(WORDS, (10, 30), pause_s=0.02)]
    answer = chatting.play(lambda w: w.client.post(STREAM, ASK, leave_after=5))
    assert not answer.complete
    stored = ChatMessage.objects.get(role="assistant")
    assert (stored.content.split(), stored.state, stored.quota) == (WORDS, "complete", 2000)
    assert (chatting.usage().outcome, chatting.usage().quota) == ("ok", 2000)
    assert not chatting.upstream.asked[0].hung_up
    books_agree()


def test_O3_who_leaves_before_the_first_words_finds_them_later(
    chatting: World, books_agree: Callable[[], None]
) -> None:
    chatting.upstream.otherwise = stream(WORDS, (10, 30), first_after_s=0.6)
    chatting.play(lambda w: w.client.post(STREAM, ASK, leave_after_s=0.2))
    stored = ChatMessage.objects.get(role="assistant")
    assert (stored.content.split(), stored.state, stored.quota) == (WORDS, "complete", 2000)
    books_agree()


def test_a_stream_that_breaks_says_so_and_keeps_what_came(chatting: World, books_agree: Callable[[], None]) -> None:
    chatting.upstream.otherwise = stream(WORDS, breaks_after=3)
    answer = chatting.play(lambda w: w.client.post(STREAM, ASK, headers={"accept-language": "en"}))
    assert answer.told[-1] == (
        "error",
        {"message": "The model failed, please try again or choose another one", "code": "upstream_error"},
    )
    stored = ChatMessage.objects.get(role="assistant")
    assert (stored.content, stored.complete) == ("word0 word1 word2 ", False)
    assert stored.quota == chatting.usage().quota > 0
    books_agree()


def test_a_silent_model_does_not_look_like_a_dead_line(chatting: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.1)
    chatting.upstream.otherwise = stream(["one", "two"], pause_s=0.35)
    answer = ask(chatting, STREAM)
    assert answer.pieces.count(b": keep-alive\n\n") >= 4
    assert answer.told[-1][1]["content"] == "one two "


def test_a_session_deleted_under_an_answer_is_gone(chatting: World, books_agree: Callable[[], None]) -> None:
    chatting.upstream.otherwise = stream(WORDS, pause_s=0.02)

    async def scenario(w: World) -> tuple[Answer, Answer]:
        begun = asyncio.Event()
        ask = ASK | {"sessionId": "s"}
        asking = asyncio.create_task(w.client.post(STREAM, ask, on_data=lambda _: begun.set()))
        await begun.wait()
        deleted = await w.client.request("DELETE", "/api/chat/sessions/s", b"")
        return await asking, deleted

    answer, deleted = chatting.play(scenario)
    assert (deleted.status, deleted.json) == (200, {"success": True})
    assert answer.told[-1][0] == "error"
    assert not ChatMessage.objects.exists()
    assert Usage.objects.count() == 1
    books_agree()


# --- What there is ---------------------------------------------------------------------------------------------------
def test_the_models_and_what_they_cost(chatting: World) -> None:
    model("dear", input_price="0.3", output_price="1.25")
    answer = chatting.play(lambda w: w.client.get("/api/chat/models"))
    offers = {offer["name"]: offer for offer in answer.json["data"]}
    assert set(offers) == {"dear", "doubao-lite", "doubao-pro"}
    assert offers["dear"] == {
        "name": "dear",
        "provider": "ark",
        "capabilities": ["chat"],
        "maxTokens": 4096,
        "inputPrice": "0.3",
        "outputPrice": "1.25",
        "measure": "1k_tokens",
        "quotaPer1kIn": 150_000,
        "quotaPer1kOut": 625_000,
        "prices": [
            {"kind": "input", "per": 1_000_000, "quota": "150000000"},
            {"kind": "output", "per": 1_000_000, "quota": "625000000"},
        ],
    }


@pytest.mark.parametrize("accept", [None, "text/event-stream", "application/json", "image/png", "*/*"])
def test_a_client_may_accept_what_it_likes(accept: str | None, chatting: World, as_user: Any) -> None:
    """EventSource libraries accept nothing but the stream; what keeps it from beginning is JSON all the same."""
    client = as_user(chatting.user)
    answer = client.post(STREAM, {"content": ""}, format="json", **({"HTTP_ACCEPT": accept} if accept else {}))
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")
