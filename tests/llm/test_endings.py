"""How answers end: read on from another process, stopped from there, lost with their server; how long one may wait for
its model, and a model for its reader."""

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from llm.models import ChatMessage, Credential, Usage
from llm.relay import loops
from llm.tasks import settle_orphaned_answers
from tests.conftest import sampled
from tests.processes import Server
from voicehelper import clock
from voicehelper.accounts.services import create_api_key, issue_token
from voicehelper.wallet.models import Hold

from .conftest import World
from .test_chat_server import until
from .upstream import chunk, sends, stream

pytestmark = pytest.mark.django_db(transaction=True)

ASK = {"content": "Say hello", "model": "doubao-pro"}
WORDS = [f"word{number}" for number in range(40)]
QUOTA_PER_TOKEN = 50


@pytest.fixture
def speaking(world: World) -> Iterator[World]:
    world.give(10_000_000)
    loops.run(world.upstream.__aenter__())
    world.upstream.otherwise = stream(WORDS, pause_s=0.1)
    yield world
    loops.run(world.upstream.__aexit__())


@pytest.fixture(scope="module")
def _two_servers(django_db_setup: None) -> Iterator[tuple[Server, Server]]:
    limits = {"LLM_DRAIN_SECONDS": "1", "CHAT_RATE_LIMIT": "100000 per minute", "UNREAD_SECONDS": "0.5"}
    with Server(**limits) as one, Server(**limits) as other:
        yield one, other


@pytest.fixture
def line(speaking: World) -> Iterator[Callable[..., "Line"]]:
    """Opens connections of the user, or of the one with that token."""
    token = issue_token(speaking.user)
    with ExitStack() as stack:

        def opened(server: Server, other_token: str = "") -> Line:
            line = Line(server, other_token or token)
            stack.callback(line.close)
            return line

        yield opened


class Line:
    """A signed-in client of one server: one request after the other."""

    def __init__(self, server: Server, token: str) -> None:
        self.there = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.response: http.client.HTTPResponse | None = None

    def send(self, method: str, path: str, body: Any = None, **more: str) -> None:
        self.close()
        self.there.request(method, path, None if body is None else json.dumps(body), self.headers | more)

    def post(self, path: str, body: Any, **more: str) -> http.client.HTTPResponse:
        self.send("POST", path, body, **more)
        return self.answer()

    def get(self, path: str) -> http.client.HTTPResponse:
        self.send("GET", path)
        return self.answer()

    def answer(self) -> http.client.HTTPResponse:
        self.response = self.there.getresponse()
        return self.response

    def close(self) -> None:
        if self.response is not None:
            self.response.close()
        self.there.close()


def next_event(response: http.client.HTTPResponse) -> tuple[str, Any]:
    """The next that is no comment."""
    block = b""
    while not block.startswith(b"event: "):
        block = b"".join(iter(response.readline, b"\n"))
        assert block, "the stream ended"
    name, data = block.decode().removeprefix("event: ").split("\ndata: ")
    return name, json.loads(data)


def told(response: http.client.HTTPResponse) -> tuple[str, str, Any]:
    """To the end of a stream: its words, and its last event."""
    words = ""
    while True:
        name, data = next_event(response)
        if name == "delta":
            words += data["content"]
        elif name != "start":
            return words, name, data


def begun(response: http.client.HTTPResponse, word: str) -> tuple[str, str]:
    """Up to a word: the message's id, and what was said."""
    said, message_id = "", ""
    while word not in said:
        _name, data = next_event(response)
        said += data.get("content", "")
        message_id = data.get("messageId") or message_id
    return message_id, said


