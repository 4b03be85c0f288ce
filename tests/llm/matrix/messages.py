"""Anthropic's messages."""

import json
from collections.abc import Sequence
from typing import Any

from .neutral import SCHEMA, Ask, Call, Result, Said, Turn, Used, described

Body = dict[str, Any]
_STOP = {"end": "end_turn", "calls": "tool_use", "length": "max_tokens", "sequence": "stop_sequence"} | {
    "refused": "refusal"
}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


class Messages:
    """See the module. A refusal's words are its `stop_details`; in front of us, where others have them, a text."""

    name = "messages"
    door = "/v1/messages"

    # --- Requests ----------------------------------------------------------------------------------------------------
    def ask(self, ask: Ask, model: str, *, streamed: bool) -> Body:
        body: Body = {"model": model, "max_tokens": ask.limit, "messages": [self._message(turn) for turn in ask.turns]}
        if streamed:
            body["stream"] = True
        if ask.system:
            body["system"] = ask.system
        if ask.tools:
            body["tools"] = [{"name": n, "description": described(n), "input_schema": SCHEMA} for n in ask.tools]
        if ask.choice or ask.one_at_a_time:
            kind = _CHOICES.get(ask.choice or "auto")
            body["tool_choice"] = {"type": kind} if kind else {"type": "tool", "name": ask.choice}
            if ask.one_at_a_time:
                body["tool_choice"]["disable_parallel_tool_use"] = True
        config: Body = {"effort": ask.effort} if ask.effort else {}
        if ask.schema is not None:
            config["format"] = {"type": "json_schema", "schema": ask.schema}
        if config:
            body["output_config"] = config
        if ask.effort:
            body["thinking"] = {"type": "adaptive"}
        if ask.stop:
            body["stop_sequences"] = list(ask.stop)
        return body | ({"metadata": {"user_id": ask.user}} if ask.user else {})

    def _message(self, turn: Turn) -> Body:
        if turn.role == "system":
            return {"role": "system", "content": turn.text}
        blocks: list[Body] = [_result(result) for result in turn.results]
        if turn.thought:
            blocks.append({"type": "thinking", "thinking": turn.thought, "signature": turn.signature})
        if turn.text:
            blocks.append({"type": "text", "text": turn.text})
        blocks += [{"type": "image", "source": _source(picture)} for picture in turn.pictures]
        if turn.file[0]:
            blocks.append({"type": "document", "title": turn.file[0], "source": _document(turn.file[1])})
        blocks += [_use(call) for call in turn.calls]
        return {"role": turn.role, "content": blocks}

    def asked(self, body: Body) -> Ask:
        rest = dict(body)
        for name in ("model", "stream"):
            rest.pop(name, None)
        tools, choice = rest.pop("tools", []), rest.pop("tool_choice", {})
        assert all(t["input_schema"] == SCHEMA and t["description"] == described(t["name"]) for t in tools)
        config = rest.pop("output_config", {})
        assert rest.pop("thinking", None) == ({"type": "adaptive"} if "effort" in config else None)
        wanted = {kind: name for name, kind in _CHOICES.items()}.get(choice.get("type"), choice.get("name", ""))
        found = Ask(
            turns=tuple(map(self._turn, rest.pop("messages"))),
            system=rest.pop("system", ""),
            tools=tuple(tool["name"] for tool in tools),
            choice=wanted,
            one_at_a_time=choice.get("disable_parallel_tool_use", False),
            effort=config.pop("effort", ""),
            schema=config.pop("format", {}).get("schema"),
            stop=tuple(rest.pop("stop_sequences", ())),
            user=rest.pop("metadata", {}).get("user_id", ""),
            limit=rest.pop("max_tokens"),
        )
        assert (rest, config) == ({}, {})
        return found

    def _turn(self, message: Body) -> Turn:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        thoughts = [block for block in blocks if block["type"] == "thinking"] or [{}]
        assert thoughts == [{}] or blocks[0] is thoughts[0]
        results = [block for block in blocks if block["type"] == "tool_result"]
        assert results == blocks[: len(results)]
        files = [block for block in blocks if block["type"] == "document"]
        return Turn(
            role=message["role"],
            text="\n".join(block["text"] for block in blocks if block["type"] == "text"),
            pictures=tuple(_picture(block["source"]) for block in blocks if block["type"] == "image"),
            file=(files[0].get("title", ""), _document_of(files[0]["source"])) if files else ("", ""),
            thought=thoughts[0].get("thinking", ""),
            signature=thoughts[0].get("signature", ""),
            calls=tuple(_used(block) for block in blocks if block["type"] == "tool_use"),
            results=tuple(map(_result_of, results)),
        )

    # --- Answers -----------------------------------------------------------------------------------------------------
    def whole(self, said: Said, model: str) -> bytes:
        message = {**_head(model), "content": _content(said), **_stop(said), "usage": _usage(said.used)}
        return json.dumps(message).encode()

    def events(self, said: Said, model: str) -> Sequence[bytes]:
        usage = _usage(said.used)
        first = {**usage, "output_tokens": 1}
        first.pop("output_tokens_details")
        begun = {**_head(model), "content": [], "stop_reason": None, "stop_sequence": None, "usage": first}
        events: list[Body] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
        for index, block in enumerate(_content(said)):
            empty, deltas = _streamed(block)
            events.append({"type": "content_block_start", "index": index, "content_block": empty})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        events.append({"type": "message_delta", "delta": _stop(said), "usage": usage})
        return [_event(event) for event in (*events, {"type": "message_stop"})]

    def read(self, content: bytes) -> Said:
        message = json.loads(content)
        assert (message["type"], message["role"]) == ("message", "assistant")
        return _said(message["content"], message, message["usage"])

    def read_events(self, content: bytes) -> Said:
        events = _events(content)
        blocks, rest = _blocks(events)
        assert [event["type"] for event in rest] == ["message_start", "message_delta", "message_stop"]
        first, last = rest[0]["message"]["usage"], rest[1]["usage"]
        assert all(first[name] <= last[name] for name in first if name in last), (first, last)
        return _said(blocks, rest[1]["delta"], last)

    # --- Errors ------------------------------------------------------------------------------------------------------
    def error(self, text: str) -> bytes:
        error = {"type": "invalid_request_error", "message": text}
        return json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()

    def broken(self, model: str) -> Sequence[bytes]:
        begun = [event for event in self.events(Said("Hello"), model) if b'"Hel' in event or b"_start" in event]
        error = {"type": "error", "error": {"type": "api_error", "message": "boiler broke"}}
        return [*begun[:2], _event(_delta(0, {"type": "text_delta", "text": "Hel"})), _event(error)]

    def error_in(self, content: bytes) -> str:
        said = json.loads(content)
        assert (said["type"], said["error"]["type"]) == ("error", "invalid_request_error")
        return str(said["error"]["message"])

    def error_in_events(self, content: bytes) -> tuple[str, str]:
        *events, last = _events(content)
        assert last["type"] == "error"
        blocks, _rest = _blocks([*events, {"type": "content_block_stop", "index": 0}])
        return blocks[0]["text"], last["error"]["message"]


