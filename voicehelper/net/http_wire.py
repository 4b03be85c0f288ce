"""HTTP/1.1 as a client speaks it on one connection: a request goes out, its answer is read as it comes.

aiohttp opens the connections, keeps them and gives them out (http_async.py); here is only what is said on one. The
parser is llhttp, strict as Node has it. Its own request and response cost aiohttp three times as much.
"""

import asyncio
import zlib
from typing import Any, Protocol, cast

import httptools

# Of the status line and the headers, and of whatever else is no body: trailers, the extensions of chunks.
HEADER_BYTES = 64 * 1024
# So much of a body lies ready before the far side has to wait; so much of a compressed one is unpacked at once.
_READY_BYTES = 256 * 1024
# A body up to this size leaves together with its headers.
_SMALL_BYTES = 64 * 1024


class Broken(OSError):
    """The connection ended before the answer did."""


class Garbled(Exception):
    """What came is no answer of HTTP."""


class Lent(Protocol):
    """A connection of the pool's, to be given back: `release`, or `close` when it is of no more use."""

    @property
    def protocol(self) -> Any: ...

    def release(self) -> None: ...

    def close(self) -> None: ...


class WireAnswer:
    """One answer: `status` and `headers` (lower-case names) from when it has `begun`, the body by `read`. `served`: its
    connection had served another request before. Its connection goes back by itself when all has come."""

    def __init__(self, connection: Lent) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        wire: Wire = connection.protocol
        self.served = wire.served
        self._wire: Wire | None = wire
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._inflater: _Inflater | None = None
        self._error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None

    def ask(self, head: bytes, body: bytes) -> None:
        """Send the request. Raises Broken when the connection ended meanwhile."""
        if self._wire is None or self._wire.transport is None:
            raise Broken
        self._wire.begin(self)
        transport = self._wire.transport
        if len(body) <= _SMALL_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)

    async def begun(self) -> None:
        """Until status and headers have come. Raises Broken, Garbled."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._more()

    async def read(self) -> bytes:
        """What has come of the body, at least a byte; empty at its end. Raises Broken, Garbled."""
        while True:
            found = self._taken()
            if self._inflater is not None:
                found = self._inflater.unpack(found)
            if found:
                return found
            if self._error is not None:
                raise self._error
            if self.complete:
                if self._inflater is not None and not self._inflater.whole:
                    raise Broken
                return b""
            await self._more()

    @property
    def at_end(self) -> bool:
        """Whether all has been read, and is whole."""
        packed = self._inflater
        return self.complete and not self._parts and (packed is None or (packed.empty and packed.whole))

    async def ended(self) -> None:
        """Until all has come, whatever it is. Raises Broken, Garbled."""
        while not self.complete:
            if self._error is not None:
                raise self._error
            self._taken()
            await self._more()

    def close(self) -> None:
        """Hang up at once, unless all has come."""
        if self._wire is not None:
            self._wire.abort()
        self.fail(Broken())

    # --- What the connection tells ---------------------------------------------------------------------------------
    def head(self, status: int) -> None:
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._inflater = _Inflater(encoding)
        self.status = status

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > _READY_BYTES and self._wire is not None:
            self._wire.pause()

    def end(self) -> None:
        """All has come."""
        if self._error is None:
            self.complete = True
            if self._size > _READY_BYTES and self._wire is not None:
                self._wire.go_on()
            self._wire = None
            self._connection.release()

    def fail(self, error: Exception) -> None:
        """Nothing more comes."""
        if not self.complete and self._error is None:
            self._error = error
            self._wire = None
            self._connection.close()
        self.wake()

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _more(self) -> "asyncio.Future[None]":
        """Until something comes."""
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def _taken(self) -> bytes:
        parts = self._parts
        if not parts:
            return b""
        found = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if self._size > _READY_BYTES and self._wire is not None:
            self._wire.go_on()
        self._size = 0
        return found


class Wire(asyncio.Protocol):
    """One connection of aiohttp's pool, in the place of its own protocol."""

    # Nobody waits for the end of a connection.
    closed: asyncio.Future[None] | None = None

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.served = False
        self.should_close = False
        self._answer: WireAnswer | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        # Bytes since the last that was understood: the end of headers, or a piece of a body.
        self._loose = 0
        self._ends = self._sized = False

    # --- What the pool asks ----------------------------------------------------------------------------------------
    def is_connected(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def close(self) -> None:
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.close()

    def abort(self) -> None:
        """Closing politely would go on reading until a TLS peer agrees, and the provider on charging."""
        self.should_close = True
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()

    # --- What its answer asks --------------------------------------------------------------------------------------
    def begin(self, answer: WireAnswer) -> None:
        self._answer, self._loose = answer, 0
        # Also a request that is not answered: who is asked next must not take that answer for his.
        self.should_close = True

    def pause(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def go_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # --- What the loop tells ---------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        answer, self._answer = self._answer, None
        self.transport = self._parser = None
        self.should_close = True
        if answer is None:
            return
        if answer.status and error is None and not self._sized:
            # Only the connection's end says where such a body ends.
            answer.end()
            answer.wake()
        else:
            answer.fail(Broken())

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            # Nobody asked.
            self.abort()
            return
        self._loose += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._ends:
                self._garbled(answer)
                return
            self.should_close = True
        if self._ends:
            self._ends = False
            self._answer, self.served = None, True
            answer.end()
        elif self._loose > HEADER_BYTES:
            self._garbled(answer)
            return
        answer.wake()

    def _garbled(self, answer: WireAnswer) -> None:
        self._answer = None
        self.abort()
        answer.fail(Garbled())

    # --- What the parser tells -------------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        if self._ends:
            # An answer behind the answer: nobody asked for it.
            self.should_close = True
        self._sized = False

    def on_header(self, name: bytes, value: bytes) -> None:
        answer = self._answer
        if answer is None or answer.status:
            # A trailer.
            return
        key = name.decode("latin-1").lower()
        if key == "content-length" or (key == "transfer-encoding" and b"chunked" in value.lower()):
            self._sized = True
        answer.headers.setdefault(key, value.decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        answer, status = self._answer, self._parser.get_status_code()
        if answer is None or answer.status:
            return
        if 100 <= status < 200:
            # The answer is still to come.
            answer.headers.clear()
            return
        if self._parser.get_http_version() not in ("1.1", "1.0"):
            # It makes an error of the parser.
            raise Garbled
        self._loose = 0
        self.should_close = not self._parser.should_keep_alive()
        answer.head(status)

    def on_body(self, body: bytes) -> None:
        self._loose = 0
        if self._answer is not None and not self._ends:
            self._answer.add(body)

    def on_message_complete(self) -> None:
        if self._answer is not None and self._answer.status:
            self._ends = True


class _Inflater:
    """Unpacks a compressed body piece by piece, so that a small one cannot become a large one at once."""

    def __init__(self, encoding: str) -> None:
        self._bits = 0 if encoding == "deflate" else 16 + zlib.MAX_WBITS
        self._zlib: Any = None
        self._rest = b""
        # Whether there was more than a piece of it.
        self._full = False

    @property
    def empty(self) -> bool:
        """Whether all that came is unpacked."""
        return not (self._rest or self._full)

    @property
    def whole(self) -> bool:
        return self._zlib is None or self._zlib.eof

    def unpack(self, data: bytes) -> bytes:
        """The next piece; empty: more has to come. Raises Garbled."""
        self._rest += data
        while self._rest or self._full:
            if self._zlib is None or self._zlib.eof:
                self._zlib = zlib.decompressobj(self._bits or _bits_of(self._rest))
            try:
                found: bytes = self._zlib.decompress(self._rest, _READY_BYTES)
            except zlib.error:
                raise Garbled from None
            self._rest = self._zlib.unused_data or self._zlib.unconsumed_tail
            self._full = len(found) == _READY_BYTES and not self._zlib.eof
            if found:
                return found
        return b""


def _bits_of(data: bytes) -> int:
    """Some send what "deflate" sounds like and not what is written in the standard: no head, no checksum."""
    return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS
