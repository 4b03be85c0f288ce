"""The events of one streamed answer: taken off the wire, read as JSON where they have to be, and told as chunks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from voicehelper.net.http import NoAnswer
from voicehelper.net.http_async import HTTPStream

from . import errors, json_text, sse
from .alike import Alike
from .base import Chunk, ProviderError, Recovery, StreamBroke

if TYPE_CHECKING:
    from .wire import ProviderWire


class Event(NamedTuple):
    """An event: its lines as they came (empty: nothing but its data), its data on one line, what it says, its name;
    `odd`: it is no strict JSON."""

    block: bytes
    data: bytes
    said: dict[str, Any]
    name: bytes = b""
    odd: bool = False


class Known(NamedTuple):
    """An event that was not read: it is like an earlier one but for its text."""

    block: bytes
    data: bytes
    text: str


class EventReader(Protocol):
    """What a stream's events amount to. `finished` once the answer is whole, `ended` once nothing else follows,
    `failure` once it was said in the middle of the answer that it failed: raised when what says so was passed on."""

    finished: bool
    ended: bool
    failure: ProviderError | None

    def read(self, event: Event, *, more: bool) -> Sequence[Chunk]:
        """The chunks of one event. Raises one of SHAPE_ERRORS when it has not the shape of one, and ProviderError."""

    def last(self) -> Sequence[Chunk]:
        """What is left to say when the stream was finished and did not say that it ends."""


class InHand:
    """A body of events that came whole, read like one that is coming."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def settle(self) -> None:
        """There is no connection to give back."""

    def progress(self, *, begun: bool = True) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """There is nothing to close."""


