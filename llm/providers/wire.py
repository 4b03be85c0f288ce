"""One account's calls, over one pool: JSON and forms out, JSON and events in, every failure a ProviderError.

One try per call: whether and where to try again is decided by whoever sees all the accounts.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from voicehelper.net.addresses import AddressRefused
from voicehelper.net.http import HTTPAnswer, NoAnswer
from voicehelper.net.http_async import AsyncHTTP, Body, HTTPStream

from . import errors, sse
from .base import ADDRESS_REFUSED, Account, ProviderError, Recovery, StreamBroke

# The largest answers read whole, in bytes: JSON, and what holds pictures or sound.
JSON_BYTES = 16 * 1024 * 1024
MEDIA_BYTES = 64 * 1024 * 1024
_ERROR_BYTES = 64 * 1024

# An event's data as it came, and what it says.
Event = tuple[bytes, dict[str, Any]]


class ProviderWire:
    """Connections of one account. `headers` carry its key; they go to its base URL and nowhere else."""

    def __init__(self, account: Account, base_url: str, headers: Mapping[str, str], codes: errors.Codes) -> None:
        self.base_url = (account.base_url.strip() or base_url).rstrip("/")
        self.broken_lines = 0
        self._key = account.api_key.strip()
        self._timeout_s = account.timeout_s
        self._headers = dict(headers)
        self._json_headers = {**self._headers, "Content-Type": "application/json"}
        # A compressed stream would be held back until there is enough to compress.
        self._stream_headers = {**self._json_headers, "Accept": "text/event-stream", "Accept-Encoding": "identity"}
        self._codes = codes
        self._http = AsyncHTTP(trusted=account.trusted)

    async def post_json(self, path: str, body: Mapping[str, Any], max_bytes: int = JSON_BYTES) -> dict[str, Any]:
        """POST and read a JSON object."""
        return self._object(await self._send("POST", path, _dumped(body), self._json_headers, max_bytes))

    async def get_json(self, path: str) -> dict[str, Any]:
        """GET and read a JSON object."""
        return self._object(await self._send("GET", path, None, self._headers, JSON_BYTES))

    async def post(self, path: str, body: Body | Mapping[str, Any], max_bytes: int = MEDIA_BYTES) -> HTTPAnswer:
        """POST JSON or a form, and read whatever comes."""
        if isinstance(body, Mapping):
            return await self._send("POST", path, _dumped(body), self._json_headers, max_bytes)
        return await self._send("POST", path, body, self._headers, max_bytes)

    async def stream(self, path: str, body: Mapping[str, Any]) -> "EventStream":
        """POST and read events as they come. Must be closed."""
        url = f"{self.base_url}{path}"
        try:
            stream = await self._http.open(
                "POST", url, body=_dumped(body), headers=self._stream_headers, idle_s=self._timeout_s
            )
        except (NoAnswer, AddressRefused) as error:
            raise self.unanswered(error) from None
        is_json = stream.headers.get("content-type", "").startswith("application/json")
        if stream.status == 200 and not is_json:
            return EventStream(self, stream)
        try:
            content = await stream.read_all(_ERROR_BYTES)
        except NoAnswer as error:
            # The status says more than the text that did not come.
            if stream.status == 200:
                raise self.unanswered(error) from None
            content = b""
        finally:
            stream.close()
        answer = HTTPAnswer(stream.status, stream.headers, content, 0)
        self._object(answer)
        raise self.unusable("The provider answered with JSON where a stream of events was asked for.")

    async def close(self) -> None:
        """Close the pool."""
        await self._http.close()

    def said(self, event: Any) -> ProviderError:
        """The error that JSON in a 200 answer tells of."""
        return self._without_key(errors.error_in(event, self._codes))

    def told(self, answer: HTTPAnswer) -> ProviderError | None:
        """The error that a 200 answer tells of, whatever it calls itself; None when it tells of none."""
        try:
            said = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            return None
        return self.said(said) if isinstance(said, dict) and said.get("error") else None

    def unanswered(self, error: Exception) -> ProviderError:
        """The error when no complete answer came."""
        recovery, code = (
            (Recovery.FAILOVER, ADDRESS_REFUSED) if isinstance(error, AddressRefused) else (Recovery.RETRY, "")
        )
        return self._without_key(ProviderError(str(error), recovery=recovery, code=code))

    def unusable(self, text: str) -> ProviderError:
        """The error when a 200 answer is not what the protocol promises."""
        return ProviderError(text, recovery=Recovery.FAILOVER, status=200)

    async def _send(
        self, method: str, path: str, body: Body | None, headers: Mapping[str, str], max_bytes: int
    ) -> HTTPAnswer:
        url = f"{self.base_url}{path}"
        try:
            answer = await self._http.send(
                method, url, body=body, headers=headers, total_s=self._timeout_s, max_bytes=max_bytes
            )
        except (NoAnswer, AddressRefused) as error:
            raise self.unanswered(error) from None
        if not 200 <= answer.status < 300:
            raise self._without_key(errors.refusal(answer.status, answer.headers, answer.body, self._codes))
        return answer

    def _object(self, answer: HTTPAnswer) -> dict[str, Any]:
        """The JSON object of an answer; an error object is raised as what it says."""
        if not 200 <= answer.status < 300:
            raise self._without_key(errors.refusal(answer.status, answer.headers, answer.body, self._codes))
        try:
            said = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            raise self.unusable("The provider's answer is not JSON.") from None
        if not isinstance(said, dict):
            raise self.unusable("The provider's answer is not a JSON object.")
        if said.get("error"):
            raise self.said(said)
        return said

    def _without_key(self, error: ProviderError) -> ProviderError:
        return errors.without(error, self._key)


class EventStream:
    """The JSON events of one streamed answer. The reader sets `begun` once it has passed output on, and `finished` once
    the answer is whole: then it does not matter how the body ends."""

    def __init__(self, wire: ProviderWire, stream: HTTPStream) -> None:
        self.begun = False
        self.finished = False
        self.ended = False
        self._wire = wire
        self._stream = stream
        self._events = sse.Events()
        self._body_read = False

    async def read(self) -> list[Event]:
        """The events that have arrived, at least one; none at the end of the body or after `[DONE]`. Lines that are
        no JSON objects are skipped and counted. Raises ProviderError, or StreamBroke once output has begun."""
        found: list[Event] = []
        while not (found or self.ended or self._body_read):
            try:
                data = await self._stream.read()
                payloads = self._events.feed(data) if data else self._events.end()
            except NoAnswer as error:
                if self.finished:
                    self._body_read = True
                    break
                raise self.failure(self._wire.unanswered(error)) from None
            except sse.EventTooLarge as error:
                raise self.failure(self._wire.unusable(str(error))) from None
            self._body_read = not data
            if self._events.broken:
                self._wire.broken_lines += self._events.broken
                self._events.broken = 0
            # Every line is a sign of life, comments too.
            if payloads or b"\n" in data:
                self._stream.progress()
            for payload in payloads:
                self._parse(payload, found)
        if self.ended and not found:
            await self.settle()
        return found

    async def settle(self) -> None:
        """Close after the end: the connection can be used again if the body's end comes in a moment."""
        await self._stream.settle()

    def failure(self, error: ProviderError) -> ProviderError:
        """The error as it must be raised: once output has begun nothing can be tried again."""
        if not self.begun:
            return error
        return StreamBroke(
            error.text,
            recovery=error.recovery,
            status=error.status,
            code=error.code,
            retry_after_s=error.retry_after_s,
            cool_down=error.cool_down,
        )

    def said(self, event: Any) -> ProviderError:
        """The error that an event tells of."""
        return self.failure(self._wire.said(event))

    def broke(self) -> ProviderError:
        """The error when the body ended before the stream did."""
        return self.failure(ProviderError("The stream ended before its end.", recovery=Recovery.RETRY, status=200))

    def skip(self) -> None:
        """Count an event that makes no sense."""
        self._wire.broken_lines += 1

    def close(self) -> None:
        """Hang up, unless all has been read."""
        self._stream.close()

    def _parse(self, payload: bytes, found: list[Event]) -> None:
        if self.ended:
            return
        if payload.startswith(b"[DONE]"):
            self.ended = True
            return
        try:
            event = orjson.loads(payload)
        except orjson.JSONDecodeError:
            event = None
        if type(event) is dict:
            # Several data lines in one event are one JSON text, but our readers write it on one line.
            found.append((payload if b"\n" not in payload else orjson.dumps(event), event))
        elif b"\n" in payload:
            # Events without an empty line between them: each line stands for itself.
            for line in payload.split(b"\n"):
                self._parse(line, found)
        else:
            self._wire.broken_lines += 1


def _dumped(body: Mapping[str, Any]) -> bytes:
    """The body as JSON; what cannot be written as such was no JSON when it came."""
    try:
        return orjson.dumps(body if isinstance(body, dict) else dict(body))
    except (TypeError, orjson.JSONEncodeError):
        raise ProviderError("The request cannot be written as JSON.", recovery=Recovery.FAIL) from None
