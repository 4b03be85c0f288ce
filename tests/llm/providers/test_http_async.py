"""Outgoing calls of the relay: limits, and where they never go (fault I11)."""

import asyncio
import gzip
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import voicehelper.net.addresses
from tests.certificates import Issued, server_context
from voicehelper.net.addresses import AddressRefused
from voicehelper.net.http import NoAnswer
from voicehelper.net.http_async import AsyncHTTP, NoAnswerInTime

from .upstream import STREAM_HEAD, Script, Upstream, answer, events, piece

ADDRESSES = [
    "127.0.0.1", "127.1", "0.0.0.0", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "10.0.0.1", "172.16.0.1",
    "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.192", "224.0.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "[fe80::1]", "[fc00::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost",
]  # fmt: skip


async def send(url: str, *, trusted: bool = True, **options: Any) -> Any:
    client = AsyncHTTP(trusted=trusted)
    try:
        return await client.send("POST", url, body=b"hello", **{"first_s": 2.0, "idle_s": 2.0, **options})
    finally:
        await client.close()


def sent(script: Script, **options: Any) -> Any:
    async def play() -> Any:
        async with Upstream(lambda _seen: script) as upstream:
            return await send(upstream.url, **options)

    return asyncio.run(play())


# --- Where calls go ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "url", ["http://u@example.com/", "http://u:p@127.0.0.1/", "ftp://example.com/", "http://", "x"]
)
def test_I11_an_address_that_is_not_plain_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        asyncio.run(send(url, trusted=False))


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Answers every look-up of rebound.example with the next of `answers`, and the last one ever after."""
    real, asked_for = socket.getaddrinfo, []

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebound.example":
            return real(host, port, *args, **kwargs)
        asked_for.append(host)
        found = answers[min(len(asked_for), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked_for


def test_I11_one_private_address_among_several_refuses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    with pytest.raises(AddressRefused, match="not a public address"):
        asyncio.run(send("http://rebound.example:9/", trusted=False))


def test_I11_a_name_is_looked_up_once_and_called_where_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = names(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    called: list[Any] = []

    async def connect(_loop: Any, _sock: Any, address: Any) -> None:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    # On any other loop (uvloop) this would call a public address for real.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert type(runner.get_loop()).sock_connect is connect, "connections are not intercepted"
        assert voicehelper.net.addresses.socket.getaddrinfo is socket.getaddrinfo, "names are not intercepted"
        with pytest.raises(NoAnswer):
            runner.run(send("http://rebound.example:9/", trusted=False))
    assert (looked_up, called) == (["rebound.example"], [("93.184.216.34", 9)])


def test_I11_a_resolver_that_is_lied_to_leads_no_connection_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket itself is refused, whatever the look-up said."""
    monkeypatch.setattr("voicehelper.net.http_async._PublicResolver", aiohttp.ThreadedResolver)

    async def play() -> int:
        async with Upstream(lambda _seen: answer({})) as upstream:
            with pytest.raises(AddressRefused):
                await send(upstream.url.replace("127.0.0.1", "localhost"), trusted=False)
            return upstream.connections

    assert asyncio.run(play()) == 0


def test_proxies_passwords_and_cookies_of_the_machine_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    for name, value in {"NETRC": str(tmp_path / "netrc"), "HTTP_PROXY": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower(), value)

    async def play() -> Upstream:
        async with Upstream(lambda _seen: answer({}, headers="Set-Cookie: a=b; Path=/\r\n")) as upstream:
            client = AsyncHTTP(trusted=True)
            for _ in range(2):
                await client.send("GET", upstream.url.replace("127.0.0.1", "localhost"), first_s=2.0, idle_s=2.0)
            await client.close()
            return upstream

    upstream = asyncio.run(play())
    assert (len(upstream.seen), upstream.connections) == (2, 1)
    assert all(not {"authorization", "cookie"} & set(seen.headers) for seen in upstream.seen)


def test_no_redirect_is_followed() -> None:
    got = sent(answer(b"body", "302 Found", "Location: http://localhost:1/\r\nX-A: 1\r\n"))
    assert (got.status, got.body, got.headers["x-a"]) == (302, b"body", "1")


