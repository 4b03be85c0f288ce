"""The chat API in a real server process: pieces that arrive one by one, clients that leave, pages that stay quick."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from llm.models import ChatMessage, Usage
from llm.relay import loops
from tests.processes import Server
from voicehelper.accounts.services import issue_token

from .conftest import World
from .upstream import stream

pytestmark = pytest.mark.django_db(transaction=True)

ASK = {"content": "Say hello", "model": "doubao-pro"}


@pytest.fixture(scope="module")
def _chat_server(django_db_setup: None) -> Iterator[Server]:
    with Server(LLM_DRAIN_SECONDS="1", WEB_THREADS="4", CHAT_RATE_LIMIT="100000 per minute") as running:
        yield running


@pytest.fixture
def server(world: World, _chat_server: Server) -> Iterator[Server]:
    world.give(10_000_000)
    loops.run(world.upstream.__aenter__())
    yield _chat_server
    loops.run(world.upstream.__aexit__())


@pytest.fixture
def token(world: World) -> str:
    return issue_token(world.user)


@contextmanager
def asking(server: Server, token: str) -> Iterator[http.client.HTTPResponse]:
    """A stream, open; leaving the block hangs up."""
    there = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    there.request("POST", "/api/chat/stream", json.dumps(ASK), headers)
    response = there.getresponse()
    try:
        yield response
    finally:
        response.close()
        there.close()


def next_event(response: http.client.HTTPResponse) -> tuple[str, Any]:
    """The next block of lines that is one: ids have blocks of their own."""
    fields: dict[str, str] = {}
    while "event" not in fields:
        while line := response.readline().decode().strip():
            name, _, value = line.partition(": ")
            fields[name] = value
    return fields["event"], json.loads(fields["data"])


def until(met: Callable[[], Any], within_s: float) -> float:
    """How long it took, in seconds."""
    started = time.monotonic()
    while not met():
        assert time.monotonic() - started < within_s
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.mark.rare
def test_pieces_arrive_as_the_model_writes_them(
    server: Server, world: World, token: str, books_agree: Callable[[], None]
) -> None:
    world.upstream.otherwise = stream(["one", "two", "three"], (10, 20), pause_s=0.4)
    with asking(server, token) as response:
        arrived: dict[str, float] = {}
        while "done" not in arrived:
            name, data = next_event(response)
            arrived[data["content"] if name == "delta" else name] = time.monotonic()
        assert response.read() == b""
    assert arrived["two "] - arrived["one "] > 0.3
    assert arrived["done"] - arrived["start"] > 1.0
    books_agree()


@pytest.mark.rare
def test_who_stops_a_silent_model_frees_everything_at_once(
    server: Server, world: World, token: str, books_agree: Callable[[], None]
) -> None:
    """What was written is kept, and its price known, within a second."""
    world.upstream.otherwise = stream(["one", "two"], (10, 20), pause_s=60)
    with asking(server, token) as response:
        _, start = next_event(response)
        assert next_event(response) == ("delta", {"content": "one "})
        headers = {"Authorization": f"Bearer {token}"}
        server.post_json("/api/chat/stop", {"messageId": start["messageId"]}, headers=headers)
        assert next_event(response)[0] == "stopped"
    answer = ChatMessage.objects.get(public_id=start["messageId"])
    usage = Usage.objects.get()
    assert (usage.outcome, usage.usage_source, usage.quota) == ("abandoned", "estimate", answer.quota)
    assert (answer.content, answer.state) == ("one ", "stopped")
    assert usage.quota > 0
    told = server.get(f"/api/chat/messages/{start['messageId']}", headers=headers).json["data"]
    assert (told["settled"], told["quota"]) == (True, usage.quota)
    books_agree()


@pytest.mark.rare
def test_forty_slow_models_keep_no_page_waiting(
    server: Server, world: World, token: str, books_agree: Callable[[], None]
) -> None:
    """Ten times as many as the server has threads, all waiting for their first words."""
    world.upstream.otherwise = stream(["one", "two"], (10, 20), first_after_s=4, pause_s=0.2)
    ended = []

    def listen() -> None:
        with asking(server, token) as response:
            while next_event(response)[0] != "done":
                pass
            ended.append(time.monotonic())

    listeners = [threading.Thread(target=listen) for _ in range(40)]
    for listener in listeners:
        listener.start()
    until(lambda: len(world.upstream.asked) == 40, 10)
    for path in ("/healthz", "/accounts/sign-in", "/healthz"):
        started = time.monotonic()
        assert server.get(path).status == 200
        assert time.monotonic() - started < 1.0
    assert not ended
    for listener in listeners:
        listener.join(30)
    assert len(ended) == 40
    assert Usage.objects.count() == 40
    assert ChatMessage.objects.filter(role="assistant", complete=True, quota=1500).count() == 40
    books_agree()