def _source(picture: str) -> Body:
    if not picture.startswith("data:"):
        return {"type": "url", "url": picture}
    media_type, _, data = picture.removeprefix("data:").partition(";base64,")
    return {"type": "base64", "media_type": media_type, "data": data}


def _document(data: str) -> Body:
    if data.startswith("https://"):
        return {"type": "url", "url": data}
    return {"type": "base64", "media_type": "application/pdf", "data": data}


def _document_of(source: Body) -> str:
    return str(source["url"] if source["type"] == "url" else source["data"])


def _picture(source: Body) -> str:
    return source["url"] if source["type"] == "url" else f"data:{source['media_type']};base64,{source['data']}"


def _result(result: Result) -> Body:
    content: list[Body] = [{"type": "text", "text": result.text}]
    if result.picture:
        content.append({"type": "image", "source": _source(result.picture)})
    found: Body = {"type": "tool_result", "tool_use_id": result.id, "content": content}
    return found | ({"is_error": True} if result.failed else {})


def _result_of(block: Body) -> Result:
    content = block["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    pictures = [_picture(each["source"]) for each in blocks if each["type"] == "image"]
    return Result(block["tool_use_id"], blocks[0]["text"], *pictures, failed=block.get("is_error", False))


def _use(call: Call) -> Body:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}


