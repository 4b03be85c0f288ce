"""ASGI entry point: `/v1` (see llm/api/v1.py), the stand-ins for its providers, and Django behind a guard that
refuses bodies too large or too slow.

The guard reads the whole body before Django sees the request, so a slow sender costs a coroutine and never a thread.
Only an upload's is read as it comes: it goes to the disk, and nobody sends one who may not. Callbacks have threads to
themselves, and so have files: whatever the pages wait for, a provider is answered, and slow phones stop no page.
`/v1` has limits of its own, answered in the shape its clients read.
"""

import asyncio
import contextvars
import gc
import io
import os
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, cast

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.db import close_old_connections
from django.http import HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import get_resolver, set_script_prefix
from django.utils.module_loading import import_string

from storage_backends.with_files import comes_with_files
from topup.gateways import is_callback
from voicehelper import traffic
from voicehelper.checks import refuse_to_start_wrongly
from voicehelper.later import Later
from voicehelper.sessions import give_back_when_idle

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]

NOTICE_BYTES = 64 * 1024
OTHER_BYTES = 1024 * 1024
BODY_SECONDS = 10.0
# A provider gives up after 5 s; what is not finished by then is answered "again", and finishes on its own.
NOTICE_SECONDS = 4.5
_UPLOAD_PATH = "/api/files/upload"
# Of a page's form with files.
WITH_FILES_BYTES = 16 * 1024 * 1024
_FILE_PATHS = ("/files/", "/exports/", "/api/files/")
# The form around an uploaded file.
FORM_BYTES = 64 * 1024
# An upload may pause for so long, and has to come at this pace in all.
PAUSE_SECONDS = 20.0
LEAST_BYTES_PER_SECOND = 16 * 1024


class TooLarge(Exception):
    """The body is over its limit."""


class Gone(Exception):
    """The client hung up."""


class Django(BaseHandler):
    """Django's whole request cycle, from the first middleware to the last, in one of a number of threads.

    Django's own ASGI handler starts a thread for each request, changes between threads at every middleware (half of the
    CPU that a callback costs), and waits for the thread even when the request is given up.
    """

    def __init__(self, *, threads: int) -> None:
        super().__init__()
        self.load_middleware()
        self._threads = ThreadPoolExecutor(threads, "django", give_back_when_idle)

    async def __call__(self, scope: Any, body: IO[bytes], receive: Receive, send: Send) -> None:
        """Answer one request. Cancelling it leaves the thread to finish on its own."""
        loop = asyncio.get_running_loop()
        left: asyncio.Task[None] | None = None

        async def send_part(message: Message) -> None:
            nonlocal left
            left = left or loop.create_task(_left(receive))
            if left.done():
                raise Gone
            await send(message)

        def send_now(message: Message) -> None:
            asyncio.run_coroutine_threadsafe(send_part(message), loop).result()

        in_context = contextvars.copy_context().run
        try:
            rest = await loop.run_in_executor(self._threads, in_context, self._respond, scope, body, send_now)
        except Gone:
            return
        finally:
            if left is not None:
                left.cancel()
        if isinstance(rest, HttpResponseBase):
            await _while_there(receive, _send_all(rest, send))
            return
        for message in rest:
            await send(message)

    def _respond(
        self, scope: Any, body: IO[bytes], send_now: Callable[[Message], None]
    ) -> list[Message] | HttpResponseBase:
        """In a thread: what to send. A streaming response is sent from here, piece by piece, all but its end; one that
        is made or streamed on the event loop is returned as it is."""
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        response = self._response_to(scope, body)
        # Where Django looks which handler to tell that the request is finished.
        response._handler_class = self.__class__  # type: ignore[attr-defined]
        if isinstance(response, Later) or getattr(response, "is_async", False):
            # It is finished elsewhere: this thread's connection is looked after now.
            close_old_connections()
            return response
        try:
            if not response.streaming:
                return [_start(response), {"type": "http.response.body", "body": response.content}]  # type: ignore[attr-defined]
            send_now(_start(response))
            for part in response:
                send_now({"type": "http.response.body", "body": part, "more_body": True})
            return [{"type": "http.response.body"}]
        finally:
            # Sends request_finished, where Django looks after this thread's database connection.
            response.close()

    def _response_to(self, scope: Any, body: IO[bytes]) -> HttpResponseBase:
        try:
            request = ASGIRequest(scope, body)
        except UnicodeDecodeError:
            return HttpResponseBadRequest()
        response = self.get_response(request)
        if request.resolver_match is not None:
            scope[traffic.ROUTE] = f"/{request.resolver_match.route}"
        return response


async def _send_all(response: HttpResponseBase, send: Send) -> None:
    """On the event loop: make the response if it is to be made here, and send it."""
    try:
        if isinstance(response, Later):
            response = await response.made()
        await send(_start(response))
        if isinstance(response, StreamingHttpResponse):
            async for part in response:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        else:
            await send({"type": "http.response.body", "body": response.content})  # type: ignore[attr-defined]
    finally:
        response.close()


