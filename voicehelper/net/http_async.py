"""The asynchronous counterpart of http.py: outgoing calls of the model relay, pooled, with the same address rules.

`AsyncHTTP.send` is for answers read whole, `AsyncHTTP.open` for those read as they come. Both raise `NoAnswer` or
`AddressRefused`; redirects are never followed, and nothing of the machine (proxy, .netrc, cookies) has a say.
A pool belongs to the event loop that first used it.
"""

import asyncio
import io
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from .addresses import host_and_port, public_addresses
from .deadlines import Deadline
from .http import CONNECT_S, MAX_BYTES, HTTPAnswer, NoAnswer
from .http_wire import Broken, Garbled, Wire, WireAnswer

# Idle connections are kept this long: a new TLS handshake to a provider costs a user's patience.
KEEP_S = 30.0
# How long the end of a finished stream may take to arrive, so that its connection can be used again.
SETTLE_S = 0.05
# Said unless the caller says otherwise.
_HEADERS = {"User-Agent": "VoiceHelper", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
# Addresses of which is remembered how they are called.
_MOST_KNOWN = 100

Body = bytes | aiohttp.FormData
_FAILURES = (aiohttp.ClientError, Garbled, OSError, ValueError, RuntimeError, TimeoutError)


class NoAnswerInTime(NoAnswer):
    """We stopped waiting: the far side may be at work."""

    def __init__(self) -> None:
        super().__init__("No answer within the time limit.", sent=True)


class AnswerBroke(NoAnswer):
    """The connection ended over a request that was sent: before a status, or in an answer with one of success. What was
    asked for may be done. (One that had served before and ended before a status is none of these: it was closed for
    being idle.)"""


class HTTPStream:
    """An answer read as it comes: HTTP status and headers (lower-case names) now, the body by `read`.

    Silence beyond `first_s`, and later `idle_s`, ends it, and so do bytes that never amount to anything: only
    `progress` starts the clock anew, the shorter one once the answer has `begun`. The time the reader takes for itself
    does not count. Must be closed.
    """

    def __init__(self, answer: WireAnswer, first_s: float, idle_s: float) -> None:
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self._answer = answer
        self._patience_s = first_s
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        # One timer that looks whether somebody waits too long: setting one anew with every packet would cost a quarter
        # of a stream's CPU.
        self._waiting_since: float | None = None
        self._late = False
        self._alarm: asyncio.TimerHandle | None = None

    async def read(self) -> bytes:
        """What has arrived, at least a byte; empty at the end of the body. Raises NoAnswer."""
        if self._waiting_since is None:
            self._waiting_since = self._loop.time()
        if self._alarm is None and not self._answer.complete:
            self._alarm = self._loop.call_later(min(self._patience_s, self._idle_s), self._watch)
        try:
            return await self._answer.read()
        except _FAILURES as error:
            if self._late:
                raise NoAnswerInTime from None
            told = _explained(error)
            if 200 <= self.status < 300:
                raise AnswerBroke(told.reason, sent=True) from None
            raise told from None

    def progress(self, *, begun: bool = True) -> None:
        """What was read made sense: the clock starts anew with the next `read`."""
        self._waiting_since = None
        if begun:
            self._patience_s = self._idle_s

    async def read_all(self, max_bytes: int) -> bytes:
        """The rest of the body, NoAnswer when it is larger."""
        content = bytearray()
        while data := await self.read():
            self.progress()
            content += data
            if len(content) > max_bytes:
                raise NoAnswer(f"The answer is larger than {max_bytes} bytes.", sent=True)
            if self._answer.at_end:
                break
        return bytes(content)

    async def settle(self) -> None:
        """Close after everything of interest was read: the connection is kept if the body's end comes in a moment."""
        if not self._answer.complete:
            try:
                with Deadline(SETTLE_S):
                    await self._answer.ended()
            except _FAILURES:
                pass
        self.close()

    def close(self) -> None:
        """Hang up at once, unless the body was complete: then its connection is back in the pool already."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._answer.close()

    def _watch(self) -> None:
        waited = self._loop.time() - self._waiting_since if self._waiting_since is not None else 0.0
        if waited >= self._patience_s:
            self._late = True
            self.close()
        else:
            self._alarm = self._loop.call_later(min(self._patience_s - waited, self._idle_s), self._watch)


class AsyncHTTP:
    """A pooled client. `trusted=True` is for addresses from the environment, loopback included; operators' are not."""

    def __init__(self, *, trusted: bool) -> None:
        self._trusted = trusted
        self._pool: aiohttp.TCPConnector | None = None
        self._places: dict[str, _Place] = {}
        self._connecting = aiohttp.ClientTimeout(total=None, connect=CONNECT_S)

    async def send(
        self,
        method: str,
        url: str,
        *,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        first_s: float,
        idle_s: float,
        max_bytes: int = MAX_BYTES,
    ) -> HTTPAnswer:
        """Send once and return the complete answer: its first byte within `first_s` seconds, and no pause longer than
        `idle_s`."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        stream = await self.open(method, url, body=body, headers=headers, first_s=first_s, idle_s=idle_s)
        try:
            content = await stream.read_all(max_bytes)
        except NoAnswer as error:
            if 200 <= stream.status < 300 and not isinstance(error, NoAnswerInTime):
                raise AnswerBroke(str(error), sent=True) from None
            raise
        finally:
            stream.close()
        return HTTPAnswer(stream.status, stream.headers, content, round((loop.time() - started) * 1000))

    async def open(
        self,
        method: str,
        url: str,
        *,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        first_s: float,
        idle_s: float,
    ) -> HTTPStream:
        """Send once and return when the answer begins. What makes sense has to come within `first_s` seconds from now,
        and then never be `idle_s` late."""
        loop = asyncio.get_running_loop()
        until = loop.time() + first_s
        try:
            with Deadline(first_s):
                answer = await self._ask(method, url, body, headers or {})
        except TimeoutError as error:
            raise _explained(error) from None
        return HTTPStream(answer, max(idle_s, until - loop.time()), idle_s)

    async def _ask(self, method: str, url: str, body: Body | None, headers: Mapping[str, str]) -> WireAnswer:
        """Send once, without a time limit but that of connecting. Raises NoAnswer, AddressRefused."""
        if not self._trusted:
            host_and_port(url, https_only=False)
        answer: WireAnswer | None = None
        try:
            if isinstance(body, aiohttp.FormData):
                form = body()
                headers = {**headers, **form.headers}
                body = await form.as_bytes()
            place = self._place(url)
            head = place.head(method, headers, body)
            answer = await self._connected(place)
            answer.ask(head, body or b"")
            await answer.begun()
        except _FAILURES as error:
            told = _explained(error)
            if isinstance(error, Broken) and answer is not None and not answer.served:
                raise AnswerBroke(told.reason, sent=True) from None
            raise told from None
        finally:
            if answer is not None and not answer.status:
                answer.close()
        return answer

    async def _connected(self, place: "_Place") -> WireAnswer:
        """A connection from the pool, or a new one, for one request and its answer."""
        try:
            return WireAnswer(await self._open_pool().connect(place.request, [], self._connecting))
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error

    async def close(self) -> None:
        """Close every connection; calls under way fail. A later call opens the pool again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def _open_pool(self) -> aiohttp.TCPConnector:
        if self._pool is None:
            # No limit on connections: how many calls may be under way is decided where they are admitted.
            self._pool = _Pool(
                limit=0,
                keepalive_timeout=KEEP_S,
                resolver=None if self._trusted else _PublicResolver(),
                socket_factory=None if self._trusted else _public_socket,
            )
        return self._pool

    def _place(self, url: str) -> "_Place":
        found = self._places.get(url)
        if found is None:
            if len(self._places) >= _MOST_KNOWN:
                self._places.clear()
            found = self._places[url] = _Place(url)
        return found


class _Pool(aiohttp.TCPConnector):
    """aiohttp's, whose connections speak as we do."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = Wire  # type: ignore[assignment]  # as aiohttp has it


class _Place:
    """A URL as it is called: what the pool asks of a `request`, and what is written in its first lines. Raises
    ValueError when nothing can be asked there."""

    def __init__(self, url: str) -> None:
        parts = URL(url)
        if parts.scheme not in ("http", "https") or not parts.raw_host:
            raise ValueError(url)
        self.request = aiohttp.ClientRequest("GET", parts.with_user(None), loop=asyncio.get_running_loop())
        self._target = parts.raw_path_qs
        # As they were written last time, for the same headers; a session of requests has the same ones.
        self._heads: dict[tuple[Any, ...], bytes] = {}

    def head(self, method: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """The first lines of a request. Raises ValueError when one of them would be two."""
        key = (method, *headers.items())
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _MOST_KNOWN:
                self._heads.clear()
            head = self._heads[key] = self._written(method, headers)
        return head + (b"\r\n" if body is None else b"Content-Length: %d\r\n\r\n" % len(body))

    def _written(self, method: str, headers: Mapping[str, str]) -> bytes:
        default = {"Host": self.request.headers["Host"], **_HEADERS}
        said = {name.lower(): f"{name}: {value}" for values in (default, headers) for name, value in values.items()}
        lines = [f"{method} {self._target} HTTP/1.1", *said.values(), ""]
        text = "\r\n".join(lines)
        if text.count("\n") + text.count("\r") != 2 * len(lines) - 2 or "\0" in text:
            raise ValueError
        return text.encode()


def file_form(fields: Mapping[str, str | Sequence[str]], files: Sequence[tuple[str, bytes, str, str]]) -> Body:
    """A multipart form; a list is a field that comes several times, a file is its field, content, name and type. Raises
    ValueError when a name holds a line break."""
    form = aiohttp.FormData()
    for field, value in fields.items():
        for each in [value] if isinstance(value, str) else value:
            form.add_field(field, each)
    for field, content, filename, content_type in files:
        form.add_field(field, io.BytesIO(content), filename=filename, content_type=content_type)
    return form


class _PublicResolver(AbstractResolver):
    """Looks a name up once and hands out what was checked; the connection goes there and nowhere else."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.to_thread(public_addresses, host, port)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, address in found
            if family in (socket.AF_UNSPEC, kind)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _public_socket(address: tuple[Any, ...]) -> socket.socket:
    """The last gate before a connection: addresses written as numbers never see a resolver."""
    family, kind, protocol, _name, (host, port, *_rest) = address
    public_addresses(str(host), port)
    return socket.socket(family, kind, protocol)


def _explained(error: Exception) -> NoAnswer:
    """One of aiohttp's many exceptions in plain words, without the URL and without headers."""
    sent = False
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        reason = "Connecting took too long."
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = "The TLS certificate of the far side is not valid for its name."
    elif isinstance(error, aiohttp.ClientConnectorSSLError):
        reason = "The far side does not speak TLS as it should."
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        reason = "The name of the far side cannot be resolved."
    elif isinstance(error, aiohttp.ClientConnectorError):
        reason = "The connection was refused."
    elif isinstance(error, TimeoutError):
        return NoAnswerInTime()
    elif isinstance(error, ValueError | aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        reason = "The address or a header holds what HTTP does not allow."
    else:
        reason, sent = "The connection broke.", True
    return NoAnswer(reason, sent=sent)