def _used(block: Body) -> Call:
    return Call(block["id"], block["name"], block["input"])


def _content(said: Said) -> list[Body]:
    blocks: list[Body] = []
    if said.thought:
        blocks.append({"type": "thinking", "thinking": said.thought, "signature": said.signature})
    if said.text:
        blocks.append({"type": "text", "text": said.text})
    return blocks + [_use(call) for call in said.calls]


def _streamed(block: Body) -> tuple[Body, list[Body]]:
    """A block as it begins, and what follows."""
    kind = block["type"]
    if kind == "tool_use":
        text = json.dumps(block["input"])
        parts = [{"type": "input_json_delta", "partial_json": part} for part in (text[:4], text[4:])]
        return {**block, "input": {}}, parts
    deltas = [{"type": f"{kind}_delta", kind: part} for part in (block[kind][:3], block[kind][3:])]
    if kind == "thinking":
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    return {**block, kind: "", **({"signature": ""} if kind == "thinking" else {})}, deltas


def _head(model: str) -> Body:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model}


def _stop(said: Said) -> Body:
    stop: Body = {"stop_reason": _STOP[said.stop], "stop_sequence": said.sequence or None}
    details = {"type": "refusal", "category": None, "explanation": said.refusal}
    return stop | ({"stop_details": details} if said.refusal else {})


def _usage(used: Used) -> Body:
    return {
        "input_tokens": used.read - used.cached - used.written,
        "cache_creation_input_tokens": used.written,
        "cache_read_input_tokens": used.cached,
        "output_tokens": used.wrote,
        "output_tokens_details": {"thinking_tokens": used.thought},
    }


def _event(said: Body) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (said["type"].encode(), json.dumps(said).encode())


def _delta(index: int, delta: Body) -> Body:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _events(content: bytes) -> list[Body]:
    events = []
    for block in content.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return [event for event in events if event["type"] != "ping"]


def _blocks(events: list[Body]) -> tuple[list[Body], list[Body]]:
    """The blocks of a stream, which come one after another, and the other events."""
    blocks: list[Body] = []
    rest, is_open = [], False
    for event in events:
        kind = event["type"]
        if not kind.startswith("content_block"):
            assert not is_open, event
            rest.append(event)
            continue
        assert is_open == (kind != "content_block_start"), event
        assert event["index"] == len(blocks) - is_open
        is_open = kind != "content_block_stop"
        if kind == "content_block_start":
            blocks.append({**event["content_block"], "parts": ""})
        elif kind == "content_block_delta":
            _add(blocks[-1], event["delta"])
    for block in blocks:
        parts = block.pop("parts")
        if block["type"] == "tool_use":
            block["input"] = json.loads(parts)
    return blocks, rest


def _add(block: Body, delta: Body) -> None:
    for key, value in delta.items():
        if key == "partial_json":
            block["parts"] += value
        elif key != "type":
            assert block["type"] == {"signature": "thinking"}.get(key, key)
            block[key] += value


def _said(blocks: list[Body], end: Body, usage: Body) -> Said:
    thoughts = [block for block in blocks if block["type"] == "thinking"] or [{}]
    stop = next(name for name, reason in _STOP.items() if reason == end["stop_reason"])
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    return Said(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        thought=thoughts[0].get("thinking", ""),
        signature=thoughts[0].get("signature", ""),
        calls=tuple(_used(block) for block in blocks if block["type"] == "tool_use"),
        refusal=(end.get("stop_details") or {}).get("explanation", ""),
        stop=stop,
        sequence=end["stop_sequence"] or "",
        used=Used(
            usage["input_tokens"] + read + written,
            read,
            written,
            usage["output_tokens"],
            usage.get("output_tokens_details", {}).get("thinking_tokens", 0),
        ),
    )
