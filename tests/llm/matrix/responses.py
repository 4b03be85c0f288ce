"""OpenAI's Responses."""

import json
from collections.abc import Sequence
from typing import Any

from .chat import Chat
from .neutral import SCHEMA, Ask, Call, Result, Said, Turn, Used, described, halves

Body = dict[str, Any]
_DONE = {"output_text": ("text", "response.output_text"), "refusal": ("refusal", "response.refusal")}
_SUMMARY = "response.reasoning_summary_text"
_ARGUMENTS = "response.function_call_arguments"
_PDF = "data:application/pdf;base64,"


class Responses:
    """See the module. Thoughts are summaries; what their author wants to see again is `encrypted_content`."""

    name = "responses"
    door = "/v1/responses"

    # --- Requests ----------------------------------------------------------------------------------------------------
    def ask(self, ask: Ask, model: str, *, streamed: bool) -> Body:
        items = [item for turn in ask.turns for item in _items(turn)]
        body: Body = {"model": model, "input": items, "max_output_tokens": ask.limit, "store": False}
        if streamed:
            body["stream"] = True
        if ask.system:
            body["instructions"] = ask.system
        if ask.tools:
            body["tools"] = [
                {"type": "function", "name": n, "description": described(n), "parameters": SCHEMA, "strict": False}
                for n in ask.tools
            ]
        if ask.choice:
            named = {"type": "function", "name": ask.choice}
            body["tool_choice"] = named if ask.choice in ask.tools else ask.choice
        if ask.one_at_a_time:
            body["parallel_tool_calls"] = False
        if ask.effort:
            body |= {"reasoning": {"effort": ask.effort}, "include": ["reasoning.encrypted_content"]}
        if ask.schema is not None:
            form = {"type": "json_schema", "name": "answer", "schema": ask.schema, "strict": True}
            body["text"] = {"format": form if ask.schema else {"type": "json_object"}}
        return body | ({"user": ask.user} if ask.user else {})

    def asked(self, body: Body) -> Ask:
        rest = dict(body)
        assert rest.pop("store") is False
        for name in ("model", "stream", "include"):
            rest.pop(name, None)
        system, turns = rest.pop("instructions", ""), []
        for item in rest.pop("input"):
            if item.get("role") in ("system", "developer") and not (system or turns):
                system = _parts(item["content"])[0]
            else:
                _turn(item, turns)
        tools, choice = rest.pop("tools", []), rest.pop("tool_choice", "")
        assert all(t["parameters"] == SCHEMA and t["description"] == described(t["name"]) for t in tools)
        form = rest.pop("text", {}).get("format")
        found = Ask(
            turns=tuple(turns),
            system=system,
            tools=tuple(tool["name"] for tool in tools),
            choice=choice if isinstance(choice, str) else choice["name"],
            one_at_a_time=rest.pop("parallel_tool_calls", True) is False,
            effort=rest.pop("reasoning", {}).get("effort", ""),
            schema=form.get("schema", {}) if form else None,
            user=rest.pop("user", ""),
            limit=rest.pop("max_output_tokens"),
        )
        assert rest == {}, rest
        return found

    # --- Answers -----------------------------------------------------------------------------------------------------
    def whole(self, said: Said, model: str) -> bytes:
        return json.dumps(_response(model, _output(said), said)).encode()

    def events(self, said: Said, model: str) -> Sequence[bytes]:
        begun = _response(model, [], None)
        events: list[Body] = [{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")]
        output = _output(said)
        calls = [number for number, item in enumerate(output) if item["type"] == "function_call"]
        for number, item in enumerate(output):
            events += _opened(number, item)
            if number not in calls:
                events += _written(number, item)
        # Calls that are made together come together.
        for pieces in zip(*(halves(output[number]["arguments"]) for number in calls), strict=True):
            for number, piece in zip(calls, pieces, strict=True):
                at = {"item_id": output[number]["id"], "output_index": number}
                events.append({"type": f"{_ARGUMENTS}.delta", **at, "delta": piece})
        for number in calls:
            events += _written(number, output[number])
        last = _response(model, output, said)
        return _numbered([*events, {"type": f"response.{last['status']}", "response": last}])

    def read(self, content: bytes) -> Said:
        response = json.loads(content)
        assert (response["object"], response["error"]) == ("response", None)
        return _said(response["output"], response)

    def read_events(self, content: bytes) -> Said:
        events = _events(content)
        assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
        last = events[-1]
        assert last["type"] in ("response.completed", "response.incomplete")
        output = _checked(events[2:-1])
        assert last["response"]["output"] == output
        return _said(output, last["response"])

    # --- Errors ------------------------------------------------------------------------------------------------------
    def error(self, text: str) -> bytes:
        return Chat().error(text)

    def broken(self, model: str) -> Sequence[bytes]:
        begun = self.events(Said("Hello"), model)[:4]
        delta = {"type": "response.output_text.delta", "item_id": "item_0", "output_index": 0, "content_index": 0}
        error = {"code": "server_error", "message": "boiler broke"}
        failed = {**_response(model, [], Said("Hel")), "status": "failed", "error": error}
        more = _numbered([{**delta, "delta": "Hel"}, {"type": "response.failed", "response": failed}], len(begun))
        return [*begun, *more]

    def error_in(self, content: bytes) -> str:
        return Chat().error_in(content)

    def error_in_events(self, content: bytes) -> tuple[str, str]:
        events = _events(content)
        texts = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        assert events[-1]["type"] == "response.failed"
        assert events[-1]["response"]["usage"]
        return "".join(texts), events[-1]["response"]["error"]["message"]


# --- Items in --------------------------------------------------------------------------------------------------------
def _items(turn: Turn) -> list[Body]:
    items: list[Body] = [_output_of(result) for result in turn.results]
    if turn.thought:
        summary = [{"type": "summary_text", "text": turn.thought}]
        items.append({"type": "reasoning", "summary": summary, "encrypted_content": turn.signature})
    kind = "output_text" if turn.role == "assistant" else "input_text"
    parts: list[Body] = [{"type": kind, "text": turn.text}] if turn.text else []
    parts += [{"type": "input_image", "image_url": picture} for picture in turn.pictures]
    if turn.file[0]:
        there = turn.file[1].startswith("https://")
        data = {"file_url": turn.file[1]} if there else {"file_data": f"{_PDF}{turn.file[1]}"}
        parts.append({"type": "input_file", "filename": turn.file[0], **data})
    if turn.sound:
        parts.append({"type": "input_audio", "input_audio": {"data": turn.sound, "format": "mp3"}})
    if parts:
        role = "developer" if turn.role == "system" else turn.role
        items.append({"type": "message", "role": role, "content": parts})
    return items + [_call(call) for call in turn.calls]


def _output_of(result: Result) -> Body:
    parts = [{"type": "input_text", "text": result.text}, {"type": "input_image", "image_url": result.picture}]
    output = parts if result.picture else result.text
    return {"type": "function_call_output", "call_id": result.id, "output": output}


def _call(call: Call) -> Body:
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": json.dumps(call.arguments)}


def _called(item: Body) -> Call:
    return Call(item["call_id"], item["name"], json.loads(item["arguments"]))


def _parts(content: Any) -> tuple[str, tuple[str, ...], tuple[str, str], str]:
    parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    texts = [part["text"] for part in parts if part["type"] in ("input_text", "output_text")]
    pictures = [part["image_url"] for part in parts if part["type"] == "input_image"]
    files = [part for part in parts if part["type"] == "input_file"]
    sounds = [part["input_audio"]["data"] for part in parts if part["type"] == "input_audio"]
    assert len(texts) + len(pictures) + len(files) + len(sounds) == len(parts), parts
    data = [part.get("file_url") or part["file_data"].removeprefix(_PDF) for part in files]
    file = (files[0]["filename"], data[0]) if files else ("", "")
    return "\n".join(texts), tuple(pictures), file, "".join(sounds)


def _turn(item: Body, turns: list[Turn]) -> None:
    """An assistant's thoughts, words and calls are one turn, and so are results and what the user says after them."""
    kind = item.get("type", "message")
    before = turns[-1] if turns else Turn("")
    if kind == "function_call_output":
        text, pictures, *_none = _parts(item["output"])
        earlier = turns.pop().results if before.results else ()
        turns.append(Turn("user", results=(*earlier, Result(item["call_id"], text, *pictures))))
    elif kind == "reasoning":
        thought = "".join(part["text"] for part in item["summary"])
        turns.append(Turn("assistant", thought=thought, signature=item.get("encrypted_content") or ""))
    elif kind == "function_call":
        said = turns.pop() if before.role == "assistant" else Turn("assistant")
        calls = (*said.calls, _called(item))
        turns.append(Turn("assistant", said.text, thought=said.thought, signature=said.signature, calls=calls))
    else:
        assert kind == "message"
        role = {"developer": "system"}.get(item["role"], item["role"])
        words = _parts(item["content"])
        if role == "user" and before.results and not before.text:
            turns.append(Turn("user", *words, results=turns.pop().results))
        elif role == "assistant" and before.thought and not (before.text or before.calls):
            turns.append(Turn(role, *words, before.thought, turns.pop().signature))
        else:
            turns.append(Turn(role, *words))


# --- Items out -------------------------------------------------------------------------------------------------------
def _output(said: Said) -> list[Body]:
    items: list[Body] = []
    if said.thought:
        summary = [{"type": "summary_text", "text": said.thought}]
        secret = {"encrypted_content": said.signature} if said.signature else {}
        items.append({"type": "reasoning", "summary": summary, **secret})
    parts: list[Body] = []
    if said.text:
        parts.append({"type": "output_text", "text": said.text, "annotations": [], "logprobs": []})
    if said.refusal:
        parts.append({"type": "refusal", "refusal": said.refusal})
    if parts:
        items.append({"type": "message", "role": "assistant", "content": parts})
    items += [_call(call) for call in said.calls]
    return [{"id": f"item_{number}", "status": "completed", **item} for number, item in enumerate(items)]


def _response(model: str, output: list[Body], said: Said | None) -> Body:
    cut = said is not None and said.stop == "length"
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": model,
        "status": "in_progress" if said is None else "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": output,
        "usage": None if said is None else _usage(said.used),
    }


def _usage(used: Used) -> Body:
    return {
        "input_tokens": used.read,
        "input_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": used.written},
        "output_tokens": used.wrote,
        "output_tokens_details": {"reasoning_tokens": used.thought},
        "total_tokens": used.read + used.wrote,
    }


