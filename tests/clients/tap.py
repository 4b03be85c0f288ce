"""Stands between a client and the server and keeps what the client sent: to compare it with what the provider got."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, web


@dataclass(frozen=True)
class Sent:
    """One request of a client."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Tap:
    """`address` is where clients reach the server through it."""

    target: str
    sent: list[Sent] = field(default_factory=list)
    address: str = ""

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._session = ClientSession(auto_decompress=False)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = "http://{}:{}".format(*self._runner.addresses[0])

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        if request.method == "POST":
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.sent.append(Sent(request.path, headers, await request.json()))
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        url = f"{self.target}{request.path_qs}"
        async with self._session.request(request.method, url, data=content, headers=headers) as there:
            kept = ("content-type", "content-encoding", "request-id", "x-request-id", "retry-after")
            passed = {name: value for name, value in there.headers.items() if name.lower() in kept}
            response = web.StreamResponse(status=there.status, headers=passed)
            await response.prepare(request)
            async for piece in there.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response


@contextmanager
def tapped(target: str) -> Iterator[Tap]:
    """On a loop of its own."""
    tap, loop = Tap(target), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(tap.start(), loop).result(10)
    try:
        yield tap
    finally:
        asyncio.run_coroutine_threadsafe(tap.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
