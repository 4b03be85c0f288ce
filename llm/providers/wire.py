"""One account's calls, over one pool: JSON and forms out, JSON and events in, every failure a ProviderError.

One try per call: whether and where to try again is decided by whoever sees all the accounts.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson

from voicehelper.net.addresses import AddressRefused
from voicehelper.net.http import HTTPAnswer, NoAnswer
from voicehelper.net.http_async import AnswerBroke, AsyncHTTP, Body, NoAnswerInTime

from . import contents, errors, json_text
from .alike import Alike
from .base import ADDRESS_REFUSED, PLAIN, Account, Chunk, ProviderError, Recovery, RequestOptions
from .events import Event, EventReader, EventStream, InHand
from .verdicts import Codes

# The largest answers read whole, in bytes: JSON, and what holds pictures or sound.
JSON_BYTES = 16 * 1024 * 1024
MEDIA_BYTES = 64 * 1024 * 1024
_ERROR_BYTES = 64 * 1024


class ProviderWire:
    """Connections of one account. `headers` carry its key; they go to its base URL and nowhere else."""

    def __init__(self, account: Account, base_url: str, headers: Mapping[str, str], codes: Codes) -> None:
        self.base_url = (account.base_url.strip() or base_url).rstrip("/")
        self.broken_lines = 0
        self._key = account.api_key.strip()
        self._timeout_s = account.timeout_s
        self._headers = dict(headers)
        self._json_headers = {**self._headers, "Content-Type": "application/json"}
        # A compressed stream would be held back until there is enough to compress.
        self._stream_headers = {**self._json_headers, "Accept": "text/event-stream", "Accept-Encoding": "identity"}
        self._form_stream_headers = {k: v for k, v in self._stream_headers.items() if k != "Content-Type"}
        self._codes = codes
        self._http = AsyncHTTP(trusted=account.trusted)

    async def post_json(
        self, path: str, body: Mapping[str, Any], max_bytes: int = JSON_BYTES, options: RequestOptions = PLAIN
    ) -> tuple[dict[str, Any], bytes]:
        """POST and read a JSON object; also as it came."""
        return self.object_in(await self._send("POST", path, _dumped(body), self._json_headers, max_bytes, options))

    async def get_json(self, path: str) -> dict[str, Any]:
        """GET and read a JSON object."""
        return self.object_in(await self._send("GET", path, None, self._headers, JSON_BYTES, PLAIN))[0]

    async def post(
        self,
        path: str,
        body: Body | Mapping[str, Any],
        max_bytes: int = MEDIA_BYTES,
        options: RequestOptions = PLAIN,
    ) -> HTTPAnswer:
        """POST JSON or a form, and read whatever comes."""
        if isinstance(body, Mapping):
            return await self._send("POST", path, _dumped(body), self._json_headers, max_bytes, options)
        return await self._send("POST", path, body, self._headers, max_bytes, options)

    async def chunks(
        self,
        path: str,
        body: Body | Mapping[str, Any],
        reader: EventReader,
        options: RequestOptions = PLAIN,
        alike: Alike | None = None,
    ) -> AsyncGenerator[Chunk, None]:
        """POST, and what the events of the answer amount to, as they come. `alike` is what the reader learns."""
        events = await self.stream(path, body, options)
        if alike is not None:
            events.alike = alike
        async for chunk in self._told(events, reader):
            yield chunk

    def chunks_of(self, answer: HTTPAnswer, reader: EventReader) -> AsyncGenerator[Chunk, None]:
        """The same of events that came where a whole answer was asked for."""
        return self._told(EventStream(self, InHand(answer.body)), reader)

    async def _told(self, events: EventStream, reader: EventReader) -> AsyncGenerator[Chunk, None]:
        try:
            while not reader.ended and (batch := await events.read()):
                newest = batch[-1]
                for event in batch:
                    for chunk in events.amount(event, reader, more=event is not newest):
                        events.note(chunk)
                        yield chunk
            if reader.failure is not None:
                raise events.failure(reader.failure)
            if not (reader.finished or ((reader.ended or events.ended) and events.begun)):
                raise events.broke()
            if reader.ended:
                await events.settle()
            else:
                for chunk in reader.last():
                    yield chunk
        finally:
            events.close()

    async def stream(self, path: str, body: Body | Mapping[str, Any], options: RequestOptions = PLAIN) -> EventStream:
        """POST and read events as they come; from who does not stream, all in one. Must be closed."""
        is_object = isinstance(body, Mapping)
        try:
            stream = await self._http.open(
                "POST",
                f"{self.base_url}{path}",
                body=_dumped(body) if isinstance(body, Mapping) else body,
                headers=self._with(self._stream_headers if is_object else self._form_stream_headers, options),
                first_s=options.first_byte_s or self._timeout_s,
                idle_s=self._timeout_s,
            )
        except (NoAnswer, AddressRefused) as error:
            raise self.unanswered(error) from None
        is_json = stream.headers.get("content-type", "").startswith("application/json")
        if stream.status == 200 and not is_json:
            return EventStream(self, stream)
        try:
            content = await stream.read_all(MEDIA_BYTES if stream.status == 200 else _ERROR_BYTES)
        except NoAnswer as error:
            # The status says more than the text that did not come.
            if stream.status == 200:
                raise self.unanswered(error) from None
            content = b""
        finally:
            stream.close()
        answer = HTTPAnswer(stream.status, stream.headers, content, 0)
        if stream.status == 200 and contents.is_events(content):
            return EventStream(self, InHand(content))
        said, text = self.object_in(answer)
        return EventStream(self, stream, Event(b"", json_text.write(said) if b"\n" in text else text, said))

    async def close(self) -> None:
        """Close the pool."""
        await self._http.close()

    def said(self, event: Any) -> ProviderError:
        """The error that JSON in a 200 answer tells of."""
        return self._without_key(errors.error_in(event, self._codes))

    def told(self, answer: HTTPAnswer) -> ProviderError | None:
        """The error that a 200 answer tells of, whatever it calls itself; None when it tells of none."""
        try:
            said, _content = json_text.read(answer.body)
        except ValueError:
            return None
        return self.said(said) if isinstance(said, dict) and errors.is_error(said) else None

    def unanswered(self, error: Exception) -> ProviderError:
        """The error when no complete answer came."""
        if isinstance(error, AddressRefused):
            told = ProviderError(str(error), recovery=Recovery.FAILOVER, code=ADDRESS_REFUSED)
        else:
            begun = isinstance(error, NoAnswerInTime | AnswerBroke)
            told = ProviderError(str(error), recovery=Recovery.RETRY, given_up=begun)
        return self._without_key(told)

    def unusable(self, text: str, *, given_up: bool = False) -> ProviderError:
        """The error when a 200 answer is not what the protocol promises."""
        return ProviderError(text, recovery=Recovery.FAILOVER, status=200, given_up=given_up)

    async def _send(
        self,
        method: str,
        path: str,
        body: Body | None,
        headers: Mapping[str, str],
        max_bytes: int,
        options: RequestOptions,
    ) -> HTTPAnswer:
        try:
            answer = await self._http.send(
                method,
                f"{self.base_url}{path}",
                body=body,
                headers=self._with(headers, options),
                first_s=options.first_byte_s or self._timeout_s,
                idle_s=self._timeout_s,
                max_bytes=max_bytes,
            )
        except (NoAnswer, AddressRefused) as error:
            raise self.unanswered(error) from None
        if not 200 <= answer.status < 300:
            raise self._without_key(errors.refusal(answer.status, answer.headers, answer.body, self._codes))
        return answer

    def _with(self, headers: Mapping[str, str], options: RequestOptions) -> Mapping[str, str]:
        """Ours, and the client's own, which win: it knows which version it speaks. None of them can be a key."""
        return {**headers, **options.headers} if options.headers else headers

    def object_in(self, answer: HTTPAnswer) -> tuple[dict[str, Any], bytes]:
        """The JSON object of an answer, and how it came; an error object is raised as what it says."""
        if not 200 <= answer.status < 300:
            raise self._without_key(errors.refusal(answer.status, answer.headers, answer.body, self._codes))
        try:
            said, content = json_text.read(answer.body)
        except ValueError:
            raise self.unusable("The provider's answer is not JSON.") from None
        if not isinstance(said, dict):
            raise self.unusable("The provider's answer is not a JSON object.")
        if errors.is_error(said):
            raise self.said(said)
        return said, content

    def _without_key(self, error: ProviderError) -> ProviderError:
        return errors.without(error, self._key)


def _dumped(body: Mapping[str, Any]) -> bytes:
    """The body as JSON; what cannot be written as such was no JSON when it came."""
    try:
        return orjson.dumps(body if isinstance(body, dict) else dict(body))
    except (TypeError, orjson.JSONEncodeError):
        raise ProviderError("The request cannot be written as JSON.", recovery=Recovery.FAIL) from None