class EventStream:
    """The JSON events of one streamed answer. `begun` once output was passed on (`note`), `reported` when it was told
    before that what was used; the reader sets `finished` once the answer is whole: then it does not matter how the body
    ends. `whole` is an answer that came in one piece though events were asked for."""

    def __init__(self, wire: "ProviderWire", stream: HTTPStream | InHand, whole: Event | None = None) -> None:
        self.begun = False
        self.reported = False
        self.finished = False
        self.ended = False
        self.alike = Alike()
        self._hurried = False
        self._wire = wire
        self._stream = stream
        self._events = sse.Events()
        self._body_read = whole is not None
        self._in_one = whole is not None
        # Whether anything was said that is no error: somebody is at work.
        self._answering = False
        self._ready: list[Event | Known] = [] if whole is None else [whole]
        # What came while there was no event yet; None from the first one on.
        self._unread: bytearray | None = bytearray()

    async def read(self) -> list[Event | Known]:
        """The events that have arrived, at least one; none at the end of the body or after `[DONE]`. Lines that are
        no JSON objects are skipped and counted. Raises ProviderError, or StreamBroke once output has begun."""
        found, self._ready = self._ready, []
        if self.begun and not self._hurried:
            # From the first output on, silence has the shorter limit.
            self._hurried = True
            self._stream.progress()
        while not (found or self.ended or self._body_read):
            try:
                data = await self._stream.read()
                frames = self._events.feed(data) if data else self._events.end()
            except NoAnswer as error:
                if self.finished:
                    self._body_read = True
                    break
                raise self.failure(self._wire.unanswered(error)) from None
            except sse.EventTooLarge as error:
                raise self.failure(self._wire.unusable(str(error), given_up=True)) from None
            self._body_read = not data
            if self._events.broken:
                self._wire.broken_lines += self._events.broken
                self._events.broken = 0
            # Every line is a sign of life, comments too; but a model that says who it is may think for long yet.
            if frames or b"\n" in data:
                self._stream.progress(begun=self.begun)
            for frame in frames:
                self._take(frame, found)
            self._keep(data, found)
        if self.ended and not found:
            await self.settle()
        return found

    def _keep(self, data: bytes, found: list[Event | Known]) -> None:
        """Until the first event: there are gateways that promise events, and then say in plain JSON what is wrong, or
        all there is."""
        if self._unread is None:
            return
        if found or self.ended:
            self._unread = None
        elif data:
            self._unread += data
        else:
            said, text = _patiently(b"\n".join(line for line in self._unread.splitlines() if line[:1] != b":"))
            if type(said) is dict:
                self._in_one = True
                found.append(Event(b"", json_text.write(said) if b"\n" in text else text, said))

    def note(self, chunk: Chunk) -> None:
        """A chunk is passed on."""
        if chunk.output:
            self.begun = True
        elif chunk.usage is not None:
            self.reported = True

    async def settle(self) -> None:
        """Close after the end: the connection can be used again if the body's end comes in a moment."""
        await self._stream.settle()

    def failure(self, error: ProviderError) -> ProviderError:
        """The error as it must be raised: once output has begun nothing can be tried again, and nobody is asked again
        for what was counted already."""
        if not self.begun:
            error.given_up = error.given_up or self.reported
            return error
        return StreamBroke(
            error.text,
            recovery=error.recovery,
            status=error.status,
            code=error.code,
            retry_after_s=error.retry_after_s,
            cool_down=error.cool_down,
            given_up=error.given_up,
        )

    def amount(self, event: Event | Known, reader: EventReader, *, more: bool) -> Sequence[Chunk]:
        """What an event amounts to; nothing when it makes no sense. Raises the error it tells of."""
        if isinstance(event, Known):
            return (Chunk(event.data, True, None, False, event.text, more, event.block, self.alike.model),)
        said = event.said
        plain = said.get("choices") is not None and not event.name
        if (not plain or said.get("error")) and errors.is_error(said, event.name):
            raise self.failure(self._wire.said(said))
        try:
            chunks = reader.read(event, more=more)
        except ProviderError as error:
            raise self.failure(error) from None
        except errors.SHAPE_ERRORS:
            self._wire.broken_lines += 1
            return ()
        self._answering = True
        self.finished = reader.finished
        return chunks

    def broke(self) -> ProviderError:
        """The error when the body ended before the stream did."""
        if self._in_one:
            return self._wire.unusable("The provider answered with JSON where a stream of events was asked for.")
        told, begun = "The stream ended before its end.", self._answering
        return self.failure(ProviderError(told, recovery=Recovery.RETRY, status=200, given_up=begun))

    def close(self) -> None:
        """Hang up, unless all has been read."""
        self._stream.close()

    def _take(self, frame: sse.Frame, found: list[Event | Known]) -> None:
        if self.ended:
            return
        block, data, name = frame
        text = "" if name else self.alike.text_of(data)
        if text:
            found.append(Known(block, data, text))
        elif data.startswith(b"[DONE]"):
            self.ended = True
        else:
            self._parse(frame, found)

    def _parse(self, frame: sse.Frame, found: list[Event | Known]) -> None:
        block, data, name = frame
        try:
            said, text, odd = orjson.loads(data), data, False
        except orjson.JSONDecodeError:
            said, text = _patiently(data)
            odd = True
        if type(said) is dict:
            if b"\n" in text:
                # Several data lines in one event are one JSON text, but our readers write it on one line.
                text = json_text.write(said)
            elif text is not data:
                block = b"event: %b\ndata: %b\n\n" % (name, text) if name else b""
            found.append(Event(block, text, said, name, odd))
        elif b"\n" in data:
            # Events without an empty line between them: each line stands for itself.
            for line in data.split(b"\n"):
                self._take(sse.Frame(b"", line), found)
        elif name == b"error":
            # Whatever it says, in words of its own.
            found.append(Event(block, data, {"error": data.decode("utf-8", "replace")}, name))
        else:
            self._wire.broken_lines += 1


def _patiently(data: bytes) -> tuple[Any, bytes]:
    """What an event says that is no strict JSON, and its data as it is passed on; None when it says nothing."""
    try:
        return json_text.patiently(data)
    except ValueError:
        return None, data