def _opened(number: int, item: Body) -> list[Body]:
    empty = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""}}
    begun = {**item, **empty[item["type"]], "status": "in_progress"}
    return [{"type": "response.output_item.added", "output_index": number, "item": begun}]


def _written(number: int, item: Body) -> list[Body]:
    """What an item holds, and that it is done."""
    at = {"item_id": item["id"], "output_index": number}
    events: list[Body] = []
    for index, part in enumerate(item.get("content") or ()):
        name, kind = _DONE[part["type"]]
        here = {**at, "content_index": index}
        events.append({"type": "response.content_part.added", **here, "part": {**part, name: ""}})
        events += [{"type": f"{kind}.delta", **here, "delta": piece} for piece in halves(part[name])]
        events.append({"type": f"{kind}.done", **here, name: part[name]})
        events.append({"type": "response.content_part.done", **here, "part": part})
    for index, part in enumerate(item.get("summary") or ()):
        here = {**at, "summary_index": index}
        events.append({"type": "response.reasoning_summary_part.added", **here, "part": {**part, "text": ""}})
        events += [{"type": f"{_SUMMARY}.delta", **here, "delta": piece} for piece in halves(part["text"])]
        events.append({"type": f"{_SUMMARY}.done", **here, "text": part["text"]})
        events.append({"type": "response.reasoning_summary_part.done", **here, "part": part})
    if item["type"] == "function_call":
        events.append({"type": f"{_ARGUMENTS}.done", **at, "arguments": item["arguments"]})
    return [*events, {"type": "response.output_item.done", "output_index": number, "item": item}]


