"""Anthropic's messages, as the stand-in reads and writes them: thoughts, text, tools, usage with caches.

Source: platform.claude.com/docs/en/api/messages, …/build-with-claude/streaming.
"""

import itertools
import json
from collections import Counter
from typing import Any

from .mind import Body, Result, Thought, Turn, attachment, is_task

_numbers = itertools.count(1)


def turn_of(body: Body) -> Turn:
    tools = {tool["name"]: tool for tool in body.get("tools") or ()}
    question, results, shown = "", [], []
    for message in body["messages"]:
        for block in _blocks(message["content"]):
            if block["type"] == "tool_result":
                results.append(_result(block))
            elif block["type"] == "text" and message["role"] == "user" and (not question or is_task(block["text"])):
                question, results = block["text"], []
            elif block["type"] in ("image", "document") and results:
                # Beside a result rather than in it.
                results[-1] = Result(results[-1].text, (*results[-1].attached, *_attached([block])))
            elif block["type"] in ("image", "document"):
                shown += _attached([block])
    return Turn(question, tools, results, shown)


def _blocks(content: Any) -> list[Body]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _result(block: Body) -> Result:
    inner = _blocks(block.get("content") or "")
    text = "\n".join(part["text"] for part in inner if part["type"] == "text")
    return Result(text, _attached(inner))


def _attached(blocks: list[Body]) -> tuple[str, ...]:
    sources = [block["source"] for block in blocks if block["type"] in ("image", "document")]
    return tuple(attachment(source["media_type"], source["data"]) for source in sources)


def answer(body: Body, thought: Thought, used: Counter[str]) -> Body:
    return _message(body) | {"content": _said(body, thought), "usage": _usage(used), **_end(thought)}


def _message(body: Body) -> Body:
    head = {"id": f"msg_{next(_numbers):024x}", "type": "message", "role": "assistant", "model": body["model"]}
    return head | {"content": [], "stop_reason": None, "stop_sequence": None}


def _end(thought: Thought) -> Body:
    return {"stop_reason": "tool_use" if thought.call else "end_turn", "stop_sequence": None}


def _usage(used: Counter[str]) -> Body:
    long = used["cache_write_long"]
    return {
        "input_tokens": used["input"],
        "cache_read_input_tokens": used["cache_read"],
        "cache_creation_input_tokens": used["cache_write"] + long,
        "cache_creation": {"ephemeral_5m_input_tokens": used["cache_write"], "ephemeral_1h_input_tokens": long},
        "output_tokens": used["output"],
        "service_tier": "standard",
    }


def _said(body: Body, thought: Thought) -> list[Body]:
    blocks: list[Body] = []
    if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        blocks.append({"type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmVk"})
    if thought.call:
        called = {"type": "tool_use", "id": f"toolu_{next(_numbers):024x}", "name": thought.call.name}
        blocks.append(called | {"input": thought.call.arguments})
    else:
        blocks.append({"type": "text", "text": thought.text})
    return blocks


def events(body: Body, thought: Thought, used: Counter[str]) -> list[bytes]:
    """The answer as a stream. What came in, and how it was cached, is told in the beginning; the output in the end."""
    begun = _usage(used) | {"output_tokens": 1}
    found = [_event("message_start", message=_message(body) | {"usage": begun}), _event("ping")]
    for index, block in enumerate(_said(body, thought)):
        empty, deltas = _streamed(block)
        found.append(_event("content_block_start", index=index, content_block=empty))
        found += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        found.append(_event("content_block_stop", index=index))
    found.append(_event("message_delta", delta=_end(thought), usage={"output_tokens": used["output"]}))
    return [*found, _event("message_stop")]


def _streamed(block: Body) -> tuple[Body, list[Body]]:
    match block["type"]:
        case "thinking":
            said = {"type": "thinking_delta", "thinking": block["thinking"]}
            return block | {"thinking": "", "signature": ""}, [
                said,
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case "tool_use":
            written = json.dumps(block["input"])
            parts = [written[:9], written[9:]]
            return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]
        case _:
            words = block["text"].split(" ")
            parts = [word if at == 0 else f" {word}" for at, word in enumerate(words)]
            return block | {"text": ""}, [{"type": "text_delta", "text": part} for part in parts]


def _event(name: str, **data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps({"type": name, **data}).encode())
