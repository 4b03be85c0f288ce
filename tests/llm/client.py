"""A client of the ASGI application, without a server in between: it sees each message, and hangs up when it likes."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from voicehelper.asgi import application


@dataclass
class Answer:
    """What came: status, headers, body; for streams also what `on_data` was told, piece by piece."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: list[bytes] = field(default_factory=list)
    complete: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def told(self) -> list[tuple[str, Any]]:
        """Server-sent events that have names: (name, data)."""
        blocks = [block.split("\n") for block in self.body.decode().split("\n\n") if block.startswith("event: ")]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]

    @property
    def events(self) -> list[Any]:
        """The data of each event, read; `[DONE]` as it is."""
        lines = [line[6:] for line in self.body.decode().split("\n") if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]

    @property
    def text(self) -> str:
        """What a stream said, put together."""
        chunks = [event for event in self.events if event != "[DONE]"]
        return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ()))


@dataclass
class ApiClient:
    key: str

    async def post(self, path: str, body: Any, **options: Any) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", path, content, **options)

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path, b"")

    async def request(
        self,
        method: str,
        path: str,
        content: bytes,
        *,
        headers: dict[str, str] | None = None,
        leave_after: int | None = None,
        leave_after_s: float | None = None,
        leave_when: Callable[[], bool] = lambda: True,
        on_data: Callable[[bytes], None] | None = None,
    ) -> Answer:
        """One request; hangs up after so many pieces of the body, or seconds, which count from when `leave_when` is so.
        Returns when the server is done."""
        answer, left = Answer(), asyncio.Event()
        bodies = [{"type": "http.request", "body": content, "more_body": False}]
        leaving = asyncio.create_task(_in_a_while(left, leave_after_s, leave_when)) if leave_after_s else None
        if leave_after == 0:
            left.set()

        async def receive() -> Any:
            if bodies:
                return bodies.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if left.is_set():
                return
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
                return
            if on_data and message.get("body"):
                on_data(message["body"])
            answer.body += message.get("body", b"")
            answer.pieces.append(message.get("body", b""))
            answer.complete = not message.get("more_body")
            if leave_after is not None and len(answer.pieces) >= leave_after:
                left.set()

        sent = {"host": "testserver", "authorization": f"Bearer {self.key}", "content-type": "application/json"}
        sent |= {"content-length": str(len(content))} | (headers or {})
        raw = [(name.encode(), value.encode()) for name, value in sent.items()]
        path, _, query = path.partition("?")
        scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": query.encode()}
        await application(scope, receive, send)
        if leaving:
            leaving.cancel()
        return answer


async def _in_a_while(left: asyncio.Event, seconds: float, when: Callable[[], bool]) -> None:
    while not when():
        await asyncio.sleep(0.01)
    await asyncio.sleep(seconds)
    left.set()
