"""The asynchronous counterpart of http.py: outgoing calls of the model relay, pooled, with the same address rules.

`AsyncHTTP.send` is for answers read whole, `AsyncHTTP.open` for those read as they come. Both raise `NoAnswer` or
`AddressRefused`; redirects are never followed, and nothing of the machine (proxy, .netrc, cookies) has a say.
A pool belongs to the event loop that first used it.
"""

import asyncio
import io
import socket
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from aiohttp.tracing import Trace

from .addresses import host_and_port, public_addresses
from .deadlines import Deadline
from .http import CONNECT_S, MAX_BYTES, HTTPAnswer, NoAnswer

# Idle connections are kept this long: a new TLS handshake to a provider costs a user's patience.
KEEP_S = 30.0
# How long the end of a finished stream may take to arrive, so that its connection can be used again.
SETTLE_S = 0.05
# aiohttp warns that larger bodies block the loop when given as bytes; a file is sent piece by piece.
_LARGE = 1024 * 1024

Body = bytes | aiohttp.FormData
_FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError, TimeoutError)


class NoAnswerInTime(NoAnswer):
    """We stopped waiting: the far side may be at work."""

    def __init__(self) -> None:
        super().__init__("No answer within the time limit.", sent=True)


class AnswerBroke(NoAnswer):
    """The connection ended over a request that was sent: before a status, or in an answer with one of success. What was
    asked for may be done. (One that had served before and ended before a status is none of these: it was closed for
    being idle.)"""


class HTTPStream:
    """An answer read as it comes: HTTP status and headers (whatever the case of their names) now, the body by `read`.

    Silence beyond `first_s`, and later `idle_s`, ends it, and so do bytes that never amount to anything: only
    `progress` starts the clock anew, the shorter one once the answer has `begun`. The time the reader takes for itself
    does not count. Must be closed.
    """

    def __init__(self, response: aiohttp.ClientResponse, first_s: float, idle_s: float) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._patience_s = first_s
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        # One timer that looks whether somebody waits too long: aiohttp's own is set anew with every packet, which
        # costs a quarter of a stream's CPU.
        self._waiting_since: float | None = None
        self._late = False
        self._alarm: asyncio.TimerHandle | None = None

    async def read(self) -> bytes:
        """What has arrived, at least a byte; empty at the end of the body. Raises NoAnswer."""
        if self._waiting_since is None:
            self._waiting_since = self._loop.time()
        content = self._response.content
        if self._alarm is None and not content.is_eof():
            self._alarm = self._loop.call_later(min(self._patience_s, self._idle_s), self._watch)
        try:
            return await content.readany()
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
            if self._response.content.at_eof():
                break
        return bytes(content)

    async def settle(self) -> None:
        """Close after everything of interest was read: the connection is kept if the body's end comes in a moment."""
        content = self._response.content
        if not content.is_eof():
            try:
                with Deadline(SETTLE_S):
                    await content.wait_eof()
            except _FAILURES:
                pass
        self.close()

    def close(self) -> None:
        """Hang up at once, unless the body was complete: then its connection is back in the pool already."""
        if self._alarm is not None:
            self._alarm.cancel()
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            # Closing politely would go on reading until a TLS peer agrees, and the provider on charging.
            connection.transport.abort()
        self._response.close()

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
        self._session: aiohttp.ClientSession | None = None

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
                response = await self._ask(method, url, body, headers)
        except TimeoutError as error:
            raise _explained(error) from None
        return HTTPStream(response, max(idle_s, until - loop.time()), idle_s)

    async def _ask(
        self, method: str, url: str, body: Body | None, headers: Mapping[str, str] | None
    ) -> aiohttp.ClientResponse:
        """Send once, without a time limit but that of connecting. Raises NoAnswer, AddressRefused."""
        if not self._trusted:
            host_and_port(url, https_only=False)
        data = io.BytesIO(body) if isinstance(body, bytes) and len(body) > _LARGE else body
        _served_before.set(False)
        try:
            return await self._open_session().request(method, url, data=data, headers=headers, allow_redirects=False)
        except _FAILURES as error:
            told = _explained(error)
            broke = isinstance(error, aiohttp.ClientConnectionError | OSError)
            if told.sent and broke and not _served_before.get() and not isinstance(told, NoAnswerInTime):
                raise AnswerBroke(told.reason, sent=True) from None
            raise told from None

    async def close(self) -> None:
        """Close every connection; calls under way fail. A later call opens the pool again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No limit on connections: how many calls may be under way is decided where they are admitted.
            connector = _Connector(
                limit=0,
                keepalive_timeout=KEEP_S,
                resolver=None if self._trusted else _PublicResolver(),
                socket_factory=None if self._trusted else _public_socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
                # Said, because aiohttp asks for whatever happens to be installed.
                headers={"User-Agent": "VoiceHelper", "Accept-Encoding": "gzip, deflate"},
            )
        return self._session


# Whether the connection of this task's request had served another one before.
_served_before: ContextVar[bool] = ContextVar("served_before", default=False)


class _Connector(aiohttp.TCPConnector):
    """Tells each request whether its connection is one that served before. (aiohttp's traces tell as well, for a tenth
    of what a request costs.)"""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._serving: WeakSet[object] = WeakSet()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        _served_before.set(protocol in self._serving)
        if protocol is not None:
            self._serving.add(protocol)
        return connection


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
