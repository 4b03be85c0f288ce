"""Reading the messages of a request in Anthropic's shape: turns of blocks, and tool results in their place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from .requests import Body, Content, joined, objects
from .vendors import Anthropic


@dataclass(frozen=True)
class Turn:
    """What one side said: everything (`content`), without results of tools (`question`), those, and its calls."""

    role: str
    content: Content
    question: str
    results: list[str]
    answered: list[str]
    called: list[str]


@dataclass(frozen=True)
class Block:
    """One block: what it says, and the id of the call it answers or makes."""

    content: Content
    answers: str = ""
    calls: str = ""


def read_turns(vendor: Anthropic, messages: Sequence[Body]) -> list[Turn]:
    """The turns, neighbours of the same role put together. Raises Refused for what Anthropic would refuse."""
    turns = []
    for position, message in enumerate(messages):
        name, role, content = f"messages.{position}", message.get("role"), message.get("content")
        if role not in ("user", "assistant"):
            raise vendor.bad(f"unexpected role {role!r}; use user or assistant", f"{name}.role")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not content:
            raise vendor.bad("all messages must have non-empty content", name)
        blocks = [block_of(vendor, block, f"{name}.content") for block in objects(vendor, content, f"{name}.content")]
        turns.append(_turn(role, blocks))
    merged = _merged(turns)
    if merged[0].role != "user":
        raise vendor.bad('first message must use the "user" role', "messages")
    _check_results(vendor, merged)
    return merged


def _turn(role: str, blocks: Sequence[Block]) -> Turn:
    return Turn(
        role,
        joined([block.content for block in blocks]),
        joined([block.content for block in blocks if not (block.answers or block.calls)]).text,
        [block.content.text for block in blocks if block.answers],
        [block.answers for block in blocks if block.answers],
        [block.calls for block in blocks if block.calls],
    )


def block_of(vendor: Anthropic, block: Mapping[str, Any], name: str) -> Block:
    """Read one block of a content. Raises Refused."""
    match block.get("type"):
        case "text":
            if not isinstance(block.get("text"), str) or not block["text"].strip():
                raise vendor.bad("text content blocks must be non-empty", name)
            return Block(Content(block["text"]))
        case "image":
            return _image(vendor, block.get("source"), name)
        case "tool_use":
            if not block.get("id") or not block.get("name") or not isinstance(block.get("input"), dict):
                raise vendor.bad("tool_use needs id, name and an object as input", name)
            return Block(Content(orjson.dumps(block["input"]).decode()), calls=str(block["id"]))
        case "tool_result":
            return _result(vendor, block, name)
        case "thinking" | "redacted_thinking":
            return Block(Content(""))
        case kind:
            raise vendor.bad(f"Input tag {kind!r} does not match any of the expected tags", name)


def _image(vendor: Anthropic, source: Any, name: str) -> Block:
    needed = {"base64": ("data", "media_type"), "url": ("url",)}
    given = source if isinstance(source, dict) else {}
    if given.get("type") not in needed or not all(given.get(field) for field in needed[given["type"]]):
        raise vendor.bad("image.source must be of type base64 or url, and complete", name)
    return Block(Content("", 1))


def _result(vendor: Anthropic, block: Mapping[str, Any], name: str) -> Block:
    if not block.get("tool_use_id"):
        raise vendor.bad("tool_result.tool_use_id: Field required", name)
    content = block.get("content") or ""
    if not isinstance(content, str):
        content = joined([block_of(vendor, each, name).content for each in objects(vendor, content, name)]).text
    return Block(Content(content), answers=str(block["tool_use_id"]))


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    merged: list[Turn] = []
    for turn in turns:
        if not merged or merged[-1].role != turn.role:
            merged.append(turn)
            continue
        one = merged.pop()
        question = "\n".join(text for text in (one.question, turn.question) if text)
        content = joined([one.content, turn.content])
        results, answered, called = one.results + turn.results, one.answered + turn.answered, one.called + turn.called
        merged.append(Turn(turn.role, content, question, results, answered, called))
    return merged


def _check_results(vendor: Anthropic, turns: Sequence[Turn]) -> None:
    for before, turn in zip([None, *turns], turns, strict=False):
        called = before.called if before else []
        if missing := set(called) - set(turn.answered):
            text = f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}"
            raise vendor.bad(text, "messages")
        if unknown := set(turn.answered) - set(called):
            text = f"unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(unknown)}"
            raise vendor.bad(text, "messages")
