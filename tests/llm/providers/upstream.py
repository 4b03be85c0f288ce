"""A provider of our own making: a raw server on a free port of loopback that says byte for byte what it is told."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from llm.providers import open_provider
from llm.providers.base import Account, Chunk, Provider, ProviderError

KEY = "sk-a-very-secret-key"

# Bytes to send, or seconds to wait before the next ones. None hangs up.
Script = Iterable[bytes | float | None]


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Upstream:
    """Answers every request with a script; `hung_up` is set when a client leaves before the script is over."""

    answer: Callable[[Seen], Script]
    tls: ssl.SSLContext | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_connections += 1
        try:
            while seen := await _request(reader):
                self.seen.append(seen)
                if not await self._play(self.answer(seen), reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_connections -= 1
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await writer.wait_closed()

    async def _play(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        gone = asyncio.create_task(reader.read(1))
        try:
            for step in script:
                if step is None:
                    return False
                if isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                await asyncio.wait([gone], timeout=step if not isinstance(step, bytes) else 0)
                if gone.done():
                    self.hung_up.set()
                    return False
            return True
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> Seen | None:
    line = (await reader.readline()).decode().strip()
    if not line:
        return None
    headers = {}
    while header := (await reader.readline()).decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(line, headers, body)


def answer(
    body: bytes | dict[str, Any] | list[Any], status: str = "200 OK", headers: str = "", kind: str = "application/json"
) -> Script:
    """A complete answer on a connection that stays open."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    return [head.encode() + content]


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


def piece(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def events(*said: Any, end: bool = True) -> bytes:
    """Server-sent events of OpenAI's kind."""
    lines = [b"data: " + (one if isinstance(one, bytes) else json.dumps(one).encode()) for one in said]
    return b"".join(line + b"\n\n" for line in [*lines, *([b"data: [DONE]"] if end else [])])


def claude_events(*said: dict[str, Any]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in said)


def stream(*parts: bytes | float | None, end: bool = True) -> Script:
    """A streamed answer, each part in a packet of its own."""
    steps = [piece(part) if isinstance(part, bytes) else part for part in parts]
    return [STREAM_HEAD, *steps, *([STREAM_END] if end else [])]


def account(provider: str, url: str, **more: Any) -> Account:
    path = {"ark": "/api/v3", "openai": "/v1", "claude": ""}[provider]
    options: dict[str, Any] = {"timeout_s": 5.0, "trusted": True, **more}
    return Account(provider, f"{url}{path}", KEY, **options)


def talk(
    provider: str,
    script: Script | Callable[[Seen], Script],
    scenario: Callable[[Provider, Upstream], Awaitable[Any]],
    **more: Any,
) -> tuple[Any, Upstream]:
    """What a scenario with a provider comes to, and the upstream it talked with."""

    async def play() -> tuple[Any, Upstream]:
        async with Upstream(script if callable(script) else lambda _seen: script) as upstream:
            speaker = open_provider(account(provider, upstream.url, **more))
            try:
                return await scenario(speaker, upstream), upstream
            finally:
                await speaker.close()

    return asyncio.run(asyncio.wait_for(play(), 30))


async def collect(provider: Provider, body: dict[str, Any]) -> list[Chunk]:
    return [chunk async for chunk in provider.stream(body)]


def collected(provider: str, script: Script, body: dict[str, Any], **more: Any) -> tuple[list[Chunk], Upstream]:
    """The chunks of one stream."""
    return talk(provider, script, lambda speaker, _upstream: collect(speaker, body), **more)


def failed(provider: str, script: Script, **more: Any) -> tuple[ProviderError, list[Chunk]]:
    """How a stream ends that fails, and what came before."""
    chunks: list[Chunk] = []

    async def scenario(speaker: Provider, _upstream: Upstream) -> None:
        async for one in speaker.stream(asked()):
            chunks.append(one)

    with pytest.raises(ProviderError) as caught:
        talk(provider, script, scenario, **more)
    return caught.value, chunks


def asked(messages: str | list[Any] = "Hi", **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return {"model": "m", "messages": turns, **more}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def usage(read: Any, written: Any) -> dict[str, Any]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": 0}


def completion(message: dict[str, Any] | None = None, finish: str = "stop", **more: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "Hello", **(message or {})}
    choices = [{"index": 0, "message": said, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, **more}
