"""POST /v1/messages as Anthropic answers it, whole and streamed; and /v1/messages/count_tokens.

Sources: platform.claude.com/docs/en/api/messages, …/build-with-claude/streaming, …/api/versioning.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from . import faults as misfortune
from . import tokens
from .catalogue import Sold
from .exchange import Answer, Events, json_answer
from .faults import Faults
from .mind import Conversation, Thought, think, used
from .requests import (
    Body,
    check_number,
    flag,
    known_only,
    objects,
    read_json,
    required,
    schema_of,
    texts,
    thinks,
    whole,
)
from .tools import Choice, Tool
from .turns import block_of, read_turns
from .vendors import Anthropic

_VERSIONS = ("2023-06-01", "2026-10-21")
_SAMPLING = ("temperature", "top_p", "top_k")
_KNOWN = {
    "model", "messages", "max_tokens", "system", "stream", "stop_sequences", "tools", "tool_choice",
    "metadata", "service_tier", "thinking", "temperature", "top_p", "top_k", "container", "context_management",
    "mcp_servers", "output_config",
}  # fmt: skip
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


async def answer(vendor: Anthropic) -> Answer | Events:
    """Answer one request. Raises Refused, Cut."""
    body = read_json(vendor)
    sold = _check(vendor, body)
    if vendor.asked.path.endswith("/count_tokens"):
        return json_answer({"input_tokens": _read(vendor, body, sold, 1).conversation.prompt})
    required(vendor, body, "max_tokens")
    most = whole(vendor, body, "max_tokens") or 1
    if most > sold.output:
        raise vendor.too_many_tokens(body["model"], sold.output, most)
    read = _read(vendor, body, sold, most)
    faults = await misfortune.take(vendor.name, body["model"], read.marked)
    vendor.fail(faults)
    await misfortune.before(faults)
    thought = think(read.conversation, faults)
    message = _message(body["model"], read.conversation.prompt)
    written = used(thought, most, faults)
    if flag(vendor, body, "stream"):
        events = (_event(name, data) for name, data in _events(message, thought, written, faults))
        return Events(misfortune.written(events, faults, vendor.error_event()))
    await misfortune.at_once(thought.tokens, faults)
    message |= {"content": _blocks(thought), **_end(thought)}
    message["usage"]["output_tokens"] = written
    if "no_usage" in faults:
        del message["usage"]
    return json_answer(message, half="cut" in faults)


# --- Reading ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Read:
    """A conversation, and the texts in which faults may be marked."""

    conversation: Conversation
    marked: list[str]


def _check(vendor: Anthropic, body: Body) -> Sold:
    version = vendor.asked.headers.get("anthropic-version")
    if version not in _VERSIONS:
        raise vendor.bad("header is required" if version is None else f"{version!r} is not valid", "anthropic-version")
    required(vendor, body, "model", "messages")
    known_only(vendor, body, _KNOWN)
    if version == _VERSIONS[1]:
        for name in _SAMPLING:
            if name in body:
                raise vendor.bad(f"`{name}` is not supported in version {version}.", name)
    check_number(vendor, body, "temperature", 0, 1)
    check_number(vendor, body, "top_p", 0, 1)
    return vendor.model(body["model"], "chat")


def _read(vendor: Anthropic, body: Body, sold: Sold, most: int) -> Read:
    turns = read_turns(vendor, objects(vendor, body["messages"], "messages"))
    tools = _tools(vendor, body)
    said = [turn.content.text for turn in turns] + [f"{tool.name} {tool.schema}" for tool in tools]
    prompt = tokens.count_turns(said + _system(vendor, body))
    if prompt > sold.context:
        raise vendor.too_long(sold.context, prompt, most)
    last = turns[-1]
    questions = [turn.question for turn in turns if turn.role == "user" and turn.question]
    conversation = Conversation(
        questions=[misfortune.without_marks(question) for question in questions],
        prompt=prompt,
        most=most,
        results=last.results,
        pictures=last.content.pictures,
        tools=tools,
        choice=_choice(vendor, body, tools),
        stops=texts(vendor, body.get("stop_sequences"), "stop_sequences", 8191),
        thinks=thinks(body),
    )
    return Read(conversation, questions[-1:])


def _system(vendor: Anthropic, body: Body) -> list[str]:
    given = body.get("system") or []
    if isinstance(given, str):
        return [given]
    return [block_of(vendor, block, "system").content.text for block in objects(vendor, given, "system")]


def _tools(vendor: Anthropic, body: Body) -> list[Tool]:
    found = []
    for position, tool in enumerate(objects(vendor, body.get("tools") or [], "tools")):
        if not tool.get("name") or not isinstance(tool.get("input_schema"), dict):
            raise vendor.bad("name and input_schema: Field required", f"tools.{position}")
        if tool["input_schema"].get("type") != "object":
            raise vendor.bad("input_schema.type: Input should be 'object'", f"tools.{position}")
        found.append(Tool(str(tool["name"]), str(tool.get("description") or ""), schema_of(tool, "input_schema")))
    return found


def _choice(vendor: Anthropic, body: Body, tools: Sequence[Tool]) -> Choice:
    given = body.get("tool_choice")
    if given is None:
        return Choice()
    if not tools:
        raise vendor.bad("tool_choice may only be specified while providing tools", "tool_choice")
    kinds = {"auto": "auto", "any": "required", "none": "none", "tool": "named"}
    kind = kinds.get(str(given.get("type"))) if isinstance(given, dict) else None
    if kind is None:
        raise vendor.bad("type must be auto, any, tool or none", "tool_choice")
    if kind == "named" and given.get("name") not in {tool.name for tool in tools}:
        raise vendor.bad(f"Tool {given.get('name')!r} not found in provided tools", "tool_choice")
    return Choice(kind, str(given.get("name") or ""), parallel=given.get("disable_parallel_tool_use") is not True)


# --- Writing ---------------------------------------------------------------------------------------------------------
def _message(model: str, prompt: int) -> Body:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": prompt,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 1,
            "service_tier": "standard",
        },
    }


def _end(thought: Thought) -> Body:
    reason = "stop_sequence" if thought.stopped_at else _STOP[thought.end]
    return {"stop_reason": reason, "stop_sequence": thought.stopped_at}


def _blocks(thought: Thought) -> list[Body]:
    blocks: list[Body] = []
    if thought.thinking:
        blocks.append({"type": "thinking", "thinking": "".join(thought.thinking), "signature": secrets.token_hex(16)})
    if thought.text:
        blocks.append({"type": "text", "text": "".join(thought.text)})
    for call in thought.calls:
        # Arguments that max_tokens cut off are no JSON, and Anthropic's input is an object in any case.
        whole_one = thought.end == "tool_calls"
        given = orjson.loads(call.arguments) if whole_one else {}
        blocks.append({"type": "tool_use", "id": _call_id(), "name": call.name, "input": given})
    return blocks


def _call_id() -> str:
    return f"toolu_{secrets.token_hex(12)}"


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **data}))


def _events(message: Body, thought: Thought, written: int, faults: Faults) -> Iterator[tuple[str, Body]]:
    if "no_usage" in faults:
        del message["usage"]
    yield "message_start", {"message": message}
    yield "ping", {}
    for index, (block, deltas) in enumerate(_streamed(thought)):
        yield "content_block_start", {"index": index, "content_block": block}
        for delta in deltas:
            yield "content_block_delta", {"index": index, "delta": delta}
        yield "content_block_stop", {"index": index}
    usage = {} if "no_usage" in faults else {"usage": {"output_tokens": written}}
    yield "message_delta", {"delta": _end(thought), **usage}
    yield "message_stop", {}


def _streamed(thought: Thought) -> Iterator[tuple[Body, list[Body]]]:
    """Each block as it begins, and what is added to it."""
    if thought.thinking:
        signed = {"type": "signature_delta", "signature": secrets.token_hex(16)}
        deltas = [{"type": "thinking_delta", "thinking": token} for token in thought.thinking]
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
    if thought.text:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": token} for token in thought.text]
    for call in thought.calls:
        block = {"type": "tool_use", "id": _call_id(), "name": call.name, "input": {}}
        yield block, [{"type": "input_json_delta", "partial_json": fragment} for fragment in call.fragments]