# --- Read on, stopped, lost ------------------------------------------------------------------------------------------
def test_Q_another_process_tells_the_rest_of_an_answer(
    speaking: World, line: Callable[..., Line], _two_servers: tuple[Server, Server], books_agree: Callable[[], None]
) -> None:
    one, other = map(line, _two_servers)
    message_id, said = begun(one.post("/api/chat/stream", ASK), "word3")
    one.close()
    path = f"/api/chat/messages/{message_id}"
    assert json.load(other.get(path))["data"]["state"] == "writing"
    rest, name, done = told(other.get(f"{path}/events?after={len(said)}"))
    assert (said + rest).split() == WORDS
    assert (name, done["content"].split(), done["quota"]) == ("done", WORDS, 30 * QUOTA_PER_TOKEN)
    assert told(other.get(f"{path}/events?after=0"))[0] == done["content"]
    stored = ChatMessage.objects.get(public_id=message_id)
    assert (stored.state, Usage.objects.get().outcome, len(speaking.upstream.asked)) == ("complete", "ok", 1)
    books_agree()


def test_Q_stop_means_stop_in_whichever_process(
    speaking: World, line: Callable[..., Line], _two_servers: tuple[Server, Server], books_agree: Callable[[], None]
) -> None:
    """The provider hears of it at once, and what came is what is charged: a chunk is about two tokens here."""
    one, other = map(line, _two_servers)
    response = one.post("/api/chat/stream", ASK)
    message_id, said = begun(response, "word9")
    assert json.load(other.post("/api/chat/stop", {"messageId": message_id}))["data"]["state"] == "stopped"
    assert until(lambda: speaking.upstream.asked[0].hung_up, 2.0) < 0.5
    rest, name, ended = told(response)
    assert name == "stopped"
    assert ended["content"] == said + rest
    assert len(rest.split()) <= 6
    usage, stored = Usage.objects.get(), ChatMessage.objects.get(public_id=message_id)
    assert (usage.outcome, usage.usage_source) == ("abandoned", "estimate")
    assert (stored.content, stored.state, stored.quota) == (said + rest, "stopped", usage.quota)
    assert ended["quota"] == usage.quota
    assert 10 <= usage.output_tokens <= 40
    again = json.load(other.post("/api/chat/stop", {"messageId": message_id}))["data"]
    assert (again["quota"], Usage.objects.count()) == (usage.quota, 1)
    assert speaking.wallet.held == 0
    books_agree()


def test_Q_what_has_no_id_yet_is_stopped_by_its_key(
    speaking: World, line: Callable[..., Line], _two_servers: tuple[Server, Server], books_agree: Callable[[], None]
) -> None:
    speaking.upstream.otherwise = stream(WORDS, first_after_s=30)
    one, other = map(line, _two_servers)
    one.send("POST", "/api/chat/stream", ASK, **{"Idempotency-Key": "k"})
    until(lambda: speaking.upstream.asked, 5.0)
    assert other.post("/api/chat/stop", {}, **{"Idempotency-Key": "another"}).status == 404
    assert other.post("/api/chat/stop", {}, **{"Idempotency-Key": "k"}).status == 200
    assert told(one.answer())[1] == "stopped"
    until(lambda: speaking.upstream.asked[0].request.transport is None, 2.0)
    assert Usage.objects.get().output_tokens == 0
    books_agree()


def test_Q_nobody_reads_or_stops_another_users_answer(
    speaking: World, line: Callable[..., Line], other_user: Any, _two_servers: tuple[Server, Server]
) -> None:
    one = line(_two_servers[0])
    message_id, _said = begun(one.post("/api/chat/stream", ASK), "word1")
    stranger = line(_two_servers[1], issue_token(other_user))
    path = f"/api/chat/messages/{message_id}/events"
    answers = [stranger.post("/api/chat/stop", {"messageId": message_id}), stranger.get(path)]
    assert [answer.status for answer in answers] == [404, 404]
    assert told(line(_two_servers[1]).get(path))[1] == "done"


