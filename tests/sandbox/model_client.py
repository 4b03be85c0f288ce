"""A plain HTTP client of the stand-ins for model providers: no SDK, so that each header and field is the test's."""

import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any

from sandbox.upstream.catalogue import BASE_PATHS, CUSTOMERS

CHAT_MODELS = {"ark": "ep-20241201140014-vbzjz", "openai": "gpt-4", "anthropic": "claude-3-sonnet-20240229"}


@dataclass
class Answer:
    """What came. `events` are the data lines of a stream with the second each arrived; `broken`: it had no end."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)
    times: list[float] = field(default_factory=list)
    broken: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[str]:
        return [line[6:] for line in self.body.decode().split("\n") if line.startswith("data: ")]

    @property
    def events(self) -> list[Any]:
        return [json.loads(line) for line in self.lines if line != "[DONE]"]

    @property
    def error(self) -> Any:
        return self.json["error"]


@dataclass
class Customer:
    """Somebody with an account at one of the providers."""

    port: int
    provider: str
    key: str = ""

    def __post_init__(self) -> None:
        self.key = self.key or CUSTOMERS[self.provider][0].key

    def headers(self) -> dict[str, str]:
        if self.provider == "anthropic":
            return {"x-api-key": self.key, "anthropic-version": "2026-10-21"}
        return {"Authorization": f"Bearer {self.key}"}

    def chat(self, **change: Any) -> Answer:
        """A chat request with changes; None takes a field out."""
        body = {
            "model": CHAT_MODELS[self.provider],
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 30,
        }
        body = {name: value for name, value in {**body, **change}.items() if value is not None}
        return self.post("/v1/messages" if self.provider == "anthropic" else "/chat/completions", body)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", path, content, {"Content-Type": "application/json", **self.headers(), **named})

    def get(self, path: str) -> Answer:
        return self.send("GET", path, None, self.headers())

    def send(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> Answer:
        there = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            there.request(method, BASE_PATHS[self.provider] + path, content, headers)
            came = there.getresponse()
            answer = Answer(came.status, {name.lower(): value for name, value in came.getheaders()}, b"")
            try:
                while piece := came.read1():
                    answer.body += piece
                    answer.times += [time.monotonic()] * piece.count(b"data: ")
            except http.client.IncompleteRead:
                answer.broken = True
            answer.broken |= bool(came.length)
            return answer
        finally:
            there.close()
