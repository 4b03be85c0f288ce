"""Chat chunks as the events of a response, in the order its clients know.

created and in_progress; each item opens, gets its deltas and is done, numbered by when it opened; calls of tools that
come in turns stay open until the end; the last event tells all of it, with what was used.
"""

import secrets
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from voicehelper.api.errors import ErrorAnswer

from ...providers import json_text
from ...providers.base import Chunk
from ...relay.catalogue import ModelSpec
from ...relay.settling import Completed
from ..base import event
from ..finishes import finish_of
from . import sealed
from .answer import Response, error_of, keepable, reasoning_tokens, usage_of
from .tools import DeclaredTool, Toolbox, toolbox, unwrapped

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_REFUSED = "The provider's content filter stopped this answer."
_SUMMARY = "response.reasoning_summary"
_Item = dict[str, Any]


class _ToolCall:
    """A call of a tool: nothing of it is told before its name is known."""

    def __init__(self) -> None:
        self.id = ""
        self.arguments = ""
        self.item: _Item | None = None
        self.index = -1
        self.tool = DeclaredTool("")


class ResponsesTranslator:
    """See the module. `output` are the items so far, sealed reasoning included."""

    def __init__(self, given: Mapping[str, Any], request_id: str) -> None:
        self.output: list[_Item] = []
        self.final: dict[str, Any] | None = None
        self._given = given
        self._seals = "reasoning.encrypted_content" in (given.get("include") or ())
        self._response = Response(given, request_id, str(given.get("model")))
        self._events: list[bytes] = []
        self._number = 0
        self._begun = False
        self._credential_id = 0
        # The message and the reasoning that are open, by their output_index, and the calls, by the chat's.
        self._message: int | None = None
        self._thinking: int | None = None
        self._blocks: list[Any] = []
        self._calls: dict[int, _ToolCall] = {}
        self._call_ids: set[str] = set()
        self._done: set[int] = set()
        self._finish = "stop"
        self._reasoning_tokens = 0

    @cached_property
    def _box(self) -> Toolbox:
        return toolbox(self._given)

    # --- What comes ------------------------------------------------------------------------------------------------
    def feed(self, chunk: Chunk, model: ModelSpec, credential_id: int) -> bytes:
        self._begin(model.name)
        said, _data = json_text.read(chunk.data)
        self._credential_id = credential_id
        self.read(said, "delta")
        return self._taken()

    def whole(self, completed: Completed[Any]) -> bytes:
        """A whole chat answer as a response."""
        self._response.model = completed.model
        self._credential_id = completed.credential_id
        self.read(completed.result.body, "message")
        self.end(completed, whole=True)
        return json_text.write(self.final)

    def read(self, said: Mapping[str, Any], name: str) -> None:
        """A chunk's deltas, or an answer's message."""
        self._reasoning_tokens = max(self._reasoning_tokens, reasoning_tokens(said.get("usage")))
        for choice in (said.get("choices") or ())[:1]:
            delta = choice.get(name) or {}
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if thought and type(thought) is str:
                self._think(thought)
            if type(delta.get("thinking_blocks")) is list and delta["thinking_blocks"]:
                self._open_reasoning()
                self._blocks += delta["thinking_blocks"]
            if delta.get("content") and type(delta["content"]) is str:
                self._say("output_text", delta["content"])
            if delta.get("refusal") and type(delta["refusal"]) is str:
                self._say("refusal", delta["refusal"])
            for number, call in enumerate(delta.get("tool_calls") or ()):
                self._call(number if name == "message" else call.get("index", 0), call)
            if choice.get("finish_reason"):
                self._finish = finish_of(choice)

    def end(self, completed: Completed[Any], *, whole: bool = False) -> bytes:
        """The last events, with what was used."""
        self._begin(completed.model)
        incomplete = _INCOMPLETE.get(self._finish, "")
        if incomplete == "content_filter":
            incomplete = self._refused(incomplete)
        self._close_all("incomplete" if incomplete else "completed")
        usage = usage_of(completed.used, self._reasoning_tokens)
        status = "incomplete" if incomplete else "completed"
        self.final = self._response.told(status, self._shown(), usage=usage, incomplete=incomplete, whole=whole)
        if completed.used.service_tier:
            self.final["service_tier"] = completed.used.service_tier
        self._add(f"response.{status}", response=self.final)
        return self._taken()

    def _refused(self, incomplete: str) -> str:
        """A refusal in place of an answer is complete; clients repeat what is not. One that cuts words off is not."""
        kinds = {part["type"] for item in self.output for part in item.get("content") or ()}
        if not kinds and not self._calls:
            self._say("refusal", _REFUSED)
            kinds = {"refusal"}
        return "" if kinds == {"refusal"} else incomplete

    def fail(self, answer: ErrorAnswer, completed: Completed[Any] | None) -> bytes:
        """The last events of an answer that broke off, with what there is of it. A call that is not whole is not told
        as done: clients would carry it out."""
        self._begin(completed.model if completed else self._response.model)
        self._close_message("incomplete")
        self._close_reasoning()
        for call in self._calls.values():
            if call.item is not None:
                self._write_arguments(call, "incomplete")
        usage = usage_of(completed.used, self._reasoning_tokens) if completed else None
        self.final = self._response.told("failed", self._shown(), usage=usage, error=error_of(answer))
        self._add("response.failed", response=self.final)
        return self._taken()

    def kept(self) -> dict[str, Any] | None:
        """The response as it is kept for its user, sealed reasoning included. None: it came to nothing."""
        return keepable({**self.final, "output": self.output}, self._given) if self.final else None

    # --- Thoughts --------------------------------------------------------------------------------------------------
    def _think(self, thought: str) -> None:
        index = self._open_reasoning()
        item = self.output[index]
        where = {"item_id": item["id"], "output_index": index, "summary_index": 0}
        if not item["summary"]:
            item["summary"].append({"type": "summary_text", "text": ""})
            self._add(f"{_SUMMARY}_part.added", **where, part={"type": "summary_text", "text": ""})
        item["summary"][0]["text"] += thought
        self._add(f"{_SUMMARY}_text.delta", **where, delta=thought)

    def _open_reasoning(self) -> int:
        if self._thinking is None:
            self._close_message("completed")
            self._thinking = self._open({"id": self._new_id("rs"), "type": "reasoning", "summary": []})
        return self._thinking

    def _close_reasoning(self) -> None:
        index, self._thinking = self._thinking, None
        if index is None:
            return
        item = self.output[index]
        where = {"item_id": item["id"], "output_index": index, "summary_index": 0}
        for part in item["summary"]:
            self._add(f"{_SUMMARY}_text.done", **where, text=part["text"])
            self._add(f"{_SUMMARY}_part.done", **where, part=part)
        text = "".join(part["text"] for part in item["summary"])
        if self._blocks:
            content = sealed.seal_blocks(self._credential_id, self._blocks)
        else:
            content = sealed.seal_thoughts(self._credential_id, text)
        if content:
            item["encrypted_content"] = content
        self._blocks = []
        self._finished(index)

    # --- Words -----------------------------------------------------------------------------------------------------
    def _say(self, kind: str, words: str) -> None:
        self._close_reasoning()
        if self._message is None:
            opened = {"id": self._new_id("msg"), "type": "message", "status": "in_progress", "role": "assistant"}
            self._message = self._open({**opened, "content": []})
        item = self.output[self._message]
        field = "text" if kind == "output_text" else "refusal"
        where = {"item_id": item["id"], "output_index": self._message}
        parts = item["content"]
        if not parts or parts[-1]["type"] != kind:
            self._close_part()
            parts.append(_part(kind, ""))
            self._add("response.content_part.added", **where, content_index=len(parts) - 1, part=_part(kind, ""))
        parts[-1][field] += words
        more: dict[str, Any] = {"logprobs": []} if field == "text" else {}
        self._add(f"response.{kind}.delta", **where, content_index=len(parts) - 1, delta=words, **more)

    def _close_part(self) -> None:
        item = self.output[self._message] if self._message is not None else {}
        if not item.get("content"):
            return
        part = item["content"][-1]
        where = {"item_id": item["id"], "output_index": self._message, "content_index": len(item["content"]) - 1}
        if part["type"] == "output_text":
            self._add("response.output_text.done", **where, text=part["text"], logprobs=[])
        else:
            self._add("response.refusal.done", **where, refusal=part["refusal"])
        self._add("response.content_part.done", **where, part=part)

    def _close_message(self, status: str) -> None:
        if self._message is None:
            return
        self._close_part()
        index, self._message = self._message, None
        self.output[index]["status"] = status
        self._finished(index)

    # --- Calls -----------------------------------------------------------------------------------------------------
    def _call(self, number: int, said: Mapping[str, Any]) -> None:
        call = self._calls.setdefault(number, _ToolCall())
        function = said.get("function") or {}
        delta = function.get("arguments") or ""
        call.id = call.id or said.get("id") or ""
        call.arguments += delta
        if call.item is None:
            if not function.get("name"):
                return
            self._open_call(call, function["name"])
            delta = call.arguments
        if delta and call.item is not None and not call.tool.custom:
            where = {"item_id": call.item["id"], "output_index": call.index}
            self._add("response.function_call_arguments.delta", **where, delta=delta)

    def _open_call(self, call: _ToolCall, function: str) -> None:
        self._close_reasoning()
        self._close_message("completed")
        tool = call.tool = self._box.tool(function)
        while not call.id or call.id in self._call_ids:
            call.id = f"call_{secrets.token_hex(12)}"
        self._call_ids.add(call.id)
        prefix, kind, text = (
            ("ctc", "custom_tool_call", "input") if tool.custom else ("fc", "function_call", "arguments")
        )
        item = {"id": self._new_id(prefix), "type": kind, "status": "in_progress", "call_id": call.id}
        item |= {"name": tool.name, text: ""}
        if tool.namespace:
            item["namespace"] = tool.namespace
        call.item = item
        call.index = self._open(item)

    def _write_arguments(self, call: _ToolCall, status: str) -> str:
        """What a call is given, into its item."""
        item = call.item or {}
        text = unwrapped(call.arguments) if call.tool.custom else call.arguments or "{}"
        item["input" if call.tool.custom else "arguments"] = text
        item["status"] = status
        return text

    def _close_call(self, call: _ToolCall, status: str) -> None:
        if call.item is None:
            return
        text = self._write_arguments(call, status)
        where = {"item_id": call.item["id"], "output_index": call.index}
        if call.tool.custom:
            if text:
                self._add("response.custom_tool_call_input.delta", **where, delta=text)
            self._add("response.custom_tool_call_input.done", **where, input=text)
        else:
            name = call.item["name"]
            self._add("response.function_call_arguments.done", **where, name=name, arguments=text)
        self._finished(call.index)

    # --- Items and events ------------------------------------------------------------------------------------------
    def _close_all(self, status: str) -> None:
        """Whatever is open, in the order of its opening."""
        calls = {call.index: call for call in self._calls.values()}
        for index in range(len(self.output)):
            if index == self._message:
                self._close_message(status)
            elif index == self._thinking:
                self._close_reasoning()
            elif index in calls:
                self._close_call(calls[index], status)

    def _open(self, item: _Item) -> int:
        self.output.append(item)
        index = len(self.output) - 1
        self._add("response.output_item.added", output_index=index, item=item)
        return index

    def _finished(self, index: int) -> None:
        self._add("response.output_item.done", output_index=index, item=self._given_out(self.output[index]))

    def _given_out(self, item: _Item) -> _Item:
        return item if self._seals else unsealed(item)

    def _shown(self) -> list[_Item]:
        return list(map(self._given_out, self.output))

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{self._response.id.removeprefix('resp_')}{len(self.output):04x}"

    def _begin(self, model: str) -> None:
        if self._begun:
            return
        self._begun = True
        self._response.model = model
        for name in ("created", "in_progress"):
            self._add(f"response.{name}", response=self._response.told("in_progress", []))

    def _add(self, kind: str, /, **data: Any) -> None:
        self._events.append(event(kind, {"type": kind, **data, "sequence_number": self._number}))
        self._number += 1

    def _taken(self) -> bytes:
        events, self._events = b"".join(self._events), []
        return events


def unsealed(item: Mapping[str, Any]) -> _Item:
    """An item as it is given to whoever did not ask for sealed reasoning."""
    return {name: value for name, value in item.items() if name != "encrypted_content"}


def _part(kind: str, text: str) -> _Item:
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
