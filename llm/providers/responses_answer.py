"""Answers in OpenAI's Responses as its chat shape, whole and streamed, for models that answer nothing else.

Source: the types of OpenAI's and Ark's own clients. Items and events nobody here knows are ignored.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from . import functions, json_text
from .base import Chunk, Completion, ProviderError, Recovery, StreamBroke, Tokens
from .events import Event
from .response_events import ENDS, FAILED, UNFINISHED, Told, failure_in, used

_CUT = {"max_output_tokens": "length", "content_filter": "content_filter"}
# Where the words of a message, and of thoughts, stand, and what they are called in a chat.
_PARTS = {"output_text": ("text", "content"), "refusal": ("refusal", "refusal")}
_DELTAS = {
    "response.output_text": "content",
    "response.refusal": "refusal",
    "response.reasoning_summary_text": "reasoning_content",
    "response.reasoning_text": "reasoning_content",
}
_WORDS = {"content": "text", "refusal": "refusal", "reasoning_content": "text"}
_ARGUMENTS = "response.function_call_arguments"
_CALL = "function_call"
# What stands for the id of an item that has none.
_NAMELESS = object()

_JSON = dict[str, Any]


def reply(response: _JSON, *, legacy: bool) -> Completion:
    """A complete response as a chat completion."""
    items = [item for item in response["output"] if isinstance(item, dict)]
    said: _JSON = {"role": "assistant", "content": None, "refusal": None}
    for item in items:
        for key, text in _words(item):
            said[key] = f"{said.get(key) or ''}{text}"
    calls = [_call(item) for item in items if item.get("type") == _CALL]
    if calls:
        said["tool_calls"] = calls
    elif said["content"] is None and not said["refusal"]:
        said["content"] = ""
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": _finish(response, called=bool(calls))}
    body = _head(response, "chat.completion") | {"choices": [choice]}
    tokens = used(response)
    if tokens is not None:
        body["usage"] = _usage(response, tokens)
    if legacy:
        functions.answer_in_functions(body)
    return Completion(body, tokens)


class ResponsesToChat:
    """Turns the events of one stream into chunks. `finished` and `ended` with its last event, whatever that says."""

    def __init__(self, told: Told, *, legacy: bool) -> None:
        self.finished = False
        self.ended = False
        self.failure: ProviderError | None = None
        self._told = told
        self._legacy = legacy
        self._head = _head({}, "chat.completion.chunk")
        self._begun = False
        # How many calls there are, and the number of each: by the id of its item, and by where that stands.
        self._count = 0
        self._by_id: dict[Any, int] = {}
        self._by_place: dict[Any, int] = {}
        # The calls whose arguments, and the parts whose words, have come.
        self._passed_on: set[Any] = set()

    def read(self, event: Event, *, more: bool) -> Sequence[Chunk]:
        chunks = list(self._read(event.said))
        self._begun = self._begun or any(chunk.output for chunk in chunks)
        return [chunk._replace(more=more or chunk is not chunks[-1]) for chunk in chunks]

    def last(self) -> Sequence[Chunk]:
        """Whatever else says that it ends, without its last event an answer is none."""
        raise StreamBroke("The stream ended before its end.", recovery=Recovery.RETRY, status=200)

    def _read(self, said: _JSON) -> Iterator[Chunk]:
        kind = str(said.get("type"))
        of, _, step = kind.rpartition(".")
        if of in _DELTAS and step in ("delta", "done"):
            key = _DELTAS[of]
            place = said.get("item_id"), said.get("summary_index", said.get("content_index"))
            yield from self._part(place, key, said["delta"] if step == "delta" else "", said.get(_WORDS[key]))
        elif of == _ARGUMENTS:
            number = self._number(said.get("item_id"), said.get("output_index"))
            if number is not None:
                yield from self._arguments(number, said.get("delta"), said.get("arguments"))
        elif of == "response.output_item":
            yield from self._item(said["item"], said.get("output_index"), whole=step == "done")
        elif kind == "response.created":
            self._head.update(_head(said["response"], "chat.completion.chunk"))
            yield self._chunk({"role": "assistant", "content": ""})
        elif kind in ENDS:
            yield from self._end(kind, said.get("response") or {})
        elif said.get("object") == "response":
            # It came whole: there are gateways that never stream.
            if said["status"] in UNFINISHED and not said.get("output"):
                told = "The provider's answer is no response."
                raise ProviderError(told, recovery=Recovery.FAILOVER, status=200)
            self._head.update(_head(said, "chat.completion.chunk"))
            yield from self._end(f"response.{said['status']}", said)

    def _end(self, kind: str, response: _JSON) -> Iterator[Chunk]:
        self.finished = self.ended = True
        if kind == FAILED:
            error = self._told(failure_in(response))
            if not self._begun:
                # What was counted was at work.
                error.given_up = used(response) is not None
                raise error
            self.failure = error
        else:
            if not self._begun:
                # All there is stands in the last event.
                for position, item in enumerate(_objects(response.get("output"))):
                    yield from self._item(item, position, whole=True)
            yield self._chunk({}, finish=_finish(response, called=bool(self._count)))
        tokens = used(response)
        if tokens is not None:
            last = {**self._head, "choices": [], "usage": _usage(response, tokens)}
            yield Chunk(orjson.dumps(last), False, tokens, True, model=self._head["model"])

    def _item(self, item: _JSON, place: Any, *, whole: bool) -> Iterator[Chunk]:
        """An item that begins, or is whole: then what was not said of it before is said."""
        if item.get("type") == _CALL:
            number = self._number(item.get("id"), place) if whole else None
            if number is None:
                number = self._by_id[item.get("id") or _NAMELESS] = self._by_place[place] = self._count
                self._count += 1
                call = {"index": number, **_call({**item, "arguments": ""})}
                yield self._chunk({"tool_calls": [call]}, text=str(item.get("name") or ""))
            # OpenAI's clients expect JSON, also of a call without arguments.
            yield from self._arguments(number, None, item.get("arguments") or ("{}" if whole else None))
        elif whole:
            for name in ("summary", "content"):
                for position, part in enumerate(_objects(item.get(name))):
                    for key, text in _words({"type": item.get("type"), name: [part]}):
                        yield from self._part((item.get("id"), position), key, "", text)

    def _part(self, place: Any, key: str, delta: Any, whole: Any) -> Iterator[Chunk]:
        """Words of a part; all of them, when none has come before it is whole."""
        text = delta or ("" if (key, place) in self._passed_on else whole)
        if not text:
            return
        if key == "reasoning_content" and (key, place) not in self._passed_on and place[1] and self._begun:
            text = f"\n\n{text}"
        self._passed_on.add((key, place))
        yield self._chunk({key: text}, text=str(text))

    def _arguments(self, number: int, delta: Any, whole: Any) -> Iterator[Chunk]:
        text = delta or ("" if number in self._passed_on else whole)
        if text:
            self._passed_on.add(number)
            call = {"index": number, "function": {"arguments": text}}
            yield self._chunk({"tool_calls": [call]}, text=str(text))

    def _number(self, called: Any, place: Any) -> int | None:
        """The number of a call: by its item's id, or, when that is not known, by its place."""
        number = self._by_id.get(called)
        return self._by_place.get(place) if number is None else number

    def _chunk(self, delta: _JSON, *, finish: str | None = None, text: str = "") -> Chunk:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        event = {**self._head, "choices": [choice]}
        if self._legacy:
            functions.answer_in_functions(event)
        return Chunk(json_text.write(event), bool(text), None, False, text, model=self._head["model"])