@pytest.mark.rare
def test_Q_an_answer_that_is_lost_with_its_server_says_so_and_costs_what_came(
    speaking: World, line: Callable[..., Line], _two_servers: tuple[Server, Server], books_agree: Callable[[], None]
) -> None:
    speaking.upstream.otherwise = stream(WORDS, pause_s=0.5)
    with Server() as third:
        message_id, _said = begun(line(third).post("/api/chat/stream", ASK), "word3")
        third.kill()
    answer = ChatMessage.objects.filter(public_id=message_id)
    assert answer.get().content.startswith("word0 word1")
    # As if a while had passed.
    answer.update(alive=clock.now() - timedelta(seconds=100))
    assert settle_orphaned_answers() == 1
    assert settle_orphaned_answers() == 0
    usage, stored = Usage.objects.get(), answer.get()
    assert (usage.outcome, usage.usage_source, stored.state) == ("failed", "estimate", "broken")
    assert usage.quota == stored.quota > 0
    assert usage.output_tokens <= 3 * len(stored.content.split())
    assert not Hold.objects.filter(state="open").exists()
    assert told(line(_two_servers[0]).get(f"/api/chat/messages/{message_id}/events"))[1] == "error"
    books_agree()


@pytest.mark.rare
def test_Q_a_server_that_is_told_to_stop_breaks_its_answers_off(
    speaking: World, line: Callable[..., Line], books_agree: Callable[[], None]
) -> None:
    speaking.upstream.otherwise = stream(WORDS, pause_s=0.5)
    with Server() as third:
        there = line(third)
        message_id, _said = begun(there.post("/api/chat/stream", ASK), "word2")
        there.close()
    stored, usage = ChatMessage.objects.get(public_id=message_id), Usage.objects.get()
    assert (stored.state, stored.quota) == ("broken", usage.quota)
    assert "word2" in stored.content
    assert 0 < usage.output_tokens < 40
    books_agree()


# --- Who does not read -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", sampled(["/v1/chat/completions", "/api/chat/stream"], keep=1))
def test_Q_a_client_that_never_reads_is_let_go_and_pays_once(
    speaking: World, _two_servers: tuple[Server, Server], path: str, books_agree: Callable[[], None]
) -> None:
    """More comes than the two kernels keep of a connection."""
    pieces = [chunk({"content": "a" * 300_000})] * 30
    speaking.upstream.otherwise = sends(*pieces, chunk({}, "stop"), b"data: [DONE]\n\n", pause_s=0.02)
    token = issue_token(speaking.user)
    body: dict[str, Any] = ASK
    if path.startswith("/v1"):
        token = create_api_key(speaking.user, "slow")[1]
        body = {"model": "doubao-pro", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", _two_servers[0].port))
        line.sendall(head.encode() + content)
        until(Usage.objects.exists, 20.0)
    usage = Usage.objects.get()
    assert usage.quota > 0
    assert len(speaking.upstream.asked) == 1
    if path.startswith("/v1"):
        assert usage.outcome == "abandoned"
    else:
        until(lambda: ChatMessage.objects.get(role="assistant").state == "complete", 5.0)
        assert len(ChatMessage.objects.get(role="assistant").content) == 9_000_000
    books_agree()


# --- How long a model may think --------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", sampled(["/api/chat/message", "/api/chat/stream"], keep=1))
def test_Q_a_model_may_say_who_it_is_and_think_for_long(
    speaking: World,
    line: Callable[..., Line],
    _two_servers: tuple[Server, Server],
    path: str,
    books_agree: Callable[[], None],
) -> None:
    """The account's time-out is for silence in an answer, not before it."""
    Credential.objects.update(timeout_s=1)
    first, rest = chunk({"role": "assistant", "content": ""}), chunk({"content": "Hello"})
    done = chunk({}, "stop", usage={"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30})

    async def thinks(asked: Any) -> Any:
        return await sends(first, rest + done + b"data: [DONE]\n\n", pause_s=1.6)(asked)

    speaking.upstream.otherwise = thinks
    response = line(_two_servers[0]).post(path, ASK)
    assert b"Hello" in response.read()
    assert (len(speaking.upstream.asked), Usage.objects.get().quota) == (1, 30 * QUOTA_PER_TOKEN)
    books_agree()