# --- Limits -----------------------------------------------------------------------------------------------------------
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [[5.0], [HEAD, 5.0], [HEAD, b"x", 5.0], [b"HTTP/1.1 200 OK\r\n", *([b"X: 1\r\n", 0.05] * 100)]],
    ids=["silence", "no body", "half a body", "slow head"],
)
def test_a_call_ends_when_nothing_comes_in_time(script: Script) -> None:
    with pytest.raises(NoAnswerInTime, match="time limit") as caught:
        sent(script, first_s=0.3, idle_s=0.3)
    assert caught.value.sent


def test_Q_M8_an_answer_may_come_slowly_and_its_first_byte_late() -> None:
    slow = [HEAD, 0.4, *([b"x" * 50, 0.1] * 10)]
    assert len(sent(slow, first_s=2.0, idle_s=0.3).body) == 500


@pytest.mark.parametrize("zipped", [True, False])
def test_a_large_answer_is_refused(zipped: bool) -> None:
    body = b"x" * 5_000_000
    script = answer(gzip.compress(body), headers="Content-Encoding: gzip\r\n") if zipped else answer(body)
    with pytest.raises(NoAnswer, match="larger than"):
        sent(script, max_bytes=100_000)
    assert sent(script, max_bytes=6_000_000).body == body


def test_a_half_answer_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="broke") as caught:
        sent([HEAD + b"x", None])
    assert caught.value.sent


def test_connecting_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(_loop: Any, _sock: Any, _address: Any) -> None:
        await asyncio.sleep(10)

    monkeypatch.setattr("voicehelper.net.http_async.CONNECT_S", 0.2)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    with pytest.raises(NoAnswer, match="Connecting took too long") as caught:
        asyncio.run(send("http://127.0.0.1:9/"))
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/", "refused"),
        ("http://no-such-name.invalid/", "resolved"),
        ("gopher://127.0.0.1/", "HTTP does not allow"),
        ("http://", "HTTP does not allow"),
    ],
)
def test_what_cannot_be_called_was_not_sent(url: str, reason: str) -> None:
    with pytest.raises(NoAnswer, match=reason) as caught:
        asyncio.run(send(url))
    assert not caught.value.sent


# --- TLS --------------------------------------------------------------------------------------------------------------
def test_E11_a_certificate_nobody_vouches_for_is_refused(self_signed: Issued) -> None:
    async def play() -> int:
        async with Upstream(lambda _seen: answer({}), tls=server_context(self_signed)) as upstream:
            with pytest.raises(NoAnswer, match="certificate") as caught:
                await send(upstream.url)
            assert not caught.value.sent
            with pytest.raises(NoAnswer, match="broke"):
                await send(upstream.url.replace("https", "http"))
            return len(upstream.seen)

    assert asyncio.run(play()) == 0


def test_hanging_up_over_tls_waits_for_nobody(self_signed: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    """A polite end of TLS would wait for the far side, which goes on talking."""
    trusting = ssl.create_default_context(cadata=self_signed.pem)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    script = [STREAM_HEAD, *([piece(events({}, end=False)), 0.02] * 500)]

    async def play() -> None:
        async with Upstream(lambda _seen: script, tls=server_context(self_signed)) as upstream:
            client = AsyncHTTP(trusted=True)
            stream = await client.open("POST", upstream.url, first_s=1.0, idle_s=1.0)
            assert await stream.read()
            stream.close()
            await asyncio.wait_for(upstream.hung_up.wait(), 1)
            await client.close()

    asyncio.run(play())


# --- Pools ------------------------------------------------------------------------------------------------------------
def test_a_closed_pool_is_opened_again_by_the_next_call() -> None:
    script = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", events(), None]

    async def play() -> int:
        async with Upstream(lambda _seen: script) as upstream:
            client = AsyncHTTP(trusted=True)
            for _ in range(2):
                stream = await client.open("GET", upstream.url, first_s=1.0, idle_s=1.0)
                assert await stream.read_all(1000) == events()
                stream.close()
                await client.close()
            return upstream.connections

    assert asyncio.run(play()) == 2
