"""HTTP as the stand-ins need it: one request read whole, one answer sent whole or piece by piece."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import orjson

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Cut(Exception):
    """The connection ends here, without an end to the answer."""


class WebPage(Exception):
    """Something in front of the provider answers instead of it."""


class Refused(Exception):
    """The answer is no, in the provider's own shape."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


@dataclass(frozen=True)
class Asked:
    """One request. `path` is what follows the provider's base URL; `origin` is how the caller reaches us."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    origin: str
    request_id: str = field(default_factory=lambda: f"req_{secrets.token_hex(12)}")

    @property
    def bearer(self) -> str:
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True)
class Answer:
    """A complete answer. `half` sends the first half only and cuts the connection."""

    content: bytes = field(repr=False)
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    half: bool = False


@dataclass(frozen=True)
class Events:
    """A streamed answer: server-sent events, each in bytes. The source raises Cut to break off."""

    source: AsyncIterator[bytes] = field(repr=False)


def json_answer(body: Mapping[str, Any], *, half: bool = False) -> Answer:
    return Answer(orjson.dumps(body), half=half)


async def read(scope: Mapping[str, Any], receive: Receive, limit: int) -> bytes | None:
    """The whole body; None when it is larger than `limit` bytes or the caller has left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def send_whole(send: Send, answer: Answer, request_id: str) -> None:
    headers = {
        "content-type": answer.content_type,
        "content-length": str(len(answer.content)),
        "x-request-id": request_id,
        "request-id": request_id,
        **answer.headers,
    }
    await send(_start(answer.status, headers))
    if answer.half:
        await send(
            {"type": "http.response.body", "body": answer.content[: len(answer.content) // 2], "more_body": True}
        )
        # Returning now makes the server close the connection: the rest never comes.
        return
    await send({"type": "http.response.body", "body": answer.content})


async def send_events(receive: Receive, send: Send, events: Events, request_id: str) -> None:
    """Send events as they come, until the source ends or the caller leaves."""
    headers = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-request-id": request_id,
        "request-id": request_id,
    }
    await send(_start(200, headers))
    left = asyncio.ensure_future(receive())
    try:
        async for event in events.source:
            if left.done():
                return
            await send({"type": "http.response.body", "body": event, "more_body": True})
    except Cut:
        return
    finally:
        left.cancel()
    await send({"type": "http.response.body", "body": b""})


def _start(status: int, headers: Mapping[str, str]) -> Message:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": raw}