async def _while_there(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; cancel it when the client hangs up."""
    loop = asyncio.get_running_loop()
    working, left = loop.create_task(work), loop.create_task(_left(receive))
    try:
        await asyncio.wait({working, left}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        left.cancel()
        if working.cancel():
            await asyncio.wait({working})


async def _left(receive: Receive) -> None:
    """Until the client hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(response: HttpResponseBase) -> Message:
    return {"type": "http.response.start", "status": response.status_code, "headers": _headers(response)}


def _headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    cookies = [(b"Set-Cookie", morsel.OutputString().encode("ascii")) for morsel in response.cookies.values()]
    return headers + cookies


class BodyGuard:
    """Answers 413 to a body over its limit (64 KiB for provider callbacks), 408 to one that takes over 10 s, and 503 to
    a callback that is not finished after 4.5 s. What comes with files may be larger, and take its time."""

    def __init__(self) -> None:
        self.pages = Django(threads=settings.WEB_THREADS)
        self.notices = Django(threads=settings.NOTICE_THREADS)
        self.files = Django(threads=settings.FILE_THREADS)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["path"] == _UPLOAD_PATH:
            await self._upload(scope, receive, send, settings.FILE_MAX_BYTES + FORM_BYTES)
            return
        if comes_with_files(scope["path"], dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")):
            await self._upload(scope, receive, send, WITH_FILES_BYTES)
            return
        notice = is_callback(scope["path"])
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_body(receive, NOTICE_BYTES if notice else OTHER_BYTES)
        except TimeoutError:
            await _refuse(send, 408, b"request body too slow")
            return
        except TooLarge:
            await _refuse(send, 413, b"request body too large")
            return
        except Gone:
            return
        if not notice:
            django = self.files if scope["path"].startswith(_FILE_PATHS) else self.pages
            await django(scope, io.BytesIO(body), receive, send)
            return
        try:
            async with asyncio.timeout(NOTICE_SECONDS):
                await self.notices(scope, io.BytesIO(body), receive, send)
        except TimeoutError:
            await _refuse(send, 503, b"fail: not finished in time, send it again")

    async def _upload(self, scope: Any, receive: Receive, send: Send, most: int) -> None:
        length = dict(scope["headers"]).get(b"content-length", b"")
        if not length.isdigit():
            await _refuse(send, 411, b"say how long the body is: Content-Length")
        elif int(length) > most:
            await _refuse(send, 413, b"request body too large")
        else:
            await self.files(scope, io.BufferedReader(Arriving(receive, int(length)), 64 * 1024), receive, send)


class Arriving(io.RawIOBase):
    """A body of `length` bytes, read by a thread while it comes. Raises OSError when the client hangs up or is slow."""

    def __init__(self, receive: Receive, length: int) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + PAUSE_SECONDS + length / LEAST_BYTES_PER_SECOND
        self._kept = b""
        self._more = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self._more and not self._kept:
            self._kept = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
        part = self._kept[: len(buffer)]
        buffer[: len(part)] = part
        self._kept = self._kept[len(part) :]
        return len(part)

    async def _next(self) -> bytes:
        pause = min(PAUSE_SECONDS, self._until - self._loop.time())
        async with asyncio.timeout(pause):
            message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("The client hung up.")
        self._more = bool(message.get("more_body"))
        return cast(bytes, message.get("body", b""))


async def _read_body(receive: Receive, limit: int) -> bytes:
    """The whole body. Raises TooLarge, Gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        body += message.get("body", b"")
        if len(body) > limit:
            raise TooLarge
        if not message.get("more_body"):
            return bytes(body)


async def _refuse(send: Send, status: int, text: bytes) -> None:
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


django.setup(set_prefix=False)
refuse_to_start_wrongly()
_django = BodyGuard()

# Models can be imported only once Django is set up.
from llm.api import v1  # noqa: E402
from llm.chat.writings import writings  # noqa: E402
from llm.relay import engine, loops  # noqa: E402
from notifications import jobs  # noqa: E402

traffic.expect(*v1.ROUTES, *traffic.routes_of(get_resolver()))

_model_providers = import_string("sandbox.upstream.application") if settings.SANDBOX else None


@traffic.counted
async def application(scope: Any, receive: Receive, send: Send) -> None:
    """Everything this process answers."""
    if scope["type"] == "http":
        if (path := v1.path_of(scope["path"])) is not None:
            scope[traffic.ROUTE] = v1.route_of(path)
            await v1.application(scope, receive, send)
        elif _model_providers and scope["path"].startswith("/sandbox/llm/"):
            await _model_providers(scope, receive, send)
        else:
            loops.serve_here()
            await _django(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _live(receive, send)


async def _live(receive: Receive, send: Send) -> None:
    """Make ready and watch the scheduled jobs; sign off properly at the end: finish settlements, close connections."""
    # What is loaded by now stays: looking through it for garbage stopped everything for 200 ms, every thousand calls.
    # Calls leave no cycles, but a few that begin together look like it to a collector that starts at 700 objects.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            jobs.start_watching()
        if message["type"] == "lifespan.shutdown":
            writings().break_off()
            await engine.close_engine()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
