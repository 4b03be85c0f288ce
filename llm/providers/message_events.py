"""The meter of Anthropic's messages: what an answer, or an event of one, carries. It looks on and changes nothing.

Source: platform.claude.com/docs/en/build-with-claude/streaming. Blocks and events nobody here knows are passed on.
"""

from collections.abc import Sequence
from typing import Any

from . import json_text
from .base import Chunk, ProviderError, Tokens
from .events import Event
from .usage import count, tokens_of

_STOP = b'{"type":"message_stop"}'
_STOP_EVENT = b"event: message_stop\ndata: %b\n\n" % _STOP


class CumulativeUsage:
    """What one message has used so far. Counts are cumulative and cannot fall: there are servers that say 0 at the end
    of what they said in the beginning."""

    def __init__(self) -> None:
        self.reported: dict[str, Any] = {}

    def add(self, seen: Any) -> None:
        """A report. Raises AttributeError when it is none."""
        for name, value in (seen or {}).items():
            known = count(self.reported.get(name))
            if value is not None and not (known is not None and (count(value) or 0) < known):
                self.reported[name] = value

    def tokens(self, *, final: bool) -> Tokens | None:
        return tokens_of(self.reported, final=final)


class MessageEvents:
    """Reads the events of one stream."""

    def __init__(self) -> None:
        self.finished = False
        self.ended = False
        self.failure: ProviderError | None = None
        self._usage = CumulativeUsage()

    def read(self, event: Event, *, more: bool) -> Sequence[Chunk]:
        block, data, said, _name, _odd = event
        kind = said.get("type")
        output, text, tokens, model = False, "", None, ""
        if kind == "content_block_delta":
            text = _words(said["delta"])
            output = bool(text) or said["delta"].get("type") not in ("text_delta", "input_json_delta")
        elif kind == "content_block_start":
            begun = said["content_block"]
            text = _words(begun)
            output = bool(text) or begun.get("type") not in ("text", "thinking")
        elif kind == "message_start":
            message = said["message"]
            model = str(message.get("model") or "")
            self._usage.add(message.get("usage"))
            tokens = self._usage.tokens(final=False)
        elif kind == "message_delta":
            self._usage.add(said.get("usage"))
            tokens = self._usage.tokens(final=False)
            self.finished = self.finished or bool((said.get("delta") or {}).get("stop_reason"))
        elif kind == "message" and type(said.get("content")) is list:
            return self._in_one(said)
        elif kind == "message_stop":
            self.ended = True
            tokens = self._usage.tokens(final=True)
        return (Chunk(data, output, tokens, False, text, more, block, model, self.ended),)

    def _in_one(self, message: dict[str, Any]) -> Sequence[Chunk]:
        """The events that a whole message would have been: there are gateways that never stream."""
        told, usage = _events_of(message), message.get("usage")
        self._usage.add(usage)
        self.finished = self.ended = True
        model, final = str(message.get("model") or ""), self._usage.tokens(final=True)
        chunks = []
        for number, said in enumerate(told):
            data, last = json_text.write(said), number + 1 == len(told)
            text = _words(said["delta"]) if said["type"] == "content_block_delta" else ""
            chunks.append(
                Chunk(
                    data,
                    output=not last and number > 0,
                    usage=final if last else None,
                    text=text,
                    more=not last,
                    block=b"event: %b\ndata: %b\n\n" % (said["type"].encode(), data),
                    model="" if number else model,
                    last=last,
                )
            )
        return chunks

    def last(self) -> Sequence[Chunk]:
        return (Chunk(_STOP, False, self._usage.tokens(final=True), block=_STOP_EVENT, last=True),)


class GatheredMessage:
    """The whole message that a stream of events is."""

    def __init__(self) -> None:
        self.body: dict[str, Any] = {}
        self._usage = CumulativeUsage()
        self._blocks: dict[Any, dict[str, Any]] = {}
        self._inputs: dict[Any, str] = {}

    def add(self, chunk: Chunk) -> None:
        said = json_text.read(chunk.data)[0]
        kind, index = said.get("type"), said.get("index")
        if kind == "message_start":
            self.body = dict(said["message"])
            self._usage.add(self.body.get("usage"))
        elif kind == "message_delta":
            self.body |= said.get("delta") or {}
            self._usage.add(said.get("usage"))
        elif kind == "content_block_start":
            self._blocks[index] = dict(said["content_block"])
        elif kind == "content_block_delta" and index in self._blocks:
            self._grow(index, said["delta"])

    def whole(self) -> dict[str, Any]:
        for index, text in self._inputs.items():
            self._blocks[index]["input"] = json_text.read(text.encode())[0] if text else {}
        return {**self.body, "content": list(self._blocks.values()), "usage": self._usage.reported}

    def _grow(self, index: Any, delta: dict[str, Any]) -> None:
        block = self._blocks[index]
        for name, value in delta.items():
            if name == "partial_json":
                self._inputs[index] = self._inputs.get(index, "") + value
            elif name == "citation":
                block["citations"] = [*(block.get("citations") or ()), value]
            elif name != "type":
                block[name] = (block.get(name) or "") + value


def written(message: dict[str, Any]) -> str:
    """What a whole message says and thinks, and what it calls."""
    return "".join(_words(block) for block in message.get("content") or () if isinstance(block, dict))


def _words(block: dict[str, Any]) -> str:
    """The text in a block, or in a part of one."""
    for key in ("text", "thinking", "partial_json"):
        if block.get(key):
            return str(block[key])
    given = block.get("input")
    return f"{block.get('name') or ''}{given if given else ''}"


# What grows in a block of each kind, and in which deltas.
_GROWS = {"text": ("text", "text_delta"), "thinking": ("thinking", "thinking_delta")}


def _events_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A whole message, event by event."""
    end = {name: message.get(name) for name in ("stop_reason", "stop_sequence")}
    begun = {**message, **dict.fromkeys(end), "content": []}
    found: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(each for each in message["content"] if type(each) is dict):
        empty, deltas = dict(block), []
        if (kind := block.get("type")) in _GROWS:
            name, delta = _GROWS[kind]
            empty[name] = ""
            deltas.append({"type": delta, name: block.get(name) or ""})
            if block.get("signature"):
                empty["signature"] = ""
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
        elif kind == "tool_use":
            empty["input"] = {}
            deltas.append(
                {"type": "input_json_delta", "partial_json": json_text.write(block.get("input") or {}).decode()}
            )
        found.append({"type": "content_block_start", "index": index, "content_block": empty})
        found += [{"type": "content_block_delta", "index": index, "delta": each} for each in deltas]
        found.append({"type": "content_block_stop", "index": index})
    usage = message.get("usage")
    found.append({"type": "message_delta", "delta": end, "usage": usage if type(usage) is dict else {}})
    return [*found, {"type": "message_stop"}]
