"""What a relay costs at the least: the same HTTP client and server as ours, and nothing else done with what passes.

uvicorn tests.bench.passthrough:application, with BENCH_UPSTREAM in the environment.
"""

import os
from typing import Any

import aiohttp

_URL = f"{os.environ.get('BENCH_UPSTREAM', '')}/chat/completions"
_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer bench"}
_sessions: list[aiohttp.ClientSession] = []


def _session() -> aiohttp.ClientSession:
    if not _sessions:
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))
    return _sessions[0]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["method"] == "GET":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
    else:
        await _pass_on(receive, send)


async def _pass_on(receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    async with _session().post(_URL, data=body, headers=_HEADERS) as answer:
        kind = answer.headers["Content-Type"].encode()
        if kind.startswith(b"text/event-stream"):
            await send({"type": "http.response.start", "status": answer.status, "headers": [(b"content-type", kind)]})
            async for data in answer.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        content = await answer.read()
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown" and _sessions:
            await _sessions.pop().close()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
