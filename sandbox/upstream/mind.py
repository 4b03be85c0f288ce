"""From a conversation, whatever protocol it came in, to an answer in tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from . import tokens, words
from .faults import Faults
from .tools import Choice, Tool, chosen, filled


@dataclass(frozen=True)
class Conversation:
    """What was asked. `questions` are the user's turns, `results` what tools returned after the last of them;
    `prompt` is how many tokens all of it has; `schema` wants the answer as JSON of that shape."""

    questions: Sequence[str]
    prompt: int
    most: int
    results: Sequence[str] = ()
    pictures: int = 0
    tools: Sequence[Tool] = ()
    choice: Choice = field(default_factory=Choice)
    stops: Sequence[str] = ()
    schema: Any = None
    thinks: bool = False

    @property
    def question(self) -> str:
        return self.questions[-1] if self.questions else ""


@dataclass(frozen=True)
class Called:
    """One call of a tool; the fragments of its arguments put together are JSON."""

    name: str
    fragments: Sequence[str]

    @property
    def arguments(self) -> str:
        return "".join(self.fragments)


@dataclass(frozen=True)
class Thought:
    """An answer, in tokens. `end` is stop, length, tool_calls or content_filter; `stopped_at` the stop sequence."""

    thinking: Sequence[str]
    text: Sequence[str]
    calls: Sequence[Called]
    end: str
    stopped_at: str | None = None

    @property
    def tokens(self) -> int:
        return len(self.thinking) + len(self.text) + sum(len(call.fragments) + 1 for call in self.calls)


def think(asked: Conversation, faults: Faults) -> Thought:
    """The answer, not longer than the caller allows."""
    thinking = tokens.split(words.thought(asked.question))[: asked.most] if asked.thinks else []
    left = asked.most - len(thinking)
    called = [] if asked.results else chosen(asked.tools, asked.question, asked.choice)
    if called:
        return _call(called, asked.question, thinking, left)
    text, stopped_at = _stopped(_said(asked), asked.stops)
    written = tokens.split(text)
    if "filtered" in faults:
        return Thought(thinking, written[: int(faults["filtered"])][:left], (), "content_filter")
    if len(written) > left:
        return Thought(thinking, written[:left], (), "length")
    return Thought(thinking, written, (), "stop", stopped_at)


def used(thought: Thought, most: int, faults: Faults) -> int:
    """The tokens that are reported as written."""
    if "too_much_usage" in faults:
        return int(most * faults["too_much_usage"])
    return thought.tokens


def _said(asked: Conversation) -> str:
    if asked.results:
        return words.about_results(asked.results, asked.question)
    if asked.schema is not None:
        return orjson.dumps(filled(asked.schema, asked.question)).decode()
    return words.answer(asked.questions, asked.pictures)


def _call(called: Sequence[Tool], question: str, thinking: Sequence[str], left: int) -> Thought:
    calls: list[Called] = []
    for tool in called:
        arguments = orjson.dumps(filled(tool.schema, question) or {}).decode()
        fragments = tokens.split(arguments)
        if len(fragments) + 1 > left:
            calls.append(Called(tool.name, fragments[: max(0, left - 1)]))
            return Thought(thinking, (), calls, "length")
        calls.append(Called(tool.name, fragments))
        left -= len(fragments) + 1
    return Thought(thinking, (), calls, "tool_calls")


def _stopped(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    """The text up to the first stop sequence, and which that was."""
    found = [(text.index(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return text, None
    at, stop = min(found)
    return text[:at], stop
