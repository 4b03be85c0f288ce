"""One request to `/v1` and its answer, in ASGI's messages: in one piece, or as events."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

from voicehelper.accounts.keys import Owner
from voicehelper.api.errors import ErrorAnswer
from voicehelper.net.addresses import address_of
from voicehelper.net.deadlines import Deadline
from voicehelper.wallet.services import KeyRoom

from ..dialects import chat_completions
from ..dialects.errors import OVERLOADED, anthropic, openai
from ..relay.call import Caller, new_request_id
from .errors import too_large, too_slow
from .rate_headers import NAMES, headers_of, written
from .v1_body import UNDERSTOOD, unpacked

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Pictures come as base64 inside of JSON: Anthropic takes so much as well.
JSON_BYTES = 32 * 1024 * 1024
BODY_SECONDS = 10.0
# A large body may take its time, at this pace at the least.
LEAST_BYTES_PER_SECOND = 256 * 1024
# Proxies give up connections on which nothing comes.
KEEP_ALIVE_S = 10.0

# Any page may call with a key of its own. No cookie counts here, and browsers are not asked to send any.
CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", f"x-request-id, request-id, retry-after, x-left-out, {NAMES}".encode()),
)
_EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class ClientLeft(OSError):
    """Nobody is there to answer."""


class V1Request:
    """One request and its answer."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send, path: str) -> None:
        self.path = path
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        forwarded = b""
        if b"x-forwarded-for" in self.headers:
            forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        self.address = address_of((scope.get("client") or ("",))[0], forwarded.decode("latin-1"))
        self.receive = receive
        self._send = send
        self.request_id = ""
        self.begun = False
        self.query: bytes = scope.get("query_string", b"")
        self._held: list[bytes] = []
        self._sent_at = 0.0
        self._pulse: asyncio.TimerHandle | asyncio.Future[None] | None = None
        # More headers of the answer, and what it says of the key's limits.
        self.more: list[tuple[bytes, bytes]] = []
        self._rates: list[tuple[bytes, bytes]] = []
        # How events end that cannot go on: said by whoever begins them.
        self.broken: Callable[[ErrorAnswer], bytes] = lambda answer: chat_completions.broken(answer, self.request_id)
        self.owner: Owner

    @property
    def anthropic(self) -> bool:
        """Whether the client is one of theirs."""
        return self.path.startswith("/v1/messages") or b"anthropic-version" in self.headers

    @property
    def _request_id_header(self) -> bytes:
        return b"request-id" if self.anthropic else b"x-request-id"

    @property
    def caller(self) -> Caller:
        owner = self.owner
        return Caller(owner.user_id, owner.group, owner.budget_id, owner.models, self._admitted, owner.minor)

    def _admitted(self, room: KeyRoom) -> None:
        self._rates = headers_of(room, anthropic=self.anthropic)

    def headers_of(self, wanted: Callable[[str], bool]) -> dict[str, str]:
        """Those of the client's headers that are wanted."""
        named = ((name.decode("latin-1"), value) for name, value in self.headers.items())
        return {name: value.decode("latin-1") for name, value in named if wanted(name)}

    async def read(self, limit: int, seconds: float) -> bytes:
        """The whole body. Raises CallRefused when it is too large or too slow, ClientLeft when it never ends."""
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise too_large()
        try:
            with Deadline(seconds):
                message = await self.receive()
                body: bytes = message.get("body", b"")
                if not message.get("more_body"):
                    if message["type"] == "http.disconnect":
                        raise ClientLeft
                    if len(body) > limit:
                        raise too_large()
                    return body
                return await self._read_on(bytearray(body), limit)
        except TimeoutError:
            raise too_slow() from None

    async def _read_on(self, body: bytearray, limit: int) -> bytes:
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            body += message.get("body", b"")
            if len(body) > limit:
                raise too_large()
            if not message.get("more_body"):
                return bytes(body)

    async def read_object(self) -> dict[str, Any]:
        """The body, which is a JSON object. Raises what `read` does, and CallRefused."""
        announced = self.headers.get(b"content-length", b"")
        length = int(announced) if announced.isdigit() and len(announced) < 12 else JSON_BYTES
        content = await self.read(JSON_BYTES, BODY_SECONDS + length / LEAST_BYTES_PER_SECOND)
        if encoding := self.headers.get(b"content-encoding"):
            content = unpacked(content, encoding, JSON_BYTES)
        return chat_completions.read_object(content)

    async def answer(
        self, body: bytes, content_type: bytes = b"application/json", status: int = 200, *more: tuple[bytes, bytes]
    ) -> None:
        headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            (self._request_id_header, self.request_id.encode()),
            *CORS,
            *self.more,
            *self._rates,
            *more,
        ]
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def refuse(self, error: ErrorAnswer) -> None:
        self.request_id = self.request_id or new_request_id()
        body = anthropic(error, self.request_id) if self.anthropic else openai(error)
        status = OVERLOADED if self.anthropic and error.code == "upstream_overloaded" else error.status
        more = written(error.all_headers, anthropic=self.anthropic)
        if status == 415:
            more.append((b"accept-encoding", UNDERSTOOD.encode()))
        await self.answer(orjson.dumps(body), b"application/json", status, *more)

    async def preflight(self) -> None:
        """A browser asks what a page of another site may send."""
        asked = self.headers.get(b"access-control-request-headers", b"authorization, content-type, x-api-key")
        headers = [
            *CORS,
            (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
            (b"access-control-allow-headers", asked),
            (b"access-control-max-age", b"86400"),
            (b"vary", b"access-control-request-headers"),
        ]
        if self.headers.get(b"access-control-request-private-network") == b"true":
            headers.append((b"access-control-allow-private-network", b"true"))
        await self._send({"type": "http.response.start", "status": 204, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def _begin_events(self) -> None:
        self.begun = True
        headers = [*_EVENTS, *CORS, *self.more, *self._rates, (self._request_id_header, self.request_id.encode())]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def event(self, data: bytes, *, more: bool = False) -> Awaitable[None]:
        """Pass on the bytes of one or more events; with `more`, together with the next ones."""
        if more or self._held or not self.begun or not data:
            return self._event(data, more=more)
        self._sent_at = time.monotonic()
        return self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _event(self, data: bytes, *, more: bool) -> None:
        if not self.begun:
            await self._begin_events()
        if more or self._held:
            self._held.append(data)
            if more:
                return
            data = self._taken()
        if data:
            self._sent_at = time.monotonic()
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def keep_alive(self) -> None:
        """A comment whenever nothing was sent for a while, until `leave_alone`; also before the first event: an error
        is an event from then on. A timer and no task: most streams never need one."""
        self._sent_at = time.monotonic()
        self._pulse = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._look)

    def leave_alone(self) -> None:
        """No more comments."""
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None

    def _look(self) -> None:
        waited = time.monotonic() - self._sent_at
        if waited < KEEP_ALIVE_S:
            self._look_in(KEEP_ALIVE_S - waited)
        elif self._held:
            self._look_in(0.05)
        else:
            self._pulse = asyncio.ensure_future(self._comment())

    def _look_in(self, seconds: float) -> None:
        self._pulse = asyncio.get_running_loop().call_later(seconds, self._look)

    async def _comment(self) -> None:
        try:
            await self.event(b": keep-alive\n\n")
        except OSError:
            # Nobody is there: whoever sends what is said next is told.
            return
        self._look_in(KEEP_ALIVE_S)

    async def end_events(self, data: bytes = b"") -> None:
        if not self.begun:
            await self._begin_events()
        self._held.append(data)
        await self._send({"type": "http.response.body", "body": self._taken()})

    def _taken(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        return data
