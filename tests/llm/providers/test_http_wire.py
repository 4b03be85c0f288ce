"""HTTP/1.1 as our client speaks it: what is an answer, what is none, and whose it is."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from voicehelper.net.http import NoAnswer
from voicehelper.net.http_async import AnswerBroke, AsyncHTTP, HTTPStream, file_form
from voicehelper.net.http_wire import HEADER_BYTES

from .upstream import STREAM_END, STREAM_HEAD, Script, Seen, Upstream, answer, piece

BODY = b"He said: hello! " * 50


def played(script: Script | Callable[[Seen], Script], scenario: Callable[[AsyncHTTP, Upstream], Awaitable[Any]]) -> Any:
    """What a scenario with a client and an upstream comes to."""

    async def play() -> Any:
        async with Upstream(script if callable(script) else lambda _seen: script) as upstream:
            client = AsyncHTTP(trusted=True)
            try:
                return await scenario(client, upstream)
            finally:
                await client.close()

    return asyncio.run(asyncio.wait_for(play(), 20))


async def ask(client: AsyncHTTP, upstream: Upstream, **more: Any) -> Any:
    options = {"body": b"hello", "first_s": 3.0, "idle_s": 3.0, "max_bytes": 10_000_000}
    return await client.send("POST", f"{upstream.url}/x", **options | more)


def asked(script: Script | Callable[[Seen], Script], **more: Any) -> Any:
    return played(script, lambda client, upstream: ask(client, upstream, **more))


def in_bytes(data: bytes) -> Script:
    return [each for byte in data for each in (bytes([byte]), 0.001)]


# --- What is an answer ------------------------------------------------------------------------------------------------
CHUNKED = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nHello",
    "chunks": CHUNKED + piece(b"He") + piece(b"llo") + STREAM_END,
    "extensions and trailers": CHUNKED + b"5;a=b\r\nHello\r\n0\r\nX-A: 2\r\n\r\n",
    "first an interim one": b"HTTP/1.1 103 Early Hints\r\nX-A: 2\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\n"
    b"Content-Length: 5\r\n\r\nHello",
    "an offer to speak otherwise": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    b"Content-Length: 5\r\n\r\nHello",
    "twice the same header": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 5\r\n\r\nHello",
}


@pytest.mark.parametrize("raw", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("cut", [lambda raw: [raw], in_bytes], ids=["at once", "byte by byte"])
def test_an_answer_is_the_same_however_it_is_cut(raw: bytes, cut: Callable[[bytes], Script]) -> None:
    got = asked(cut(raw))
    assert (got.status, got.headers["x-a"], got.body) == (200, "1", b"Hello")


@pytest.mark.parametrize("version", [b"1.1 200 OK\r\nConnection: close\r\n\r\n", b"1.0 200 OK\r\n\r\n"])
def test_without_a_length_the_connections_end_is_the_bodys(version: bytes) -> None:
    assert asked([b"HTTP/" + version, BODY, 0.05, BODY, None]).body == BODY * 2


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body_does_not_wait_for_one(status: str) -> None:
    got = asked([f"HTTP/1.1 {status}\r\nX-A: 1\r\n\r\n".encode()])
    assert (got.body, got.headers["x-a"]) == (b"", "1")


GARBLED = {
    "no HTTP": b"220 smtp.example.com ESMTP\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "a status that is none": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nHello",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nHello!",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nHello\r\n0\r\n\r\n",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 5\r\n\r\nHello",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nHello",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 5\r\n\r\nHello",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "a chunk's size that is none": CHUNKED + b"5x\r\nHello\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"4\r\nHello\r\n0\r\n\r\n",
    "a size beyond all": CHUNKED + b"fffffffffffffffff\r\nHello",
}


@pytest.mark.parametrize("raw", GARBLED.values(), ids=GARBLED)
def test_what_is_not_HTTP_is_no_answer_and_its_connection_is_closed(raw: bytes) -> None:
    async def scenario(client: AsyncHTTP, upstream: Upstream) -> None:
        with pytest.raises(NoAnswer, match="broke") as caught:
            await ask(client, upstream)
        assert caught.value.sent
        await asyncio.wait_for(upstream.hung_up.wait(), 1)

    played([raw, 5.0], scenario)


ENDLESS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n" * 512),
    "one header": (b"HTTP/1.1 200 OK\r\nX-A: ", b"x" * 4096),
    "trailers": (CHUNKED + b"0\r\n", b"X-A: 1\r\n" * 512),
    "an extension": (CHUNKED + b"5;a=", b"x" * 4096),
}


@pytest.mark.parametrize(("begins", "goes_on"), ENDLESS.values(), ids=ENDLESS)
def test_what_is_no_body_has_an_end(begins: bytes, goes_on: bytes) -> None:
    sent = 0

    def script() -> Any:
        nonlocal sent
        yield begins
        for _ in range(1000):
            sent += len(goes_on)
            yield goes_on
            yield 0.001

    with pytest.raises(NoAnswer, match="broke"):
        asked(script())
    assert sent < 20 * HEADER_BYTES


@pytest.mark.parametrize(
    "raw", [CHUNKED + piece(b"Hello"), CHUNKED + b"50\r\nHello", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHello"]
)
def test_what_came_of_half_an_answer_is_read_before_it_is_told_that_it_broke(raw: bytes) -> None:
    async def scenario(client: AsyncHTTP, upstream: Upstream) -> bytes:
        stream: HTTPStream = await client.open("POST", upstream.url, body=b"", first_s=3.0, idle_s=3.0)
        await asyncio.sleep(0.1)
        found = await stream.read()
        with pytest.raises(AnswerBroke):
            await stream.read()
        stream.close()
        return found

    assert played([raw, None], scenario) == b"Hello"


# --- Compressed -------------------------------------------------------------------------------------------------------
def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY[:90]) + gzip.compress(BODY[90:])),
        ("deflate", zlib.compress(BODY)),
        ("deflate", bare(BODY)),
        ("identity", BODY),
    ],
    # Not of the bytes, which tell the second they were packed in: all workers must find the same names.
    ids=["gzip", "two members", "zlib", "bare deflate", "identity"],
)
@pytest.mark.parametrize("cut", [lambda raw: [raw], in_bytes], ids=["at once", "byte by byte"])
def test_a_compressed_answer_is_unpacked(encoding: str, packed: bytes, cut: Callable[[bytes], Script]) -> None:
    (raw,) = answer(packed, headers=f"Content-Encoding: {encoding}\r\n")
    assert isinstance(raw, bytes)
    assert asked(cut(raw)).body == BODY


@pytest.mark.parametrize("packed", [gzip.compress(BODY)[:-9], b"no gzip at all"], ids=["half", "none"])
def test_half_of_something_compressed_is_no_answer(packed: bytes) -> None:
    with pytest.raises(NoAnswer, match="broke"):
        asked(answer(packed, headers="Content-Encoding: gzip\r\n"))


# --- Whose connection -------------------------------------------------------------------------------------------------
def connections(script: Callable[[Seen], Script], pause_s: float = 0.0) -> tuple[list[bytes], int]:
    """What two requests are answered, one after the other, and over how many connections."""

    async def scenario(client: AsyncHTTP, upstream: Upstream) -> tuple[list[bytes], int]:
        found = []
        for number in (b"1", b"2"):
            found.append((await ask(client, upstream, body=number)).body)
            await asyncio.sleep(pause_s)
        return found, upstream.connections

    found: tuple[list[bytes], int] = played(script, scenario)
    return found


def test_a_connection_serves_one_request_after_the_other() -> None:
    assert connections(lambda seen: answer(seen.body)) == ([b"1", b"2"], 1)


@pytest.mark.parametrize("headers", ["Connection: close\r\n", "connection: x, CLOSE\r\n"])
def test_one_that_is_to_be_closed_serves_no_other(headers: str) -> None:
    assert connections(lambda seen: answer(seen.body, headers=headers)) == ([b"1", b"2"], 2)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsecrets", b"HTTP/1.1 2", b"rubbish"])
def test_an_answer_that_nobody_asked_for_is_nobodys(more: bytes, late: bool) -> None:
    def script(seen: Seen) -> Script:
        (raw,) = answer(seen.body)
        assert isinstance(raw, bytes)
        return [raw, 0.05, more, 1.0] if late else [raw + more, 1.0]

    assert connections(script, pause_s=0.1) == ([b"1", b"2"], 2)


def test_a_request_that_was_given_up_leaves_no_answer_to_the_next_one() -> None:
    async def scenario(client: AsyncHTTP, upstream: Upstream) -> bytes:
        with pytest.raises(NoAnswer, match="time limit"):
            await ask(client, upstream, body=b"1", first_s=0.1)
        found: bytes = (await ask(client, upstream, body=b"2")).body
        return found

    assert played(lambda seen: [0.2 if seen.body == b"1" else 0.0, *answer(seen.body)], scenario) == b"2"


@pytest.mark.parametrize("before", [0, 1])
def test_only_who_was_asked_first_on_a_connection_may_be_at_work_when_it_ends(before: int) -> None:
    """One that served was closed for being idle, which nobody need tell."""

    async def scenario(client: AsyncHTTP, upstream: Upstream) -> type[NoAnswer]:
        for _ in range(before):
            await ask(client, upstream, body=b"answer")
        with pytest.raises(NoAnswer, match="broke") as caught:
            await ask(client, upstream, body=b"hang up")
        return type(caught.value)

    expected = NoAnswer if before else AnswerBroke
    assert played(lambda seen: answer(b"") if seen.body == b"answer" else [None], scenario) is expected


def test_a_reader_that_takes_its_time_makes_the_far_side_wait() -> None:
    sent = 0

    def script(_seen: Seen) -> Any:
        nonlocal sent
        yield STREAM_HEAD
        for _ in range(200):
            sent += 1
            yield piece(b"x" * 100_000)
        yield STREAM_END

    async def scenario(client: AsyncHTTP, upstream: Upstream) -> tuple[int, int]:
        stream = await client.open("POST", upstream.url, body=b"", first_s=3.0, idle_s=3.0)
        await asyncio.sleep(0.5)
        early = sent
        return early, len(await stream.read_all(30_000_000))

    early, size = played(script, scenario)
    assert (early < 150, size) == (True, 20_000_000)


def test_a_connection_whose_far_side_had_to_wait_serves_on() -> None:
    async def scenario(client: AsyncHTTP, upstream: Upstream) -> tuple[int, bytes, int]:
        stream = await client.open("POST", upstream.url, body=b"x" * 300_000, first_s=3.0, idle_s=3.0)
        await asyncio.sleep(0.3)
        first = len(await stream.read_all(1_000_000))
        return first, (await ask(client, upstream, body=b"2")).body, upstream.connections

    assert played(lambda seen: answer(seen.body), scenario) == (300_000, b"2", 1)


# --- What is sent -----------------------------------------------------------------------------------------------------
def sent(**more: Any) -> Seen:
    async def scenario(client: AsyncHTTP, upstream: Upstream) -> Seen:
        await ask(client, upstream, **more)
        return upstream.seen[0]

    seen: Seen = played(answer(b""), scenario)
    return seen


def test_a_request_says_what_it_must_and_the_last_spelling_of_a_header_counts() -> None:
    seen = sent(headers={"Accept": "text/event-stream", "X-Version": "1", "x-version": "zwölf"}, body=b"x" * 300_000)
    assert seen.line == "POST /x HTTP/1.1"
    assert seen.headers.pop("host").startswith("127.0.0.1:")
    assert seen.headers.pop("x-version").encode("latin-1").decode() == "zwölf"
    assert seen.headers == {
        "user-agent": "VoiceHelper",
        "accept": "text/event-stream",
        "accept-encoding": "gzip, deflate",
        "content-length": "300000",
    }
    assert len(seen.body) == 300_000


def test_the_host_is_what_a_caller_says_who_signs_it() -> None:
    assert sent(headers={"host": "tms.example"}).headers["host"] == "tms.example"


@pytest.mark.parametrize("value", ["a\r\nX-B: 1", "a\nb", "a\rb", "a\0b"])
def test_a_header_cannot_become_two(value: str) -> None:
    async def scenario(client: AsyncHTTP, upstream: Upstream) -> int:
        with pytest.raises(NoAnswer, match="HTTP does not allow") as caught:
            await ask(client, upstream, headers={"X-A": value})
        assert not caught.value.sent
        return len(upstream.seen)

    assert played(answer(b""), scenario) == 0


def test_a_form_is_sent_whole_with_its_length() -> None:
    seen = sent(
        body=file_form({"model": "m", "tags": ["a", "ü"]}, [("file", b"\x00" * 2_000_000, "a.mp3", "audio/mpeg")])
    )
    kind, _, boundary = seen.headers["content-type"].partition("; boundary=")
    parts = seen.body.split(f"--{boundary}".encode())
    assert (kind, seen.headers["content-length"]) == ("multipart/form-data", str(len(seen.body)))
    assert (len(parts), parts[-1]) == (6, b"--\r\n")
    assert b'name="file"; filename="a.mp3"' in parts[4]
    assert parts[4].endswith(b"\r\n\r\n" + b"\x00" * 2_000_000 + b"\r\n")
