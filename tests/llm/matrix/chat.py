"""OpenAI's chat completions."""

import json
from collections.abc import Sequence
from typing import Any

from .neutral import SCHEMA, Ask, Call, Result, Said, Turn, Used, described, halves

Body = dict[str, Any]
_FINISH = {"end": "stop", "calls": "tool_calls", "length": "length", "sequence": "stop", "refused": "content_filter"}


def _url(picture: str) -> Body:
    return {"type": "image_url", "image_url": {"url": picture}}


class Chat:
    """See the module. Thoughts that are signed travel as `thinking_blocks`, a sequence that stopped an answer as the
    choice's `stop_reason`."""

    name = "chat"
    door = "/v1/chat/completions"

    # --- Requests ----------------------------------------------------------------------------------------------------
    def ask(self, ask: Ask, model: str, *, streamed: bool) -> Body:
        system = [{"role": "system", "content": ask.system}] if ask.system else []
        body: Body = {"model": model, "messages": [*system, *(m for turn in ask.turns for m in self._messages(turn))]}
        body["max_tokens"] = ask.limit
        if streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if ask.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": n, "description": described(n), "parameters": SCHEMA}}
                for n in ask.tools
            ]
        if ask.choice:
            named = {"type": "function", "function": {"name": ask.choice}}
            body["tool_choice"] = named if ask.choice in ask.tools else ask.choice
        if ask.one_at_a_time:
            body["parallel_tool_calls"] = False
        if ask.schema is not None:
            schema = {"name": "answer", "schema": ask.schema, "strict": True}
            form = {"type": "json_schema", "json_schema": schema} if ask.schema else {"type": "json_object"}
            body["response_format"] = form
        if ask.effort:
            body["reasoning_effort"] = ask.effort
        if ask.stop:
            body["stop"] = list(ask.stop)
        return body | ({"user": ask.user} if ask.user else {})

    def _messages(self, turn: Turn) -> list[Body]:
        if turn.role == "assistant":
            said: Body = {"role": "assistant", "content": turn.text or None}
            if turn.thought:
                said["reasoning_content"] = turn.thought
            if turn.signature:
                block = {"type": "thinking", "thinking": turn.thought, "signature": turn.signature}
                said["thinking_blocks"] = [block]
            if turn.calls:
                said["tool_calls"] = [_call(call) for call in turn.calls]
            return [said]
        messages: list[Body] = []
        for result in turn.results:
            text = {"type": "text", "text": result.text}
            content = [text, _url(result.picture)] if result.picture else result.text
            messages.append({"role": "tool", "tool_call_id": result.id, "content": content})
        parts: list[Body] = [{"type": "text", "text": turn.text}] if turn.text else []
        parts += [_url(picture) for picture in turn.pictures]
        if turn.file[0]:
            data = f"data:application/pdf;base64,{turn.file[1]}"
            parts.append({"type": "file", "file": {"filename": turn.file[0], "file_data": data}})
        if turn.sound:
            parts.append({"type": "input_audio", "input_audio": {"data": turn.sound, "format": "mp3"}})
        if parts:
            messages.append({"role": turn.role, "content": turn.text if len(parts) == 1 and turn.text else parts})
        return messages

    def asked(self, body: Body) -> Ask:
        rest = dict(body)
        for name in ("model", "stream", "stream_options"):
            rest.pop(name, None)
        system, turns = "", []
        for message in rest.pop("messages"):
            if message["role"] == "system" and not turns:
                system = message["content"]
            else:
                self._turn(message, turns)
        tools = [tool["function"] for tool in rest.pop("tools", ())]
        assert all(t["parameters"] == SCHEMA and t["description"] == described(t["name"]) for t in tools)
        choice, wanted = rest.pop("tool_choice", ""), rest.pop("response_format", None)
        found = Ask(
            turns=tuple(turns),
            system=system,
            tools=tuple(tool["name"] for tool in tools),
            choice=choice if isinstance(choice, str) else choice["function"]["name"],
            one_at_a_time=rest.pop("parallel_tool_calls", True) is False,
            effort=rest.pop("reasoning_effort", ""),
            schema=wanted and wanted.get("json_schema", {}).get("schema", {}),
            stop=tuple(rest.pop("stop", ())),
            user=rest.pop("user", ""),
            limit=rest.pop("max_tokens", 0) or rest.pop("max_completion_tokens"),
        )
        assert rest == {}, rest
        return found

    def _turn(self, message: Body, turns: list[Turn]) -> None:
        role, content = message["role"], message.get("content")
        words = _parts(content)
        if role == "tool":
            result = Result(message["tool_call_id"], words[0], *words[1])
            if turns[-1].results:
                before = turns.pop()
                turns.append(Turn("user", results=(*before.results, result)))
            else:
                turns.append(Turn("user", results=(result,)))
        elif role == "user" and turns and turns[-1].results and not turns[-1].text:
            turns.append(Turn("user", *words, results=turns.pop().results))
        else:
            blocks = message.get("thinking_blocks") or [{}]
            calls = tuple(_called(call) for call in message.get("tool_calls") or ())
            thought, signature = message.get("reasoning_content", ""), blocks[0].get("signature", "")
            turns.append(Turn(role, *words, thought, signature, calls))

    # --- Answers -----------------------------------------------------------------------------------------------------
    def whole(self, said: Said, model: str) -> bytes:
        message: Body = {"role": "assistant", "content": said.text or None}
        if said.thought:
            message["reasoning_content"] = said.thought
        if said.refusal:
            message["refusal"] = said.refusal
        if said.calls:
            message["tool_calls"] = [_call(call) for call in said.calls]
        choice = {"index": 0, "message": message, **_stop(said)}
        body = {"id": "x", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}
        return json.dumps({**body, "usage": _usage(said.used)}).encode()

    def events(self, said: Said, model: str) -> Sequence[bytes]:
        deltas: list[Body] = [{"role": "assistant", "content": ""}]
        deltas += [{"reasoning_content": part} for part in halves(said.thought)]
        deltas += [{"content": part} for part in halves(said.text)]
        deltas += [{"refusal": part} for part in halves(said.refusal)]
        calls = [_call(call) for call in said.calls]
        for index, call in enumerate(calls):
            begun = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
            deltas.append({"tool_calls": [begun]})
        for parts in zip(*(halves(call["function"]["arguments"]) for call in calls), strict=True):
            deltas += [{"tool_calls": [{"index": i, "function": {"arguments": p}}]} for i, p in enumerate(parts)]
        chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, **_stop(said)}]})
        chunks.append({"choices": [], "usage": _usage(said.used)})
        return [*(_chunk(chunk, model) for chunk in chunks), b"data: [DONE]\n\n"]

    def read(self, content: bytes) -> Said:
        body = json.loads(content)
        (choice,) = body["choices"]
        return _said(choice["message"], choice, body["usage"])

    def read_events(self, content: bytes) -> Said:
        events = _events(content)
        assert events.pop() == "[DONE]"
        usage = events.pop()
        assert usage["choices"] == []
        return _said(_message(events), events[-1]["choices"][0], usage["usage"])

    # --- Errors ------------------------------------------------------------------------------------------------------
    def error(self, text: str) -> bytes:
        error = {"message": text, "type": "invalid_request_error", "param": None, "code": "context_length_exceeded"}
        return json.dumps({"error": error}).encode()

    def broken(self, model: str) -> Sequence[bytes]:
        word = {"choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]}
        error = {"error": {"message": "boiler broke", "type": "server_error", "code": "server_error"}}
        return [_chunk(word, model), b"data: %b\n\n" % json.dumps(error).encode()]

    def error_in(self, content: bytes) -> str:
        error = json.loads(content)["error"]
        assert error["type"] == "invalid_request_error"
        return f"{error['message']} {error['param'] or ''} ({error['code']})"

    def error_in_events(self, content: bytes) -> tuple[str, str]:
        *events, last = _events(content)
        # What was used may be told before.
        message = _message([event for event in events if event["choices"]])
        return message["content"], last["error"]["message"]


def _call(call: Call) -> Body:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
    }