def _numbered(events: list[Body], first: int = 0) -> list[bytes]:
    return [
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps({**event, "sequence_number": number}).encode())
        for number, event in enumerate(events, first)
    ]


def _events(content: bytes) -> list[Body]:
    events = []
    for number, block in enumerate(content.decode().removesuffix("\n\n").split("\n\n")):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert (name, event["sequence_number"]) == (f"event: {event['type']}", number)
        events.append(event)
    return events


def _checked(events: list[Body]) -> list[Body]:
    """The items of a stream: each is opened once, its pieces are what it is when it is done."""
    opened: dict[int, str] = {}
    pieces: dict[tuple[str, str], str] = {}
    done: dict[int, Body] = {}
    for event in events:
        kind, number = event["type"], event["output_index"]
        if kind == "response.output_item.added":
            assert number == len(opened)
            opened[number] = event["item"]["id"]
        elif kind == "response.output_item.done":
            assert opened[number] == event["item"]["id"]
            done[number] = event["item"]
        else:
            assert opened[number] == event["item_id"]
            assert number not in done
            if kind.endswith(".delta"):
                key = event["item_id"], kind
                pieces[key] = pieces.get(key, "") + event["delta"]
    for item in done.values():
        for part in (*(item.get("content") or ()), *(item.get("summary") or ())):
            kind, key = {"summary_text": (_SUMMARY, "text")}.get(part["type"]) or _DONE[part["type"]][::-1]
            assert pieces[item["id"], f"{kind}.delta"] == part[key]
        if item["type"] == "function_call":
            assert pieces[item["id"], f"{_ARGUMENTS}.delta"] == item["arguments"]
    assert list(done) == sorted(opened) or set(done) == set(opened)
    return [done[number] for number in sorted(done)]


def _said(output: list[Body], response: Body) -> Said:
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    thoughts = [item for item in output if item["type"] == "reasoning"] or [{"summary": []}]
    calls = tuple(_called(item) for item in output if item["type"] == "function_call")
    refusal = "".join(part["refusal"] for part in parts if part["type"] == "refusal")
    cut = response["status"] == "incomplete"
    assert (response["incomplete_details"] == {"reason": "max_output_tokens"}) == cut
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    return Said(
        text="".join(part["text"] for part in parts if part["type"] == "output_text"),
        thought="".join(part["text"] for part in thoughts[0]["summary"]),
        signature=thoughts[0].get("encrypted_content") or "",
        calls=calls,
        refusal=refusal,
        stop="length" if cut else "calls" if calls else "refused" if refusal else "end",
        used=Used(
            usage["input_tokens"],
            usage["input_tokens_details"]["cached_tokens"],
            usage["input_tokens_details"].get("cache_write_tokens", 0),
            usage["output_tokens"],
            usage["output_tokens_details"]["reasoning_tokens"],
        ),
    )
