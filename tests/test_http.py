"""Outgoing calls: what is refused, what is limited, and what a failure says about the request."""

import gzip
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Issued, issue, server_context
from tests.conftest import sampled
from tests.far_side import FarSide, Seen, closed_port, http
from voicehelper.net.addresses import AddressRefused, check_written, public_addresses
from voicehelper.net.http import PUBLIC, TRUSTED, HTTPAnswer, Limits, NoAnswer

SMALL = Limits(max_bytes=1000)
QUICK = Limits(connect_s=0.3, read_s=0.3, total_s=0.6)
# How long a call under QUICK may really take on a machine that is busy with other tests.
SOON = 2.5


def failure(url: str, limits: Limits = SMALL, **options: Any) -> NoAnswer:
    with pytest.raises(NoAnswer) as caught:
        TRUSTED.send("POST", url, body=b"hello", limits=limits, **options)
    return caught.value


# --- What comes back --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Oops", "302 Found"])
def test_every_status_is_an_answer_and_no_redirect_is_followed(status: str) -> None:
    with FarSide() as other, FarSide() as far_side:
        far_side.answer = lambda _seen: http(b"body", status=status, headers=f"Location: {other.url}/\r\nX-A: 1\r\n")
        answer = TRUSTED.send("POST", f"{far_side.url}/path?a=1", body=b"hello", headers={"X-B": "2"})
    assert (answer.status, answer.body, answer.headers["x-a"]) == (int(status[:3]), b"body", "1")
    assert far_side.seen[0].line == "POST /path?a=1 HTTP/1.1"
    assert (far_side.seen[0].body, far_side.seen[0].headers["x-b"]) == (b"hello", "2")
    assert other.seen == []


def test_connections_are_kept_and_cookies_are_not() -> None:
    with FarSide(lambda _seen: http(b"", headers="Set-Cookie: a=b\r\n"), keep_open=True) as far_side:
        for _ in range(3):
            TRUSTED.send("GET", far_side.url)
    assert (far_side.connections, len(far_side.seen)) == (1, 3)
    assert all("cookie" not in seen.headers for seen in far_side.seen)


def test_a_connection_the_far_side_closed_is_not_used_again() -> None:
    with FarSide(lambda _seen: http(b"", headers="")) as far_side:
        for _ in range(3):
            assert TRUSTED.send("GET", far_side.url).status == 200
            time.sleep(0.05)
    assert far_side.connections == 3


def test_proxies_and_passwords_of_the_machine_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with FarSide() as far_side:
        assert TRUSTED.send("GET", far_side.url).status == 200
    assert "authorization" not in far_side.seen[0].headers


# --- Limits -----------------------------------------------------------------------------------------------------------
def test_silence_ends_at_the_read_limit() -> None:
    with FarSide(lambda _seen: [5.0]) as far_side:
        started = time.monotonic()
        error = failure(far_side.url, QUICK)
    assert error.sent
    assert "time limit" in error.reason
    assert time.monotonic() - started < SOON


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n"


@pytest.mark.parametrize(
    "before",
    sampled(
        [
            b"",
            b"HTTP/1.1 200 OK\r\nX-Slow: ",
            HEAD + b"\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1F4\r\n",
        ],
        keep=2,
    ),
    ids=["status", "headers", "body", "chunk"],
)
def test_a_byte_now_and_then_ends_at_the_total_limit(before: bytes) -> None:
    def drip(_seen: Seen) -> Iterator[bytes | float]:
        yield before
        for _ in range(40):
            yield 0.1
            yield b"1"

    with FarSide(drip) as far_side:
        started = time.monotonic()
        error = failure(far_side.url, QUICK)
    assert error.sent
    assert "time limit" in error.reason
    assert 0.5 < time.monotonic() - started < SOON


def test_a_slow_answer_within_the_limits_is_an_answer() -> None:
    with FarSide(lambda _seen: [0.1, HEAD + b"\r\n", 0.1, b"x" * 250, 0.1, b"x" * 250]) as far_side:
        assert TRUSTED.send("GET", far_side.url).body == b"x" * 500


