"""What a client may send before it is answered: so many bytes of headers, in so many seconds, and a body that ends; and
how long an answer waits for a client that does not read it.

The server is uvicorn with our protocol on a socket of loopback; the application answers what it is told to.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, Self

import pytest
import uvicorn

from tests.conftest import full, sampled
from tests.image import Image, ask

SERVER = "voicehelper.protocol:Bounded"
SECONDS = 0.5
HEAD = b"GET /now HTTP/1.1\r\nHost: 127.0.0.1\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """/now answers at once, whatever is still to come; /read when the body has come; /slow after a while; /flood sends
    as much as is taken."""
    if scope["path"] == "/flood":
        await _flood(receive, send)
        return
    if scope["path"] == "/read":
        while (await receive()).get("more_body"):
            pass
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})


PIECE = b"x" * 16384
FLOODED: list[float] = []


async def _flood(receive: Any, send: Any) -> None:
    """Up to 64 MiB; notes when the client was gone, and how many bytes the server had taken by then."""
    loop, taken = asyncio.get_running_loop(), 0
    started = loop.time()
    await receive()
    left = asyncio.ensure_future(receive())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while not left.done() and taken < 64 * 1024 * 1024:
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        taken += len(PIECE)
        await asyncio.sleep(0)
    FLOODED[:] = [loop.time() - started, taken, left.done()]
    left.cancel()


@pytest.fixture
def port(settings: Any) -> Iterator[int]:
    settings.HEADER_SECONDS = settings.UNREAD_SECONDS = SECONDS
    config = uvicorn.Config(application, port=0, http=SERVER, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


class Line:
    """A connection to the server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def say(self, data: bytes, *, times: int = 1, pause_s: float = 0) -> None:
        """Send it so often, or until the server has hung up."""
        with suppress(ConnectionError):
            for _ in range(times):
                self.socket.sendall(data)
                time.sleep(pause_s)

    def heard(self) -> bytes:
        """All that the server says until it hangs up."""
        said = b""
        with suppress(ConnectionError):
            while more := self.socket.recv(65536):
                said += more
        return said


def status(answer: bytes) -> str:
    return answer[9:12].decode()


KIB = b"a" * 1024
TOO_MUCH = {
    "a long address": (b"GET /", KIB),
    "a long header": (HEAD + b"X: ", KIB),
    "many headers": (HEAD, b"X: " + KIB[:100] + b"\r\n"),
    "a long name": (HEAD, KIB),
    "empty lines": (b"", b"\r\n" * 512),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_N7_endless_headers_are_refused(port: int, what: str) -> None:
    start, more = TOO_MUCH[what]
    with Line(port) as line:
        line.socket.settimeout(2)
        line.say(start)
        line.say(more, times=full(64, 4) * 1024**2 // len(more))
        # A hurried client may miss the answer, and finds that nobody listens.
        # 408: a busy machine did not read them in time.
        assert status(line.heard()) in ("431", "408", "400", "")


@pytest.mark.parametrize("more", [b"X: a\r\n", b"a"], ids=["many", "long"])
def test_N7_endless_headers_behind_a_body_are_refused_too(port: int, more: bytes) -> None:
    with Line(port) as line:
        line.socket.settimeout(2)
        line.say(b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: a\r\n")
        line.say(more * 8192, times=64)
        assert line.heard() == b""


def test_headers_of_sixty_kilobytes_and_a_body_of_thirty_megabytes_are_taken(port: int) -> None:
    with Line(port) as line:
        line.say(b"POST /read HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\nX: " % (30 * 1024**2))
        line.say(KIB * 60 + b"\r\n\r\n")
        line.say(KIB * 64, times=30 * 16)
        assert line.heard().endswith(b"done")


def test_N7_a_half_sent_request_is_told_so_and_cut_however_it_dribbles(port: int) -> None:
    for before in (b"", HEAD + b"\r\n"):
        with Line(port) as line:
            started = time.monotonic()
            line.say(before + HEAD + b"X: ")
            line.say(b"a", times=20, pause_s=SECONDS / 5)
            heard = line.heard()
            assert int(status(heard[heard.rindex(b"HTTP/1.1") :])) == 408
            assert SECONDS * 0.9 < time.monotonic() - started < SECONDS * 6


def test_N7_who_connects_and_says_nothing_is_cut_without_a_word(port: int) -> None:
    with Line(port) as line:
        started = time.monotonic()
        assert line.heard() == b""
        assert time.monotonic() - started < SECONDS * 4


def test_N7_a_body_that_was_answered_before_its_end_is_not_read_for_ever(port: int) -> None:
    with Line(port) as line:
        line.say(b"POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        started = time.monotonic()
        line.say(b"a", times=20, pause_s=SECONDS / 5)
        heard = line.heard()
        assert (status(heard), heard.count(b"HTTP/1.1")) in (("200", 1), ("", 0))
        assert time.monotonic() - started < SECONDS * 6


@pytest.mark.parametrize(
    "after", sampled([b"", b"\r\n", HEAD], keep=1), ids=["nothing", "a stray line", "half of the next request"]
)
def test_a_long_answer_is_not_cut_for_what_follows_its_request(port: int, after: bytes) -> None:
    with Line(port) as line:
        line.say(HEAD.replace(b"now", b"slow") + b"\r\n" + after)
        assert line.socket.recv(65536).endswith(b"done")


def test_a_connection_is_kept_between_requests(port: int) -> None:
    with Line(port) as line:
        for _ in range(4):
            line.say(HEAD + b"\r\n")
            assert line.socket.recv(65536).endswith(b"done")
            time.sleep(SECONDS / 2)
        time.sleep(2 * SECONDS)
        line.say(HEAD + b"\r\n")
        assert line.socket.recv(65536).endswith(b"done")


@pytest.mark.rare
@pytest.mark.django_db
def test_N7_the_image_answers_readyz_while_a_hundred_requests_are_half_sent(image: Image) -> None:
    with image.serving(HEADER_SECONDS="4") as port, ExitStack() as stack:
        lines = [stack.enter_context(Line(port)) for _ in range(full(400, 100))]
        for line in lines:
            line.say(HEAD + b"X: a")
        took = []
        for _ in range(3):
            started = time.monotonic()
            assert ask(port, "/readyz").status == 200
            took.append(time.monotonic() - started)
        # The machine may be busy with other tests.
        assert min(took) < 1
        large = stack.enter_context(Line(port))
        large.say(HEAD + b"X: ")
        large.say(KIB, times=2048)
        assert status(large.heard()) in ("431", "")
        assert {status(line.heard()) for line in lines} == {"408"}


# --- Answers that nobody reads ---------------------------------------------------------------------------------------
def test_Q_a_client_that_never_reads_is_let_go(port: int) -> None:
    FLOODED.clear()
    with Line(port) as line:
        line.say(b"GET /flood HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        started = time.monotonic()
        while not FLOODED:
            assert time.monotonic() - started < 20 * SECONDS
            time.sleep(0.05)
    seconds, taken, gone = FLOODED
    assert gone
    assert SECONDS <= seconds < 10 * SECONDS
    # What the two kernels keep of a connection, and 64 KiB of ours.
    assert taken < 16 * 1024 * 1024


def test_Q_a_client_that_reads_slowly_is_not(port: int) -> None:
    FLOODED.clear()
    with Line(port) as line:
        line.say(b"GET /flood HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        for _ in range(20):
            time.sleep(SECONDS / 4)
            assert line.socket.recv(512 * 1024)
        assert not FLOODED
