"""OpenAI's responses, as the stand-in reads and writes them.

Source: platform.openai.com/docs/api-reference/responses and …/responses-streaming.
"""

import itertools
import json
from collections import Counter
from typing import Any

from .mind import Body, Result, Thought, Turn, is_task
from .speak_chat import data_url

_numbers = itertools.count(1)


def turn_of(body: Body) -> Turn:
    tools = _tools(body)
    question, results, shown = "", [], []
    given = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        if item.get("type") in ("function_call_output", "custom_tool_call_output"):
            results.append(Result(*_content(item["output"])))
        elif item.get("role") == "user":
            text, attached = _content(item["content"])
            shown += attached
            if text and (not question or is_task(text)):
                question, results = text, []
    return Turn(question, tools, results, shown)


def _tools(body: Body) -> dict[str, Body]:
    """By name; those of a namespace have its name before theirs."""
    found = {}
    for tool in body.get("tools") or ():
        if tool["type"] == "namespace":
            found |= {f"{tool['name']}__{inner['name']}": inner for inner in tool["tools"]}
        elif tool.get("name"):
            found[tool["name"]] = tool
    return found


def _content(content: Any) -> tuple[str, tuple[str, ...]]:
    if isinstance(content, str):
        return content, ()
    texts = [part["text"] for part in content if part["type"] in ("input_text", "output_text")]
    urls = [part["image_url"] for part in content if part["type"] == "input_image"]
    return "\n".join(texts), tuple(data_url(url) for url in urls)


def answer(body: Body, thought: Thought, used: Counter[str]) -> Body:
    return _response(body) | {"status": "completed", "output": [_item(body, thought)], "usage": _usage(used)}


def _response(body: Body) -> Body:
    return {
        "id": f"resp_{next(_numbers):024x}",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "store": False,
        "usage": None,
    }


def _item(body: Body, thought: Thought) -> Body:
    if not thought.call:
        part = {"type": "output_text", "text": thought.text, "annotations": [], "logprobs": []}
        head = {"id": f"msg_{next(_numbers):024x}", "type": "message", "role": "assistant", "status": "completed"}
        return head | {"content": [part]}
    space, _, name = thought.call.name.rpartition("__")
    call = {"call_id": f"call_{next(_numbers):012x}", "name": name, "status": "completed"}
    call |= {"namespace": space} if space else {}
    if isinstance(thought.call.arguments, str):
        return call | {"id": f"ctc_{next(_numbers):024x}", "type": "custom_tool_call", "input": thought.call.arguments}
    arguments = json.dumps(thought.call.arguments)
    return call | {"id": f"fc_{next(_numbers):024x}", "type": "function_call", "arguments": arguments}


def _usage(used: Counter[str]) -> Body:
    whole = sum(used.values()) - used["output"]
    return {
        "input_tokens": whole,
        "input_tokens_details": {"cached_tokens": used["cache_read"], "cache_write_tokens": used["cache_write"]},
        "output_tokens": used["output"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": whole + used["output"],
    }


def events(body: Body, thought: Thought, used: Counter[str]) -> list[bytes]:
    response, item = _response(body), _item(body, thought)
    done = response | {"status": "completed", "output": [item], "usage": _usage(used)}
    told: list[tuple[str, Body]] = [
        ("response.created", {"response": response}),
        ("response.in_progress", {"response": response}),
        *_written(item),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": done}),
    ]
    return [_event(name, number, data) for number, (name, data) in enumerate(told)]


def _written(item: Body) -> list[tuple[str, Body]]:
    """One item as it grows."""
    at = {"item_id": item["id"], "output_index": 0}
    if item["type"] == "message":
        (part,) = item["content"]
        place, words = at | {"content_index": 0}, part["text"].split(" ")
        deltas = [word if number == 0 else f" {word}" for number, word in enumerate(words)]
        return [
            _added(item | {"status": "in_progress", "content": []}),
            ("response.content_part.added", place | {"part": part | {"text": ""}}),
            *[("response.output_text.delta", place | {"delta": delta, "logprobs": []}) for delta in deltas],
            ("response.output_text.done", place | {"text": part["text"], "logprobs": []}),
            ("response.content_part.done", place | {"part": part}),
        ]
    field, kind = ("input", "custom_tool_call_input")
    if item["type"] == "function_call":
        field, kind = ("arguments", "function_call_arguments")
    text = item[field]
    return [
        _added(item | {"status": "in_progress", field: ""}),
        *[(f"response.{kind}.delta", at | {"delta": part}) for part in (text[:7], text[7:])],
        (f"response.{kind}.done", at | {field: text}),
    ]


def _added(item: Body) -> tuple[str, Body]:
    return "response.output_item.added", {"output_index": 0, "item": item}


def _event(name: str, number: int, data: Body) -> bytes:
    whole = {"type": name, "sequence_number": number, **data}
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps(whole).encode())
