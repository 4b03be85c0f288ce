"""One request to `/v1` and its answer, in ASGI's messages: in one piece, or as events."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

from voicehelper.accounts.keys import Owner
from voicehelper.api.errors import ErrorAnswer
from voicehelper.net.addresses import address_of

from ..dialects import chat_completions
from ..relay.call import Caller, new_request_id
from .errors import anthropic, openai, too_large, too_slow

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON_BYTES = 4 * 1024 * 1024
BODY_SECONDS = 10.0

_EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class ClientLeft(OSError):
    """Nobody is there to answer."""


class V1Request:
    """One request and its answer."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        self.address = address_of((scope.get("client") or ("",))[0], forwarded.decode("latin-1"))
        self.receive = receive
        self._send = send
        self.request_id = ""
        self.begun = False
        self._held: list[bytes] = []
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
        return Caller(owner.user_id, owner.group, owner.username, owner.budget_id, owner.models)

    async def read(self, limit: int, seconds: float) -> bytes:
        """The whole body. Raises CallRefused when it is too large or too slow, ClientLeft when it never ends."""
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise too_large()
        try:
            async with asyncio.timeout(seconds):
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
        return chat_completions.read_object(await self.read(JSON_BYTES, BODY_SECONDS))

    async def answer(
        self, body: bytes, content_type: bytes = b"application/json", status: int = 200, *more: tuple[bytes, bytes]
    ) -> None:
        headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            (self._request_id_header, self.request_id.encode()),
            *more,
        ]
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: ErrorAnswer) -> None:
        self.request_id = self.request_id or new_request_id()
        body = anthropic(error, self.request_id) if self.anthropic else openai(error)
        more = [(name.lower().encode(), value.encode()) for name, value in error.all_headers.items()]
        await self.answer(orjson.dumps(body), b"application/json", error.status, *more)

    async def _begin_events(self) -> None:
        self.begun = True
        headers = [*_EVENTS, (self._request_id_header, self.request_id.encode())]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def event(self, data: bytes, *, more: bool = False) -> None:
        """Pass on the bytes of one or more events; with `more`, together with the next ones."""
        if not self.begun:
            await self._begin_events()
        if more or self._held:
            self._held.append(data)
            if more:
                return
            data = self._taken()
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end_events(self, data: bytes = b"") -> None:
        if not self.begun:
            await self._begin_events()
        self._held.append(data)
        await self._send({"type": "http.response.body", "body": self._taken()})

    def _taken(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        return data
