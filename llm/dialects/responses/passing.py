"""Answers of providers that speak Responses, on their way to a client: byte by byte as they came, but for the model's
name, what is stored where, and reasoning that only its account can read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from voicehelper.api.errors import ErrorAnswer

from ...providers import json_text
from ...providers.base import Chunk
from ...relay.catalogue import ModelSpec
from ...relay.settling import Completed
from ..base import event, renamed
from . import sealed
from .answer import error_of, keepable, stored, usage_of
from .stream import ResponsesTranslator

_STORE = re.compile(rb'("store"\s*:\s*)false')
_PREVIOUS = re.compile(rb'("previous_response_id"\s*:\s*)null')
_Item = dict[str, Any]


class ResponsesFollower:
    """Passes one answer on, and looks what it comes to: for keeping, and for the case that it breaks off."""

    def __init__(self, given: Mapping[str, Any], request_id: str) -> None:
        self.final: dict[str, Any] | None = None
        self._given = given
        self._request_id = request_id
        self._begun: dict[str, Any] = {}
        self._items: dict[Any, _Item] = {}
        self._done: set[Any] = set()
        self._number = -1
        self._last = b""

    def whole(self, completed: Completed[Any]) -> bytes:
        """An answer in one piece."""
        reply = completed.result
        model, content = reply.body.get("model"), reply.content or json_text.write(reply.body)
        own = self._owned(content, reply.body, completed.credential_id, completed.provider)
        self.final, _text = json_text.read(own)
        if type(model) is not str:
            return own
        self.final["model"] = completed.model
        return renamed(own, model, completed.model)

    def feed(self, chunk: Chunk, model: ModelSpec, credential_id: int) -> bytes:
        said, _data = json_text.read(chunk.data)
        block = chunk.block or b"data: %b\n\n" % chunk.data
        if type(said.get("response")) is dict or b'"encrypted_content"' in block:
            block = self._owned(block, said, credential_id, model.provider)
        if chunk.model:
            block = renamed(block, chunk.model, model.name)
        self._note(said, chunk, model)
        if chunk.last:
            # The last event leaves when the call is settled.
            self._last = block
            self.final = self._read_last(block, said)
            return b""
        return block

    def end(self, completed: Completed[Any]) -> bytes:
        return self._last

    def fail(self, answer: ErrorAnswer, completed: Completed[Any] | None) -> bytes:
        """A failure the provider tells of passes as it came, but for who we are to it; another one is told in its
        place."""
        if self._last:
            return self._without_us(answer)
        if not self._begun:
            return ResponsesTranslator(self._given, self._request_id).fail(answer, completed)
        for index, item in self._items.items():
            if index not in self._done and "status" in item:
                item["status"] = "incomplete"
        response = self._begun | {
            "status": "failed",
            "error": error_of(answer),
            "output": [self._items[index] for index in sorted(self._items)],
            "usage": usage_of(completed.used) if completed else None,
        }
        said = {"type": "response.failed", "response": response, "sequence_number": self._number + 1}
        return event("response.failed", said)

    def _without_us(self, answer: ErrorAnswer) -> bytes:
        response = self.final or {}
        error = response.get("error")
        if type(error) is not dict:
            return self._last
        said = error.get("message")
        if not (said and answer.technical and answer.code.startswith("upstream_")) or said == answer.technical:
            return self._last
        failed = {**response, "error": {**error, "message": answer.technical}}
        told = {"type": "response.failed", "response": failed, "sequence_number": self._number}
        return event("response.failed", told)

    def kept(self) -> dict[str, Any] | None:
        """The response as it is kept for its user; None: it came to nothing."""
        return keepable(self.final, self._given) if self.final else None

    # --- What it says ----------------------------------------------------------------------------------------------
    def _note(self, said: Mapping[str, Any], chunk: Chunk, model: ModelSpec) -> None:
        kind, index, number = said.get("type"), said.get("output_index"), said.get("sequence_number")
        if type(number) is int:
            self._number = number
        if type(said.get("response")) is dict:
            self._begun = {**said["response"], **self._ours(), "model": model.name}
        item = said.get("item")
        if type(item) is dict and type(index) is int:
            self._items[index] = item
            if kind == "response.output_item.done":
                self._done.add(index)
        elif kind == "response.output_text.delta" and chunk.text:
            self._more_text(index, chunk.text)

    def _more_text(self, index: Any, text: str) -> None:
        item = self._items.get(index, {})
        if item.get("type") != "message":
            return
        if not item.get("content"):
            item["content"] = [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
        part = item["content"][-1]
        if type(part) is dict and type(part.get("text")) is str:
            part["text"] += text

    def _read_last(self, block: bytes, said: Mapping[str, Any]) -> dict[str, Any] | None:
        lines = [line[5:] for line in block.split(b"\n") if line.startswith(b"data:")]
        changed = json_text.read(b"\n".join(lines))[0] if lines else said
        response = changed.get("response")
        return response if type(response) is dict else None

    # --- What is ours ----------------------------------------------------------------------------------------------
    def _ours(self) -> dict[str, Any]:
        return {"store": stored(self._given), "previous_response_id": self._given.get("previous_response_id")}

    def _owned(self, block: bytes, said: Mapping[str, Any], credential_id: int, provider: str) -> bytes:
        """What is stored, and after what, is said by us; reasoning is sealed for its account."""
        if stored(self._given):
            block = _STORE.sub(rb"\g<1>true", block, count=1)
        if previous := self._given.get("previous_response_id"):
            block = _PREVIOUS.sub(lambda found: found[1] + json_text.write(previous), block, count=1)
        kind = sealed.ARK if provider == "ark" else sealed.OPENAI
        for item in _sealable(said):
            own = sealed.seal(kind, credential_id, item["encrypted_content"])
            block = block.replace(json_text.write(item["encrypted_content"]), json_text.write(own))
            item["encrypted_content"] = own
        return block


def _sealable(said: Mapping[str, Any]) -> Iterator[_Item]:
    """The items in an event, or an answer, whose reasoning only its account can read."""
    response = said.get("response") if type(said.get("response")) is dict else said
    output = response.get("output") if response else None
    for item in (said.get("item"), *(output if type(output) is list else ())):
        if type(item) is dict and type(item.get("encrypted_content")) is str and item["encrypted_content"]:
            yield item
