"""HTTP/1.1 as uvicorn speaks it, with limits on what it takes before anybody looks at a request, and on how long an
answer lies there for a client that does not read it: uvicorn waits for ever. Used with
`uvicorn --http voicehelper.protocol:Bounded`.

Bodies have limits where they are read (asgi.py, llm/api/v1_request.py); here is only seen to it that they end.
"""

import asyncio
import fcntl
import sys
import termios
from contextlib import suppress
from http import HTTPStatus

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from voicehelper import leaving

# Of the first line and the headers; and of whatever else is no body: trailers, the extensions of chunks.
HEADER_BYTES = 64 * 1024
# Read at once: by so much a limit can be missed.
_PIECE_BYTES = 16 * 1024


class Bounded(HttpToolsProtocol):
    """One connection. Answers 431 to headers over HEADER_BYTES and 408 to those that take over
    settings.HEADER_SECONDS; hangs up on a body that goes on for as long after its answer, and on who takes nothing of
    an answer for settings.UNREAD_SECONDS. What lies ready meanwhile is no more than the transport's high-water mark and
    one piece of the answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._awaits_headers = True
        # Bytes since the last that was understood: the end of headers, or a piece of a body.
        self._loose = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_reader_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More lies ready than the client takes."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        self._stop_reader_timer()
        super().resume_writing()

    def _watch_reader(self) -> None:
        self._unread = self._lies_ready()
        if self.transport.get_write_buffer_size() and self._reader_timer is None:
            self._reader_timer = self.loop.call_later(settings.UNREAD_SECONDS, self._look_at_reader)

    def _lies_ready(self) -> int:
        """Bytes that the client has not taken: ours, and what the kernel keeps for it, which takes more only when
        a third of its buffer is free, and that may be a megabyte."""
        kept = bytearray(4)
        with suppress(OSError):
            fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, kept)
        return self.transport.get_write_buffer_size() + int.from_bytes(kept, sys.byteorder)

    def _look_at_reader(self) -> None:
        self._reader_timer = None
        if not self.transport.get_write_buffer_size() or self._lies_ready() < self._unread:
            # Slowly, but it reads.
            self._watch_reader()
        else:
            # Closing politely would wait until the rest is read.
            self.transport.abort()

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE_BYTES):
            piece = data[start : start + _PIECE_BYTES]
            self._loose += len(piece)
            super().data_received(piece)
            if self._loose > HEADER_BYTES:
                self._hang_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            if self.transport.is_closing():
                return
        if self._awaits_headers and self._loose:
            self._set_timer()

    def on_headers_complete(self) -> None:
        self._awaits_headers = False
        self._loose = 0
        self._stop_timer()
        super().on_headers_complete()
        if leaving.begun():
            # Its next request is another server's.
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The port is closed. On a connection that it took a moment ago the first request is still on its way."""
        if self.cycle is not None:
            super().shutdown()

    def on_body(self, body: bytes) -> None:
        self._loose = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._awaits_headers = True
        self._loose = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_reader()
        if not self._awaits_headers:
            self._set_timer()

    def _set_timer(self) -> None:
        """Unless it runs already: who dribbles gains nothing by it."""
        if self._timer is None:
            self._timer = self.loop.call_later(settings.HEADER_SECONDS, self._time_is_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        if self._answering:
            # What follows the request that is being answered may wait for the end of that.
            self._set_timer()
        else:
            self._hang_up(HTTPStatus.REQUEST_TIMEOUT)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _hang_up(self, status: HTTPStatus) -> None:
        """Say why, if the client began a request and hears no other answer."""
        if self.transport.is_closing():
            return
        if self._awaits_headers and self._loose and not self._answering:
            text = status.phrase.encode()
            lines = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
            self.transport.write(STATUS_LINE[status] + lines + text)
        self.transport.close()