@pytest.mark.parametrize("status", ["200 OK", "302 Found"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip bomb"])
def test_a_huge_body_is_refused(packed: bool, status: str) -> None:
    body = gzip.compress(b"x" * 50_000_000) if packed else b"x" * 1001
    headers = "Location: /\r\n" + ("Content-Encoding: gzip\r\n" if packed else "")
    with FarSide(lambda _seen: http(body, status=status, headers=headers)) as far_side:
        started = time.process_time()
        error = failure(far_side.url)
    assert error.sent
    assert "larger than 1000 bytes" in error.reason
    assert time.process_time() - started < 0.3


@pytest.mark.parametrize(
    "answer",
    [
        http(b"half", length=400),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"",
        b"HTTP/1.1 2",
    ],
    ids=["half body", "half chunks", "nothing", "half status"],
)
def test_half_an_answer_is_none(answer: bytes) -> None:
    with FarSide(lambda _seen: answer) as far_side:
        error = failure(far_side.url)
    assert (error.sent, error.reason) == (True, "The connection broke.")


def test_a_body_larger_than_the_connect_limit_would_allow_is_sent_whole() -> None:
    with FarSide() as far_side:
        body = b"x" * 30_000_000
        assert TRUSTED.send("POST", far_side.url, body=body, limits=Limits(connect_s=0.05)).status == 200
    assert len(far_side.seen[0].body) == len(body)


# --- What the far side cannot have seen -------------------------------------------------------------------------------
def test_a_refused_connection_was_not_sent() -> None:
    error = failure(f"http://127.0.0.1:{closed_port()}")
    assert (error.sent, error.reason) == (False, "The connection was refused.")


def test_an_unknown_name_was_not_sent() -> None:
    error = failure("http://no-such-host.invalid")
    assert (error.sent, error.reason) == (False, "The name of the far side cannot be resolved.")


def test_a_full_backlog_was_not_sent() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(sock.getsockname())
        started = time.monotonic()
        error = failure(f"http://127.0.0.1:{sock.getsockname()[1]}", QUICK)
        for client in waiting:
            client.close()
    assert (error.sent, error.reason) == (False, "Connecting took too long.")
    assert time.monotonic() - started < SOON


def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", closed_port()))
    with FarSide() as far_side:
        alive = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", far_side.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [dead, alive])
        assert TRUSTED.send("GET", "http://some.example").status == 200


@pytest.mark.parametrize("url", ["http://[::1", "http://a b/", "nothing", "ftp://127.0.0.1/", "http://"])
def test_a_malformed_address_was_not_sent(url: str) -> None:
    assert not failure(url).sent


@pytest.mark.parametrize("value", ["请输入密钥", "two\r\nlines"])
def test_a_header_that_cannot_be_sent_was_not(value: str) -> None:
    with FarSide() as far_side:
        assert not failure(far_side.url, headers={"Authorization": value}).sent
    assert far_side.seen == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/?secret=hush", "http://no-such-host.invalid/?secret=hush", "hush"])
def test_an_error_never_holds_the_address(url: str) -> None:
    error = failure(url)
    assert "hush" not in f"{error!r} {error.__cause__!r}"


# --- TLS --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def self_signed() -> Issued:
    return issue("127.0.0.1")


def test_E11_a_certificate_nobody_vouches_for_is_refused(self_signed: Issued) -> None:
    with FarSide(tls=server_context(self_signed)) as far_side:
        error = failure(far_side.url)
    assert (error.sent, error.reason) == (False, "The TLS certificate of the far side is not valid for its name.")
    assert far_side.seen == []


def test_tls_to_a_server_without_it_was_not_sent() -> None:
    with FarSide() as far_side:
        error = failure(f"https://127.0.0.1:{far_side.port}")
    assert (error.sent, error.reason) == (False, "The far side does not speak TLS as it should.")


def test_a_tls_connection_that_breaks_after_the_request_was_sent(
    self_signed: Issued, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not every TLS error means that nothing was sent."""
    (tmp_path / "server.pem").write_text(self_signed.pem)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "server.pem"))
    with FarSide(lambda _seen: http(b"half", length=400), tls=server_context(self_signed)) as far_side:
        error = failure(far_side.url)
    assert error.sent
    assert len(far_side.seen) == 1


# --- Addresses that operators type ------------------------------------------------------------------------------------
PRIVATE = [
    "127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0.0.0.0", "0", "10.1.2.3", "172.16.0.1",
    "192.168.1.1", "169.254.169.254", "100.100.100.200", "192.0.0.192", "224.0.0.1", "255.255.255.255", "[::1]",
    "[::]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]",
    "[fe80::1]", "[fd00::1]", "[ff02::1]", "localhost", "localhost.",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_an_address_that_leads_inside_is_refused(host: str) -> None:
    with FarSide() as far_side:
        with pytest.raises(AddressRefused):
            check_written(f"https://{host}:{far_side.port}/")
        for url in (f"http://{host}:{far_side.port}/", f"https://{host}:{far_side.port}/"):
            # NoAnswer: a resolver that does not know the notation at all.
            with pytest.raises((AddressRefused, NoAnswer)):
                PUBLIC.send("GET", url, limits=QUICK)
    assert far_side.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://user@8.8.8.8/", "https://user:password@8.8.8.8/", "https://8.8.8.8:99999/",
        "https://8.8.8.8:0/", "https://[::1", "https://", "//8.8.8.8/", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_an_address_that_is_not_a_plain_one_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_written(url)


@pytest.mark.parametrize("url", ["https://8.8.8.8/", "https://1.1.1.1:8443/x?y", "https://[2606:4700:4700::1111]/"])
def test_a_public_address_is_accepted(url: str) -> None:
    assert check_written(url) == url


def resolving_to(*hosts: str, port: int = 443) -> Any:
    answers = iter(hosts)

    def getaddrinfo(*_args: Any, **_kwargs: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    return getaddrinfo


def test_one_private_address_among_public_ones_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 443)) for host in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        public_addresses("two.example", 443)


def test_a_name_that_changes_after_the_check_is_refused_when_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    with FarSide() as far_side:
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to("8.8.8.8", "127.0.0.1", port=far_side.port))
        assert public_addresses("rebind.example", far_side.port)
        with pytest.raises(AddressRefused):
            PUBLIC.send("GET", f"http://rebind.example:{far_side.port}/", limits=QUICK)
    assert far_side.connections == 0


def test_the_address_connected_to_is_the_one_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is looked up once for a connection; what it says a moment later is never asked."""
    connected: list[Any] = []

    def connect(_self: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("8.8.8.8", "127.0.0.1"))
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(NoAnswer):
        PUBLIC.send("GET", "https://rebind.example/", limits=QUICK)
    assert connected == [("8.8.8.8", 443)]


def test_a_trusted_address_may_be_loopback() -> None:
    with FarSide() as far_side:
        assert isinstance(TRUSTED.send("GET", far_side.url), HTTPAnswer)
