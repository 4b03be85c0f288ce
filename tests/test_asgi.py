"""How voicehelper/asgi.py answers: threads are given back, streams end when their clients leave, all is closed once."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from voicehelper.asgi import Django
from voicehelper.later import Later

told: list[str] = []


class Pieces:
    """An asynchronous stream that falls silent after two pieces."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        await asyncio.sleep(30)

    def close(self) -> None:
        told.append("closed")


def endless() -> Iterator[bytes]:
    try:
        while True:
            time.sleep(0.02)
            yield b"more"
    finally:
        told.append("closed")


async def slowly() -> JsonResponse:
    await asyncio.sleep(0.3)
    return JsonResponse({"made": "later"}, status=201)


async def stream() -> StreamingHttpResponse:
    return StreamingHttpResponse(Pieces(), headers={"X-Frame-Options": "SAMEORIGIN"})


async def never() -> HttpResponse:
    try:
        await asyncio.sleep(30)
    finally:
        told.append("cancelled")
    return HttpResponse()


def later(request: HttpRequest) -> HttpResponse:
    answer = Later({"slowly": slowly, "stream": stream, "never": never}[request.GET["what"]])
    answer.set_cookie("seen", "yes")
    return answer


urlpatterns = [
    path("now", lambda request: HttpResponse("now")),
    path("pieces", lambda request: StreamingHttpResponse(Pieces())),
    path("endless", lambda request: StreamingHttpResponse(endless())),
    path("later", later),
]


class Call:
    """One request to the handler; hangs up after so many pieces, or seconds."""

    def __init__(self, url: str, *, pieces: int = 10**6, seconds: float = 60) -> None:
        self.url, _, self.query = url.partition("?")
        self.pieces = pieces
        self.seconds = seconds
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []

    async def to(self, handler: Django) -> "Call":
        left = asyncio.Event()
        asyncio.get_running_loop().call_later(self.seconds, left.set)

        async def receive() -> Any:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
                return
            self.body.append(message.get("body", b""))
            if len(self.body) >= self.pieces:
                left.set()

        scope = {"type": "http", "method": "GET", "path": self.url, "query_string": self.query.encode()}
        await handler({**scope, "headers": [(b"host", b"testserver")]}, io.BytesIO(), receive, send)
        return self


@pytest.fixture
def finished(settings: Any) -> Iterator[list[Any]]:
    """Each time a request was said to be finished."""
    settings.ROOT_URLCONF = __name__
    settings.ALLOWED_HOSTS = ["testserver"]
    told.clear()
    seen: list[Any] = []

    def note(sender: Any, **_: Any) -> None:
        seen.append(sender)

    request_finished.connect(note)
    yield seen
    request_finished.disconnect(note)


def play(*calls: Call) -> float:
    """Make the calls at once, of a server with one thread; returns how long they took, in seconds."""

    async def main() -> None:
        handler = Django(threads=1)
        await asyncio.gather(*(call.to(handler) for call in calls))

    started = time.monotonic()
    asyncio.run(main())
    return time.monotonic() - started


def test_what_is_made_later_keeps_no_thread(finished: list[Any]) -> None:
    slow = [Call("/later?what=slowly") for _ in range(10)]
    quick = Call("/now")
    assert play(*slow, quick) < 1.5
    assert {(call.status, b"".join(call.body)) for call in slow} == {(201, b'{"made": "later"}')}
    assert b"".join(quick.body) == b"now"
    assert finished == [Django] * 11


def test_what_is_made_later_has_the_headers_and_cookies_of_the_middleware(finished: list[Any]) -> None:
    made, streamed = Call("/later?what=slowly"), Call("/later?what=stream", pieces=2)
    play(made, streamed)
    assert (made.headers["Content-Type"], made.headers["X-Frame-Options"]) == ("application/json", "DENY")
    assert made.headers["X-Request-Id"]
    assert made.headers["Set-Cookie"].startswith("seen=yes")
    assert streamed.headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize("url", ["/pieces", "/later?what=stream", "/endless"])
def test_a_stream_ends_when_its_client_leaves(finished: list[Any], url: str) -> None:
    call = Call(url, pieces=2)
    assert play(call) < 1.5
    assert len(call.body) <= 4
    assert told == ["closed"]
    assert finished == [Django]


def test_what_is_made_later_is_given_up_when_its_client_leaves(finished: list[Any]) -> None:
    call = Call("/later?what=never", seconds=0.1)
    assert play(call) < 1.5
    assert (call.status, told, finished) == (0, ["cancelled"], [Django])