def _head(response: _JSON, kind: str) -> _JSON:
    created = response.get("created_at")
    whole = int(created) if isinstance(created, int | float) else int(time.time())
    return {
        "id": str(response.get("id") or ""),
        "object": kind,
        "created": whole,
        "model": str(response.get("model") or ""),
    }


def _words(item: _JSON) -> Iterator[tuple[str, str]]:
    """The words of an item by what they are called in a chat. Of thoughts, a summary is told rather than they."""
    if item.get("type") == "message":
        for part in _objects(item.get("content")):
            where, key = _PARTS.get(str(part.get("type")), ("", ""))
            if where and part.get(where):
                yield key, str(part[where])
    elif item.get("type") == "reasoning":
        parts = _objects(item.get("summary")) or _objects(item.get("content"))
        yield "reasoning_content", "\n\n".join(str(part["text"]) for part in parts if part.get("text"))


def _call(item: _JSON) -> _JSON:
    function = {"name": item.get("name"), "arguments": item.get("arguments") or ""}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _finish(response: _JSON, *, called: bool) -> str:
    if response.get("status") == "incomplete":
        reason = (response.get("incomplete_details") or {}).get("reason")
        return _CUT.get(str(reason), "length")
    return "tool_calls" if called else "stop"


def _usage(response: _JSON, tokens: Tokens) -> _JSON:
    kinds, details = tokens.kinds, response["usage"].get("output_tokens_details") or {}
    cached = sum(number for kind, number in kinds.items() if kind.startswith("cache_read"))
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": kinds.get("cache_write", 0)},
        "completion_tokens_details": {"reasoning_tokens": details.get("reasoning_tokens") or 0},
    }


def _objects(given: Any) -> Iterable[_JSON]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else ()
