"""OpenAI's chat completions, as the stand-in reads and writes them.

Source: platform.openai.com/docs/api-reference/chat.
"""

import itertools
import json
from collections import Counter
from typing import Any

from .mind import Body, Result, Thought, Turn, attachment, is_task

_numbers = itertools.count(1)


def turn_of(body: Body) -> Turn:
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or ()}
    question, results, shown = "", [], []
    for message in body["messages"]:
        text, attached = _content(message.get("content"))
        if message["role"] == "tool":
            results.append(Result(text, attached))
        elif message["role"] == "user" and text and (not question or is_task(text)):
            question, results = text, []
        if message["role"] == "user" and results:
            # Chat results hold text alone: what was attached follows in a message of the user.
            results[-1] = Result(results[-1].text, (*results[-1].attached, *attached))
        elif message["role"] == "user":
            shown += attached
    return Turn(question, tools, results, shown)


def _content(content: Any) -> tuple[str, tuple[str, ...]]:
    if not isinstance(content, list):
        return content or "", ()
    texts = [part["text"] for part in content if part["type"] == "text"]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    urls += [part["file"]["file_data"] for part in content if part["type"] == "file"]
    return "\n".join(texts), tuple(data_url(url) for url in urls)


def data_url(url: str) -> str:
    media_type, _, data = url.removeprefix("data:").partition(";base64,")
    return attachment(media_type, data)


def answer(body: Body, thought: Thought, used: Counter[str]) -> Body:
    message: Body = {"role": "assistant", "content": None if thought.call else thought.text}
    if thought.call:
        message["tool_calls"] = [_called(thought)]
    return _head(body, "chat.completion") | {
        "choices": [{"index": 0, "message": message, "finish_reason": _end(thought)}],
        "usage": _usage(used),
    }


def _head(body: Body, kind: str) -> Body:
    return {"id": f"chatcmpl-{next(_numbers)}", "object": kind, "created": 1_790_000_000, "model": body["model"]}


def _end(thought: Thought) -> str:
    return "tool_calls" if thought.call else "stop"


def _called(thought: Thought) -> Body:
    assert thought.call
    function = {"name": thought.call.name, "arguments": json.dumps(thought.call.arguments)}
    return {"id": f"call_{next(_numbers):012x}", "type": "function", "function": function}


def _usage(used: Counter[str]) -> Body:
    """OpenAI counts what was cached inside the input."""
    whole = sum(used.values()) - used["output"]
    details = {"cached_tokens": used["cache_read"]}
    total = whole + used["output"]
    return {
        "prompt_tokens": whole,
        "completion_tokens": used["output"],
        "total_tokens": total,
        "prompt_tokens_details": details,
    }


def events(body: Body, thought: Thought, used: Counter[str]) -> list[bytes]:
    head = _head(body, "chat.completion.chunk")

    def chunk(delta: Body, finish: str | None = None) -> bytes:
        return _data(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    found = [chunk({"role": "assistant", "content": None if thought.call else ""})]
    if thought.call:
        called = _called(thought) | {"index": 0}
        arguments = called["function"]["arguments"]
        found.append(chunk({"tool_calls": [called | {"function": {"name": thought.call.name, "arguments": ""}}]}))
        for part in (arguments[:7], arguments[7:]):
            found.append(chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}))
    else:
        words = thought.text.split(" ")
        found += [chunk({"content": word if at == 0 else f" {word}"}) for at, word in enumerate(words)]
    found += [chunk({}, _end(thought)), _data(head | {"choices": [], "usage": _usage(used)})]
    return [*found, b"data: [DONE]\n\n"]


def _data(data: Body) -> bytes:
    return b"data: %b\n\n" % json.dumps(data).encode()
