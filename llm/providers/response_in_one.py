"""A response that came whole where events were asked for, event by event: there are gateways that never stream."""

from collections.abc import Iterator
from typing import Any

_JSON = dict[str, Any]
# What is not there yet of an item that begins.
_EMPTY: dict[str, _JSON] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
}
# What grows of a part, or of an item, and the events that say so.
_PARTS = {"output_text": ("text", "response.output_text"), "refusal": ("refusal", "response.refusal")}
_CALLS = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}


def events_of(response: _JSON) -> list[_JSON]:
    """All of it, in the order of OpenAI's own."""
    status = str(response.get("status") or "completed")
    told = [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": [], "usage": None}}
    ]
    if status != "failed":
        for index, item in enumerate(each for each in response["output"] if type(each) is dict):
            told += _of_item(item, {"output_index": index})
    told.append({"type": f"response.{status}", "response": response})
    return [{**each, "sequence_number": number} for number, each in enumerate(told)]


def _of_item(item: _JSON, place: _JSON) -> Iterator[_JSON]:
    kind = str(item.get("type"))
    begun = {**item, **({"status": "in_progress"} if "status" in item else {}), **_EMPTY.get(kind, {})}
    yield {"type": "response.output_item.added", **place, "item": begun}
    where = {"item_id": item.get("id"), **place}
    content = item.get("content") if kind == "message" else None
    for number, part in enumerate(content if type(content) is list else ()):
        yield from _of_part(part, {**where, "content_index": number})
    if kind in _CALLS:
        name, event = _CALLS[kind]
        yield {"type": f"{event}.delta", **where, "delta": item.get(name) or ""}
        yield {"type": f"{event}.done", **where, name: item.get(name) or ""}
    yield {"type": "response.output_item.done", **place, "item": item}


def _of_part(part: _JSON, where: _JSON) -> Iterator[_JSON]:
    name, event = _PARTS.get(str(part.get("type")), ("", ""))
    yield {"type": "response.content_part.added", **where, "part": {**part, name: ""} if name else part}
    if name:
        more: _JSON = {"logprobs": []} if name == "text" else {}
        yield {"type": f"{event}.delta", **where, "delta": part.get(name) or "", **more}
        yield {"type": f"{event}.done", **where, name: part.get(name) or "", **more}
    yield {"type": "response.content_part.done", **where, "part": part}
