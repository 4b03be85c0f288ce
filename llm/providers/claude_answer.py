"""Anthropic's answers in OpenAI's chat shape, whole and streamed.

Source: platform.claude.com/docs/en/build-with-claude/streaming. Unknown blocks and events are ignored, as the document
asks.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from . import functions, json_text
from .base import Chunk, Completion, ProviderError, Tokens
from .events import Event
from .message_events import CumulativeUsage, written
from .usage import count, tokens_of

_FINISH = {
    "end_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "pause_turn": "stop",
    "refusal": "content_filter",
    "model_context_window_exceeded": "length",
}

_JSON = dict[str, Any]
_THOUGHTS = ("thinking", "redacted_thinking")


def reply(message: _JSON, *, legacy: bool) -> Completion:
    """A complete message as a chat completion."""
    blocks = [block for block in message.get("content") or () if isinstance(block, dict)]
    text = "".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text")
    thought = "".join(str(block.get("thinking") or "") for block in blocks if block.get("type") == "thinking")
    calls = [_call(block) for block in blocks if block.get("type") == "tool_use"]
    said: _JSON = {"role": "assistant", "content": text or (None if calls else "")}
    if thought:
        said["reasoning_content"] = thought
    if signed := [block for block in blocks if block.get("type") in _THOUGHTS]:
        # With its signature a thought can come back in the next turn, which tools need.
        said["thinking_blocks"] = signed
    if calls:
        said["tool_calls"] = calls
    if refusal := _refusal(message):
        said["refusal"] = refusal
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": _finish(message), **_sequence(message)}
    body: _JSON = {
        "id": message.get("id"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": message.get("model"),
        "choices": [choice],
    }
    tokens = tokens_of(message.get("usage"))
    if tokens is not None:
        body |= _report(tokens, message["usage"])
    if legacy:
        functions.answer_in_functions(body)
    return Completion(body, tokens)


class ClaudeTranslator:
    """Turns the events of one stream into chunks. `finished` once it is said why the message stops, `ended` once it has
    stopped."""

    def __init__(self, *, legacy: bool) -> None:
        self.finished = False
        self.ended = False
        self.failure: ProviderError | None = None
        self._legacy = legacy
        self._usage = CumulativeUsage()
        self._head: _JSON = {"id": "", "object": "chat.completion.chunk", "created": int(time.time()), "model": ""}
        # Position of each tool block among the tool calls, and those whose arguments have not begun.
        self._calls: dict[Any, int] = {}
        self._without_arguments: set[Any] = set()
        # The blocks of thoughts under way.
        self._thoughts: dict[Any, _JSON] = {}

    def read(self, event: Event, *, more: bool) -> Sequence[Chunk]:
        chunks = list(self._read(event.said))
        return [chunk._replace(more=more or chunk is not chunks[-1]) for chunk in chunks]

    def _read(self, event: _JSON) -> Iterator[Chunk]:
        kind = event.get("type")
        if kind == "content_block_delta":
            yield from self._delta(event.get("index"), event["delta"])
        elif kind == "content_block_start":
            yield from self._start(event.get("index"), event["content_block"])
        elif kind == "content_block_stop":
            index = event.get("index")
            if index in self._without_arguments:
                # A call without arguments; OpenAI's clients expect JSON all the same.
                yield self._arguments(index, "{}")
            if index in self._thoughts:
                yield self._chunk({"thinking_blocks": [self._thoughts.pop(index)]})
        elif kind == "message_start":
            message = event["message"]
            self._head.update(id=message.get("id"), model=str(message.get("model") or ""))
            self._usage.add(message.get("usage"))
            yield self._chunk({"role": "assistant", "content": ""}, usage=self._usage.tokens(final=False))
        elif kind == "message_delta":
            yield from self._told(event)
        elif kind == "message_stop":
            self.ended = True
            yield from self.last()
        elif kind == "message":
            yield from self._in_one(event)

    def _told(self, event: _JSON) -> Iterator[Chunk]:
        """Why the message stops, and what was used so far."""
        self._usage.add(event.get("usage"))
        usage = self._usage.tokens(final=False)
        told = event.get("delta") or {}
        finish, refusal = _finish(told), _refusal(told)
        self.finished = self.finished or finish is not None
        if refusal:
            yield self._chunk({"refusal": refusal}, text=refusal)
        yield self._chunk({}, finish=finish, usage=usage, more=_sequence(told))

    def _in_one(self, message: _JSON) -> Iterator[Chunk]:
        """An answer that came whole: there are gateways that never stream."""
        (choice,) = reply(message, legacy=False).body["choices"]
        said = choice.pop("message")
        for index, call in enumerate(said.get("tool_calls") or ()):
            call["index"] = index
        self._head.update(id=message.get("id"), model=str(message.get("model") or ""))
        self._usage.add(message.get("usage"))
        finish, more = choice["finish_reason"], _sequence(message)
        yield self._chunk(said, finish=finish, text=written(message), more=more, output=True)
        self.finished = self.ended = True
        yield from self.last()

    def _start(self, index: Any, block: _JSON) -> Iterator[Chunk]:
        kind = block.get("type")
        if kind == "tool_use":
            self._calls[index] = len(self._calls)
            self._without_arguments.add(index)
            call = {"id": block.get("id"), "type": "function", "function": {"name": block.get("name"), "arguments": ""}}
            call = {"index": self._calls[index], **call}
            yield self._chunk({"tool_calls": [call]}, text=str(block.get("name") or ""))
        elif kind in _THOUGHTS:
            self._thoughts[index] = dict(block)
        if kind in ("text", "thinking") and block.get(kind):
            yield self._words("content" if kind == "text" else "reasoning_content", block[kind])

    def _delta(self, index: Any, delta: _JSON) -> Iterator[Chunk]:
        kind = delta.get("type")
        thought = self._thoughts.get(index)
        if thought is not None:
            for key in ("thinking", "signature"):
                if delta.get(key):
                    thought[key] = f"{thought.get(key) or ''}{delta[key]}"
        if kind == "text_delta" and delta.get("text"):
            yield self._words("content", delta["text"])
        elif kind == "thinking_delta" and delta.get("thinking"):
            yield self._words("reasoning_content", delta["thinking"])
        elif kind == "input_json_delta" and delta.get("partial_json") and index in self._calls:
            yield self._arguments(index, delta["partial_json"])

    def _words(self, key: str, words: str) -> Chunk:
        return self._chunk({key: words}, text=words)

    def _arguments(self, index: Any, text: str) -> Chunk:
        self._without_arguments.discard(index)
        call = {"index": self._calls[index], "function": {"arguments": text}}
        return self._chunk({"tool_calls": [call]}, text=text)

    def last(self) -> Sequence[Chunk]:
        """What stands behind the last words: the usage, when it is known."""
        tokens = self._usage.tokens(final=True)
        if tokens is None:
            return ()
        last = {**self._head, "choices": [], **_report(tokens, self._usage.reported)}
        return (Chunk(orjson.dumps(last), False, tokens, True, model=self._head["model"]),)

    def _chunk(
        self,
        delta: _JSON,
        *,
        finish: str | None = None,
        usage: Tokens | None = None,
        text: str = "",
        more: _JSON | None = None,
        output: bool = False,
    ) -> Chunk:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, **(more or {})}
        event = {**self._head, "choices": [choice]}
        if self._legacy:
            functions.answer_in_functions(event)
        return Chunk(json_text.write(event), output or bool(text), usage, False, text, model=self._head["model"])


def _call(block: _JSON) -> _JSON:
    arguments = orjson.dumps(block.get("input") or {}).decode()
    return {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }


def _finish(said: _JSON) -> str | None:
    """Reasons of the future are the end of the answer too."""
    reason = said.get("stop_reason")
    return _FINISH.get(str(reason), "stop") if reason else None


def _sequence(said: _JSON) -> _JSON:
    """The sequence that stopped the answer, under the name vLLM gives it; OpenAI has none."""
    sequence = said.get("stop_sequence")
    return {"stop_reason": sequence} if sequence and said.get("stop_reason") == "stop_sequence" else {}


def _refusal(said: _JSON) -> str:
    """Why nothing, or nothing more, is said, where that is told."""
    details = said.get("stop_details")
    told = details.get("explanation") if isinstance(details, dict) else None
    return told if isinstance(told, str) and said.get("stop_reason") == "refusal" else ""


def _report(tokens: Tokens, told: _JSON) -> _JSON:
    """What was used, and the tier that served, as OpenAI says it."""
    kinds = tokens.kinds
    written = kinds.get("cache_write", 0) + kinds.get("cache_write_long", 0)
    usage: _JSON = {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": kinds.get("cache_read", 0), "cache_write_tokens": written},
    }
    details = told.get("output_tokens_details")
    thought = count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    if thought is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": thought}
    tier = {"standard": "default"}.get(tokens.service_tier, tokens.service_tier)
    return {"usage": usage} | ({"service_tier": tier} if tier else {})
