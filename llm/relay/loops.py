"""Calls of callers without a loop run on the server's, else on a thread's own."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from .engine import close_engine

T = TypeVar("T")

_lock = threading.Lock()
_server: asyncio.AbstractEventLoop | None = None
# Not across a fork: threads do not come along.
_own: tuple[int, asyncio.AbstractEventLoop, threading.Thread] | None = None


def serve_here() -> None:
    """The running loop is the server's; asgi.py says so with its first request."""
    global _server
    _server = asyncio.get_running_loop()


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, for synchronous callers: views of Django, tasks, tests."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()


def hang_up() -> None:
    """Close the thread's loop and all its connections. For tests, before their database goes away."""
    global _own
    with _lock:
        found, _own = _own, None
    if found is not None and found[0] == os.getpid():
        asyncio.run_coroutine_threadsafe(close_engine(), found[1]).result(30)
        found[1].call_soon_threadsafe(found[1].stop)
        found[2].join()
        found[1].close()


def _loop() -> asyncio.AbstractEventLoop:
    global _own
    if _server is not None and _server.is_running():
        return _server
    with _lock:
        if _own is None or _own[0] != os.getpid():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="llm", daemon=True)
            thread.start()
            _own = os.getpid(), loop, thread
        return _own[1]
