"""Clients of a chat API that cost little: one event loop, raw protocols, requests made beforehand.

python -m tests.bench.client, with an `Order` as JSON on standard input; prints what it measured as JSON.
- closed: each of so many connections sends its next request when it has the last answer;
- open: so many requests per second, sent on time whatever the answers do (latency counts from then);
- streams: so many streams at once, each followed by the next. A chunk's delay is now minus the time stamped into it.
"""

import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from .upstream import CHUNK_TOKENS

_STAMP = re.compile(rb"t=(\d+) ")
_TEXT = "Explain how a router chooses between several language model providers. " * 10


@dataclass(frozen=True)
class Order:
    """What to do. `pid` is the server whose CPU and memory are read while measuring (0: nobody's); `hang_ups` is the
    share of streams that the client leaves in the middle."""

    kind: str
    port: int
    many: int
    seconds: float
    path: str = "/v1/chat/completions"
    key: str = ""
    pid: int = 0
    warm_up_s: float = 1.0
    chunks: int = 50
    requests: int = 0
    hang_ups: float = 0.0

    def request(self) -> bytes:
        body: dict[str, Any] = {
            "model": "gpt-3.5-turbo",
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": _TEXT},
            ],
            "temperature": 0.7,
            "max_tokens": self.chunks * CHUNK_TOKENS,
        }
        if self.kind == "streams":
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        content = json.dumps(body).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.key}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode() + content


