"""The meter of OpenAI's Responses: what an answer, or an event of one, carries. It looks on and changes nothing.

Source: the types of OpenAI's and Ark's own clients. Items and events nobody here knows are passed on.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import json_text
from .base import Chunk, ProviderError, Recovery, StreamBroke, Tokens
from .events import Event
from .response_in_one import events_of
from .usage import tokens_of

FAILED = "response.failed"
ENDS = frozenset({"response.completed", "response.incomplete", FAILED})
# What is called so and says nothing is no answer.
UNFINISHED = ("queued", "in_progress", "cancelled")
# What an event adds, or says once more when it is whole, and a part of an item is.
_WHOLE = ("text", "refusal", "arguments", "input", "code")
_PARTS = ("text", "refusal")
# Events that add sound, whose length is no text's.
_SOUND = frozenset({"response.audio.delta", "response.output_audio.delta"})

_JSON = dict[str, Any]
# Turns what JSON says into the error it tells of.
Told = Callable[[Any], ProviderError]


class ResponseEvents:
    """Reads the events of one stream. Created and in progress are no output: until something follows them another
    account can be asked. A failure before any output is an error; after it, its event is passed on and then raised."""

    def __init__(self, told: Told) -> None:
        self.finished = False
        self.ended = False
        self.failure: ProviderError | None = None
        self._told = told
        self._begun = False
        # The items of which something was written; what says it once more when they are whole is no more text.
        self._written: set[str] = set()
        self._named: set[str] = set()

    def read(self, event: Event, *, more: bool) -> Sequence[Chunk]:
        block, data, said, _name, _odd = event
        kind = said.get("type")
        if kind is None and said.get("object") == "response" and type(said.get("output")) is list:
            return self._in_one(said)
        if type(kind) is not str:
            return (Chunk(data, False, more=more, block=block),)
        if kind.endswith(".delta"):
            text = self._added(kind, said)
            self._begun = True
            return (Chunk(data, True, text=text, more=more, block=block),)
        output, text, tokens, model = kind.endswith((".added", ".done")), "", None, ""
        response = said.get("response")
        if output:
            text = self._item(said)
        elif type(response) is dict:
            tokens, model = used(response, final=kind in ENDS), _text(response.get("model"))
        if kind in ENDS:
            self._end(kind, response)
            if not self._begun:
                text = written(response) if type(response) is dict else ""
        self._begun = self._begun or output
        return (Chunk(data, output, tokens, False, text, more, block, model, self.ended),)

    def _in_one(self, response: _JSON) -> Sequence[Chunk]:
        """The events that a whole response would have been; nothing, of one that is not finished."""
        if response.get("status") in UNFINISHED and not response["output"]:
            return ()
        chunks: list[Chunk] = []
        told = events_of(response)
        for said in told:
            data = json_text.write(said)
            block = b"event: %b\ndata: %b\n\n" % (said["type"].encode(), data)
            chunks += self.read(Event(block, data, said, said["type"].encode()), more=said is not told[-1])
        return chunks

    def last(self) -> Sequence[Chunk]:
        """Whatever else says that it ends, without its last event an answer is none."""
        raise StreamBroke("The stream ended before its end.", recovery=Recovery.RETRY, status=200)

    def _end(self, kind: str, response: Any) -> None:
        if kind == FAILED:
            error = self._told(failure_in(response))
            if not self._begun:
                # What was counted was at work.
                error.given_up = type(response) is dict and used(response) is not None
                raise error
            self.failure = error
        self.finished = self.ended = True

    def _added(self, kind: str, said: _JSON) -> str:
        self._written.add(_item_of(said))
        return "" if kind in _SOUND else _text(said.get("delta"))

    def _item(self, said: _JSON) -> str:
        """The words of an event about an item that is there, or whole; nothing when they came before."""
        item, key = said.get("item"), _item_of(said)
        whole = _contents(item) if type(item) is dict else _first(said, _WHOLE)
        text = "" if key in self._written else whole
        if text:
            self._written.add(key)
        if type(item) is dict and key not in self._named:
            self._named.add(key)
            text = _text(item.get("name")) + text
        return text


class GatheredResponse:
    """The whole response that a stream of events is."""

    def __init__(self) -> None:
        self.body: _JSON = {}
        self._items: list[_JSON] = []

    def add(self, chunk: Chunk) -> None:
        said = json_text.read(chunk.data)[0]
        if said.get("type") == "response.output_item.done":
            self._items.append(said.get("item"))
        elif said.get("type") in ENDS:
            response = said.get("response")
            self.body = dict(response) if type(response) is dict else {}
            # There are gateways whose last event leaves out what was told before.
            self.body["output"] = self.body.get("output") or self._items


def used(response: _JSON, *, final: bool = True) -> Tokens | None:
    """What a response says it used; None: nothing yet."""
    tier, tools = response.get("service_tier"), response.get("tool_usage")
    return tokens_of(response.get("usage"), final=final, service_tier=tier, tool_usage=tools)


def failure_in(response: Any) -> _JSON:
    """What a failed response says of it, as errors are said elsewhere."""
    error = response.get("error") if type(response) is dict else None
    return {"error": error or {"message": "The answer failed.", "code": "server_error"}}


def written(response: _JSON) -> str:
    """What a whole response says and thinks, and what it calls."""
    output = response.get("output")
    items = [item for item in output if type(item) is dict] if type(output) is list else []
    return "".join(_text(item.get("name")) + _contents(item) for item in items)


def _contents(item: _JSON) -> str:
    """The words of an item, but for its name."""
    parts = "".join(_first(part, _PARTS) for part in _parts(item.get("content")))
    thoughts = "".join(_first(part, _PARTS) for part in _parts(item.get("summary")))
    return (thoughts or parts if item.get("type") == "reasoning" else parts) + _first(item, _WHOLE)


def _parts(given: Any) -> Iterable[_JSON]:
    return [part for part in given if type(part) is dict] if type(given) is list else ()


def _first(said: _JSON, keys: tuple[str, ...]) -> str:
    return next((text for key in keys if (text := _text(said.get(key)))), "")


def _item_of(said: _JSON) -> str:
    """What names the item that an event is about."""
    item = said.get("item")
    own = item.get("id") if type(item) is dict else said.get("item_id")
    return str(own if own is not None else said.get("output_index"))


def _text(value: Any) -> str:
    return value if type(value) is str else ""