def _called(call: Body) -> Call:
    assert call["type"] == "function"
    return Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))


def _parts(content: Any) -> tuple[str, tuple[str, ...], tuple[str, str], str]:
    """Words, pictures, a file and the sound of a content."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    texts = [part["text"] for part in parts if part["type"] == "text"]
    pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    files = [part["file"] for part in parts if part["type"] == "file"]
    sounds = [part["input_audio"]["data"] for part in parts if part["type"] == "input_audio"]
    assert len(texts) + len(pictures) + len(files) + len(sounds) == len(parts), parts
    head = "data:application/pdf;base64,"
    file = (files[0]["filename"], files[0]["file_data"].removeprefix(head)) if files else ("", "")
    return "\n".join(texts), tuple(pictures), file, "".join(sounds)


def _stop(said: Said) -> Body:
    told = {"stop_reason": said.sequence} if said.sequence else {}
    return {"finish_reason": _FINISH[said.stop], **told}


def _usage(used: Used) -> Body:
    return {
        "prompt_tokens": used.read,
        "completion_tokens": used.wrote,
        "total_tokens": used.read + used.wrote,
        "prompt_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": used.written},
        "completion_tokens_details": {"reasoning_tokens": used.thought},
    }


def _chunk(chunk: Body, model: str) -> bytes:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model}
    return b"data: %b\n\n" % json.dumps({**head, **chunk}).encode()


def _events(content: bytes) -> list[Any]:
    lines = [line[6:] for line in content.decode().split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def _message(events: list[Any]) -> Body:
    """The deltas of a stream as one message."""
    message: Body = {"content": ""}
    calls: dict[int, Body] = {}
    for event in events:
        (choice,) = event["choices"]
        for key, value in choice["delta"].items():
            if key == "tool_calls":
                for part in value:
                    call = calls.setdefault(part["index"], {**part, "function": {**part["function"], "arguments": ""}})
                    call["function"]["arguments"] += part["function"]["arguments"]
            elif key == "thinking_blocks":
                message[key] = message.get(key, []) + value
            elif key != "role" and value:
                message[key] = message.get(key, "") + value
    return message | ({"tool_calls": [calls[index] for index in sorted(calls)]} if calls else {})


def _said(message: Body, choice: Body, usage: Body) -> Said:
    blocks = message.get("thinking_blocks") or [{}]
    assert blocks[0].get("thinking", message.get("reasoning_content")) == message.get("reasoning_content")
    sequence = choice.get("stop_reason") or ""
    stop = next(name for name, finish in _FINISH.items() if finish == choice["finish_reason"])
    # OpenAI says `stop` of a refusal that its model writes.
    stop = "refused" if message.get("refusal") and stop == "end" else stop
    read, wrote = usage["prompt_tokens_details"], usage.get("completion_tokens_details", {})
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return Said(
        text=message.get("content") or "",
        thought=message.get("reasoning_content", ""),
        signature=blocks[0].get("signature", ""),
        calls=tuple(_called(call) for call in message.get("tool_calls") or ()),
        refusal=message.get("refusal") or "",
        stop="sequence" if sequence else stop,
        sequence=sequence,
        used=Used(
            usage["prompt_tokens"],
            read["cached_tokens"],
            read["cache_write_tokens"],
            usage["completion_tokens"],
            wrote.get("reasoning_tokens", 0),
        ),
    )