@dataclass
class Result:
    """Counts of what fell into the measured time; times in milliseconds, CPU in microseconds."""

    requests: int = 0
    chunks: int = 0
    failures: int = 0
    seconds: float = 0.0
    server_cpu_us: float = 0.0
    client_cpu: float = 0.0
    memory_kib: int = 0
    latency_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    delay_ms: list[float] = field(default_factory=list)
    why: str = ""

    def summary(self) -> dict[str, Any]:
        """The lists as p50 and p99."""
        shown = {name: value for name, value in asdict(self).items() if type(value) is not list}
        for name in ("latency_ms", "first_ms", "delay_ms"):
            values = sorted(getattr(self, name))
            for share in (50, 99):
                shown[f"{name}_p{share}"] = round(values[len(values) * share // 100], 3) if values else None
        return shown


class Window:
    """The measured time: from the warm-up's end to the last second."""

    def __init__(self, order: Order) -> None:
        self.order, self.result = order, Result()
        self.open = False
        self.over = False

    async def run(self) -> None:
        await asyncio.sleep(self.order.warm_up_s)
        self.open = True
        began, cpu_s, own_s = time.monotonic(), cpu_of(self.order.pid), time.process_time()
        limit = began + self.order.seconds
        while time.monotonic() < limit and not (self.order.requests and self.result.requests >= self.order.requests):
            await asyncio.sleep(min(0.05, max(0.001, limit - time.monotonic())))
        self.open, result = False, self.result
        result.seconds = time.monotonic() - began
        result.server_cpu_us = (cpu_of(self.order.pid) - cpu_s) * 1e6
        result.client_cpu = round((time.process_time() - own_s) / result.seconds, 3)
        result.memory_kib = memory_of(self.order.pid)
        self.over = True


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.transport: asyncio.Transport | None = None
        self._done: asyncio.Future[bool] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self.transport = None
        self._end(ok=False)

    def ask(self, request: bytes, leave_after: int = 0) -> "asyncio.Future[bool]":
        """Send it; True when a good answer is there, or was left after so many chunks."""
        assert self.transport is not None
        self._parts: list[bytes] = []
        self._missing, self._chunks, self._leave_after = -1, 0, leave_after
        self._streamed = False
        self._asked_ns = time.monotonic_ns()
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._done

    def data_received(self, data: bytes) -> None:
        if self._streamed:
            self._chunk(data)
            return
        self._parts.append(data)
        if self._missing >= 0:
            self._missing -= len(data)
        else:
            data = b"".join(self._parts)
            head, found, body = data.partition(b"\r\n\r\n")
            if not found:
                return
            head = head.lower()
            if b"transfer-encoding: chunked" in head:
                self._streamed = True
                self._parts = [data[:200]]
                if body:
                    self._chunk(body)
                return
            self._missing = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]) - len(body)
        if self._missing <= 0:
            answer = b"".join(self._parts)
            self._end(ok=answer.startswith(b"HTTP/1.1 200") and b'"usage"' in answer)

    def _chunk(self, data: bytes) -> None:
        now, window = time.monotonic_ns(), self._window
        for stamp in _STAMP.finditer(data):
            self._chunks += 1
            if window.open:
                window.result.chunks += 1
                window.result.delay_ms.append((now - int(stamp[1])) / 1e6)
                if self._chunks == 1:
                    window.result.first_ms.append((now - self._asked_ns) / 1e6)
        if self._leave_after and self._chunks >= self._leave_after:
            done, self._done = self._done, None
            self.close()
            if done is not None and not done.done():
                done.set_result(True)
        elif data.endswith(b"0\r\n\r\n"):
            self._end(ok=self._chunks == window.order.chunks)

    def _end(self, *, ok: bool) -> None:
        if self._done is None or self._done.done():
            return
        if not ok:
            self._window.result.why = b"".join(self._parts)[:300].decode(errors="replace") or "hung up"
        self._done.set_result(ok)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Crowd:
    """Everybody who calls."""

    def __init__(self, order: Order) -> None:
        self.order, self.window = order, Window(order)
        self._request = order.request()
        self._idle: list[Connection] = []
        self._random = random.Random(order.many)

    async def connected(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None:
                return connection
        make: Callable[[], Connection] = lambda: Connection(self.window)  # noqa: E731
        _, made = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", self.order.port)
        return made

    async def call(self, since: float) -> None:
        """One request on a connection of the pool."""
        leave_after = 0
        if self.order.hang_ups and self._random.random() < self.order.hang_ups:
            leave_after = self._random.randint(1, self.order.chunks)
        connection = await self.connected()
        ok = await connection.ask(self._request, leave_after)
        if self.window.open:
            self.window.result.requests += 1
            self.window.result.failures += not ok
            self.window.result.latency_ms.append((time.monotonic() - since) * 1000)
        if ok and not leave_after:
            self._idle.append(connection)
        else:
            connection.close()

    async def worker(self, number: int) -> None:
        # Streams begin spread over the time that one of them takes.
        await asyncio.sleep(number / self.order.many * min(2.0, self.order.warm_up_s))
        while not self.window.over:
            await self.call(time.monotonic())

    async def punctual(self) -> None:
        """An open loop: nobody waits for anybody."""
        loop, calls, due = asyncio.get_running_loop(), set(), time.monotonic()
        while not self.window.over:
            due += 1 / self.order.many
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = loop.create_task(self.call(due))
            calls.add(task)
            task.add_done_callback(calls.discard)
        if calls:
            await asyncio.wait(calls, timeout=5)

    async def run(self) -> dict[str, Any]:
        measuring = asyncio.create_task(self.window.run())
        if self.order.kind == "open":
            await self.punctual()
        else:
            workers = [asyncio.create_task(self.worker(n)) for n in range(self.order.many)]
            await measuring
            # What is under way ends before somebody else measures.
            await asyncio.wait(workers, timeout=10)
            for worker in workers:
                worker.cancel()
        await measuring
        return self.window.result.summary()


def cpu_of(pid: int) -> float:
    """Seconds on a core so far, all threads of one process."""
    if not pid:
        return 0.0
    found = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += int((thread / "schedstat").read_text().split()[0])
    return found / 1e9


def memory_of(pid: int) -> int:
    """Resident memory in KiB."""
    if not pid:
        return 0
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Crowd(Order(**json.load(sys.stdin))).run())))
