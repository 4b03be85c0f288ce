"""What is asked and what is said, in nobody's dialect: what every shape is written from, and read back into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Call:
    """A call of a tool, as a model makes it."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What a tool said to a call; `picture` is an address or a data: URL."""

    id: str
    text: str
    picture: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Turn:
    """One turn. Results come before words, thoughts before words, words before calls. `file` is (name, base64 of a PDF
    or its address), `sound` the base64 of an mp3; `signature` is what whoever thought it wants to see again."""

    role: str
    text: str = ""
    pictures: tuple[str, ...] = ()
    file: tuple[str, str] = ("", "")
    sound: str = ""
    thought: str = ""
    signature: str = ""
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()


@dataclass(frozen=True)
class Ask:
    """A request. `choice` is "", auto, none, required, or the name of a tool; `schema` {} is any JSON."""

    turns: tuple[Turn, ...]
    system: str = ""
    tools: tuple[str, ...] = ()
    choice: str = ""
    one_at_a_time: bool = False
    effort: str = ""
    schema: dict[str, Any] | None = None
    stop: tuple[str, ...] = ()
    user: str = ""
    limit: int = 100


@dataclass(frozen=True)
class Used:
    """Tokens: all that was read, of it from a cache and into one; all that was written, of it thoughts."""

    read: int = 30
    cached: int = 0
    written: int = 0
    wrote: int = 20
    thought: int = 0


@dataclass(frozen=True)
class Said:
    """An answer. `stop` is end, calls, length, sequence or refused."""

    text: str = ""
    thought: str = ""
    signature: str = ""
    calls: tuple[Call, ...] = ()
    refusal: str = ""
    stop: str = "end"
    sequence: str = ""
    used: Used = field(default_factory=Used)


class Shape(Protocol):
    """One vendor's shape, written and read: in front of us it is a client's dialect, behind us an upstream's."""

    name: str
    door: str

    def ask(self, ask: Ask, model: str, *, streamed: bool) -> dict[str, Any]:
        """The request."""

    def asked(self, body: dict[str, Any]) -> Ask:
        """What a request asks; everything in it must be understood."""

    def whole(self, said: Said, model: str) -> bytes:
        """The answer in one piece."""

    def events(self, said: Said, model: str) -> Sequence[bytes]:
        """The answer as a stream; calls that may interleave do."""

    def read(self, content: bytes) -> Said:
        """What an answer in one piece says."""

    def read_events(self, content: bytes) -> Said:
        """What a stream says, which must keep the rules of its dialect."""

    def error(self, text: str) -> bytes:
        """A 400 in its words."""

    def broken(self, model: str) -> Sequence[bytes]:
        """A stream that says a word, and then that it failed."""

    def error_in(self, content: bytes) -> str:
        """The text of an error before the answer; where the dialect has them, with its parameter and (code)."""

    def error_in_events(self, content: bytes) -> tuple[str, str]:
        """What a stream said before it failed, and why it did."""


SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def described(name: str) -> str:
    """What a tool is for."""
    return f"Tells the {name} of a city"


def halves(text: str) -> list[str]:
    """A text in two pieces; none of it is none."""
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]
