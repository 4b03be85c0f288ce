"""A model provider in this process: OpenAI's protocol over real HTTP, answering as a test scripts it."""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Body = dict[str, Any]
Script = Callable[["Asked"], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request as it came, and how far its answer got."""

    path: str
    body: Body
    request: web.Request = field(repr=False)
    chunks_sent: int = 0
    hung_up: bool = False


@dataclass
class Upstream:
    """`scripts` are used up one per request; then `otherwise` answers."""

    scripts: list[Script] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    otherwise: Script | None = None

    def __post_init__(self) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.SockSite(self._runner, self.socket).start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._runner.cleanup()
        self.socket.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.content_type == "application/json" else await _form(request)
        asked = Asked(request.path, body, request)
        self.asked.append(asked)
        script = self.scripts.pop(0) if self.scripts else self.otherwise or chat()
        return await script(asked)


@contextmanager
def in_a_thread(upstream: Upstream) -> Iterator[Upstream]:
    """The upstream on a loop of its own, for servers in other processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result(10)
    try:
        yield upstream
    finally:
        asyncio.run_coroutine_threadsafe(upstream.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _form(request: web.Request) -> Body:
    """A form's fields, those that come several times as lists; files as their bytes."""
    found: Body = {}
    for name, value in (await request.post()).items():
        read = value.file.read() if isinstance(value, web.FileField) else value
        found[name] = [*_list(found[name]), read] if name in found else read
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def completion(model: str, text: str, usage: Body | None) -> Body:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "x", "object": "chat.completion", "created": 1, "model": model, "choices": choices} | (
        {"usage": usage} if usage else {}
    )


def tokens(used: tuple[int, int] | None) -> Body | None:
    if used is None:
        return None
    return {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}


def chat(used: tuple[int, int] | None = (10, 20), text: str = "Hello there", after_s: float = 0) -> Script:
    """An answer with that usage, streamed when that is what was asked for."""

    async def answer(asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(after_s)
        if asked.body.get("stream"):
            first, *rest = text.split(" ")
            return await stream([first, *(f" {word}" for word in rest)], used, space="")(asked)
        return web.json_response(completion(asked.body["model"], text, tokens(used)))

    return answer


def says(body: Any, status: int = 200, **headers: str) -> Script:
    """Any JSON."""

    async def answer(asked: Asked) -> web.StreamResponse:
        return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


def fails(status: int, text: str = "went wrong", **headers: str) -> Script:
    return says({"error": {"message": text, "type": "x", "code": None}}, status, **headers)


def never() -> Script:
    """Nothing, until the other side gives up."""

    async def answer(asked: Asked) -> web.StreamResponse:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        asked.hung_up = True
        return web.Response()

    return answer


def stream(
    words: list[str],
    used: tuple[int, int] | None = (10, 20),
    *,
    pause_s: float = 0.0,
    first_after_s: float = 0.0,
    breaks_after: int | None = None,
    error_after: int | None = None,
    cumulative: bool = False,
    space: str = " ",
    then_waits: bool = False,
) -> Script:
    """A chunk per word, then the usage. It breaks off, or says that it failed, after so many words; or it waits then
    until the other side hangs up."""

    async def answer(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked.request)
        try:
            await asyncio.sleep(first_after_s)
            await send_chunk(response, asked, {"role": "assistant", "content": ""}, None)
            for number, word in enumerate(words):
                if number == breaks_after:
                    asked.request.transport.abort()
                    return response
                if number == error_after:
                    await response.write(b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n')
                    return response
                usage = tokens((used[0], number + 1)) if cumulative and used else None
                await send_chunk(response, asked, {"content": f"{word}{space}"}, usage)
                await asyncio.sleep(pause_s)
            if then_waits:
                await asyncio.sleep(60)
            await send_chunk(response, asked, {}, None, finish="stop")
            if used is not None:
                await send_chunk(response, asked, None, tokens(used))
            await response.write(b"data: [DONE]\n\n")
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            asked.hung_up = True
        return response

    return answer


async def send_chunk(
    response: web.StreamResponse, asked: Asked, delta: Body | None, usage: Body | None, finish: str | None = None
) -> None:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": asked.body["model"],
        "choices": choices,
    }
    if usage:
        chunk["usage"] = usage
    await response.write(b"data: %b\n\n" % json.dumps(chunk, separators=(",", ":")).encode())
    asked.chunks_sent += 1


def sends(*blocks: bytes, pause_s: float = 0.0, end: bool = True, kind: str = "text/event-stream") -> Script:
    """Those bytes, each in a packet of its own."""

    async def answer(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(asked.request)
        for block in blocks:
            await asyncio.sleep(pause_s)
            await response.write(block)
        if end:
            await response.write_eof()
        else:
            asked.request.transport.abort()  # type: ignore[union-attr]
        return response

    return answer


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %b\n\n" % json.dumps({"id": "x", "model": "doubao-pro", "choices": [choice], **more}).encode()


USED = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
DONE = chunk({}, "stop", usage=USED) + b"data: [DONE]\n\n"
