"""POST …/responses as OpenAI and Ark answer it, whole and streamed. Nothing is kept: `store` must be false.

Sources: the types of OpenAI's and Ark's own clients.
"""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from . import faults as misfortune
from . import tokens
from .catalogue import Sold
from .exchange import Answer, Events, json_answer
from .faults import Faults
from .items import InputItems, new_id, read_items, seal
from .mind import Called, Conversation, Thought, think, used
from .requests import Body, check_number, flag, known_only, objects, read_json, required, schema_of, whole
from .tools import Choice, Tool
from .vendors import OpenAI

_KNOWN = {
    "model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "tools", "tool_choice",
    "parallel_tool_calls", "text", "reasoning", "include", "store", "stream", "prompt_cache_key",
    "safety_identifier", "service_tier", "max_tool_calls", "context_management",
}  # fmt: skip
_OWN = {
    "openai": {"metadata", "user", "truncation", "top_logprobs", "stream_options", "prompt_cache_retention"},
    "ark": {"thinking"},
}  # fmt: skip
# What would be kept at the account, or taken from what was.
_STATE = ("previous_response_id", "conversation", "background", "prompt", "caching", "session", "expire_at")
_INCLUDES = {
    "openai": {
        "reasoning.encrypted_content", "message.output_text.logprobs", "message.input_image.image_url",
        "web_search_call.action.sources", "web_search_call.results", "file_search_call.results",
        "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    },
    "ark": {"reasoning.encrypted_content", "message.input_image.image_url", "message.input_audio.audio_url"},
}  # fmt: skip
_LEAST = {"openai": 16, "ark": 1}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_WRITTEN = {"type": "object", "properties": {"input": {"type": "string"}}}
_ANY_JSON = {"type": "object", "properties": {"answer": {"type": "string"}}}


class ResponsesRequest:
    """One request, checked: what was asked, and how the answer is to be written."""

    def __init__(self, vendor: OpenAI, body: Body, sold: Sold) -> None:
        self.vendor = vendor
        self.body = body
        self.stream = flag(vendor, body, "stream")
        self.most = whole(vendor, body, "max_output_tokens", sold.output) or sold.output
        if self.most < _LEAST[vendor.name]:
            raise vendor.bad(f"Expected a value >= {_LEAST[vendor.name]}, but got {self.most}", "max_output_tokens")
        self.seals = "reasoning.encrypted_content" in (body.get("include") or ())
        reasoning = body.get("reasoning") or {}
        # Ark tells what it thinks; OpenAI a summary, to those who ask for one.
        self.summary = vendor.name == "ark" or bool(reasoning.get("summary"))
        # Each tool by the name it has here: the item that calls it.
        self.calls: dict[str, Body] = {}
        items = read_items(vendor, body["input"], vision=sold.vision)
        self.marked = items.questions[-1:]
        self.asked = _conversation(self, items, sold)
        self.id = f"resp_{secrets.token_hex(24)}"
        self.created = int(time.time())

    def response(self, status: str, **more: Any) -> Body:
        """The response as an object, all its fields."""
        body = self.body
        said = {
            "id": self.id, "object": "response", "created_at": self.created, "status": status, "error": None,
            "incomplete_details": None, "instructions": body.get("instructions"), "model": body["model"],
            "max_output_tokens": body.get("max_output_tokens"), "output": [], "service_tier": "default",
            "parallel_tool_calls": body.get("parallel_tool_calls") is not False, "previous_response_id": None,
            "reasoning": body.get("reasoning") or {"effort": None, "summary": None}, "store": False,
            "temperature": body.get("temperature", 1.0), "text": body.get("text") or {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice") or "auto", "tools": body.get("tools") or [],
            "top_p": body.get("top_p", 1.0), "truncation": "disabled", "usage": None,
            "metadata": body.get("metadata") or {},
        }  # fmt: skip
        return {**said, **more}


async def answer(vendor: OpenAI) -> Answer | Events:
    """Answer one request. Raises Refused, Cut."""
    body = {name: value for name, value in read_json(vendor).items() if value is not None}
    required(vendor, body, "model", "input")
    sold = vendor.model(body["model"], "chat")
    _check(vendor, body)
    question = ResponsesRequest(vendor, body, sold)
    faults = await misfortune.take(vendor.name, body["model"], question.marked)
    vendor.fail(faults)
    await misfortune.before(faults)
    thought = think(question.asked, faults)
    usage = None if "no_usage" in faults else _usage(question, thought, faults)
    if question.stream:
        error = {"type": "error", "code": "server_error", "message": "The server had an error.", "param": None}
        events = (_event(number, kind, data) for number, (kind, data) in enumerate(_events(question, thought, usage)))
        return Events(misfortune.written(events, faults, _event(0, "error", error)))
    await misfortune.at_once(thought.tokens, faults)
    output = [item for item, _events in _output(question, thought)]
    return json_answer(_ended(question, thought, output, usage), half="cut" in faults)


# --- Reading ---------------------------------------------------------------------------------------------------------
def _check(vendor: OpenAI, body: Body) -> None:
    for name in _STATE:
        if body.get(name):
            raise vendor.bad(f"'{name}' needs what was kept, and nothing is kept here.", name)
    if body.get("store") is not False:
        raise vendor.bad("'store' must be false: nothing is kept here.", "store")
    known_only(vendor, body, _KNOWN | _OWN[vendor.name])
    check_number(vendor, body, "temperature", 0, 2)
    check_number(vendor, body, "top_p", 0, 1)
    for value in body.get("include") or ():
        if value not in _INCLUDES[vendor.name]:
            raise vendor.bad(f"Invalid value: '{value}'.", "include")
    reasoning = body.get("reasoning") or {}
    if reasoning.get("effort") not in (None, *_EFFORTS):
        raise vendor.bad(f"Invalid value: '{reasoning['effort']}'.", "reasoning.effort")
    if vendor.name == "ark" and set(reasoning) - {"effort"}:
        raise vendor.bad("only effort is known of it", "reasoning")
    if not body.get("tools") and body.get("tool_choice") not in (None, "none", "auto"):
        raise vendor.bad("Tool choice is only allowed when 'tools' are specified.", "tool_choice")


def _conversation(question: ResponsesRequest, items: InputItems, sold: Sold) -> Conversation:
    vendor, body = question.vendor, question.body
    tools = list(_tools(question, objects(vendor, body.get("tools") or [], "tools"), "tools", ""))
    said = [*items.texts, str(body.get("instructions") or "")]
    prompt = tokens.count_turns([*said, *(f"{tool.name} {tool.description} {tool.schema}" for tool in tools)])
    if sold.context - prompt < 1:
        raise vendor.too_long(sold.context, prompt, 0)
    thinking = body.get("thinking") or {}
    effort = (body.get("reasoning") or {}).get("effort")
    return Conversation(
        questions=[misfortune.without_marks(text) for text in items.questions],
        prompt=prompt,
        most=min(question.most, sold.context - prompt),
        results=items.results,
        pictures=items.pictures,
        tools=tools,
        choice=_choice(question, tools),
        schema=_schema(vendor, body),
        thinks=thinking.get("type") == "enabled" or effort not in (None, "none"),
    )


def _tools(question: ResponsesRequest, offered: Sequence[Body], name: str, space: str) -> Iterator[Tool]:
    vendor = question.vendor
    for position, tool in enumerate(offered):
        where, kind = f"{name}[{position}]", tool.get("type")
        if kind == "namespace" and not space:
            yield from _tools(question, objects(vendor, tool.get("tools"), where), where, str(tool.get("name")))
            continue
        if kind not in ("function", "custom") or (kind == "custom" and vendor.name == "ark"):
            raise vendor.bad(f"Invalid value: '{kind}'.", f"{where}.type")
        if not isinstance(tool.get("name"), str):
            raise vendor.bad(f"Missing required parameter: '{where}.name'.", where, "missing_required_parameter")
        if vendor.name == "ark" and "strict" in tool:
            raise vendor.bad("it is not known here", f"{where}.strict")
        if kind == "function" and vendor.name == "openai" and "parameters" not in tool:
            raise vendor.bad(f"Missing required parameter: '{where}.parameters'.", where)
        item = {"type": "custom_tool_call" if kind == "custom" else "function_call", "name": tool["name"]}
        called = f"{space}__{tool['name']}" if space else tool["name"]
        question.calls[called] = {**item, "namespace": space} if space else item
        schema = _WRITTEN if kind == "custom" else schema_of(tool, "parameters")
        yield Tool(called, str(tool.get("description") or ""), schema)


def _choice(question: ResponsesRequest, tools: Sequence[Tool]) -> Choice:
    vendor, body = question.vendor, question.body
    given, parallel = body.get("tool_choice") or "auto", body.get("parallel_tool_calls") is not False
    if given in ("auto", "none", "required"):
        return Choice(given, parallel=parallel)
    if isinstance(given, dict) and given.get("type") == "allowed_tools" and given.get("mode") in ("auto", "required"):
        return Choice(given["mode"], parallel=parallel)
    name = given.get("name") if isinstance(given, dict) and given.get("type") in ("function", "custom") else None
    if name not in {tool.name for tool in tools}:
        raise vendor.bad(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")
    return Choice("named", str(name))


def _schema(vendor: OpenAI, body: Body) -> Any:
    """What an answer in JSON must look like; None: it is plain text."""
    wanted = (body.get("text") or {}).get("format") or {"type": "text"}
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return _ANY_JSON
    if kind != "json_schema" or not isinstance(wanted.get("schema"), dict) or not wanted.get("name"):
        raise vendor.bad("a schema has a name and a schema, both beside the type", "text.format")
    return wanted["schema"]


# --- Writing ---------------------------------------------------------------------------------------------------------
def _usage(question: ResponsesRequest, thought: Thought, faults: Faults) -> Body:
    prompt, written = question.asked.prompt, used(thought, question.most, faults)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": len(thought.thinking)},
        "total_tokens": prompt + written,
    }


def _ended(question: ResponsesRequest, thought: Thought, output: Sequence[Body], usage: Body | None) -> Body:
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = reasons.get(thought.end)
    details = {"reason": reason} if reason else None
    status = "incomplete" if reason else "completed"
    return question.response(status, output=list(output), usage=usage, incomplete_details=details)


def _event(number: int, kind: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(),
        orjson.dumps({"type": kind, **data, "sequence_number": number}),
    )


def _events(question: ResponsesRequest, thought: Thought, usage: Body | None) -> Iterator[tuple[str, Body]]:
    """Every event of the stream, the last one too."""
    begun = question.response("in_progress")
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    output = []
    for place, (item, events) in enumerate(_output(question, thought)):
        yield "response.output_item.added", {"output_index": place, "item": _begun(item)}
        for kind, data in events:
            yield f"response.{kind}", {"item_id": item["id"], "output_index": place, **data}
        yield "response.output_item.done", {"output_index": place, "item": item}
        output.append(item)
    ended = _ended(question, thought, output, usage)
    yield f"response.{ended['status']}", {"response": ended}


def _begun(item: Body) -> Body:
    """An item of which nothing is written yet."""
    empty = {"summary": [], "content": [], "arguments": "", "input": "", "status": "in_progress"}
    kept = {name: empty.get(name, value) for name, value in item.items()}
    kept.pop("encrypted_content", None)
    return kept


def _output(question: ResponsesRequest, thought: Thought) -> Iterator[tuple[Body, list[tuple[str, Body]]]]:
    """Each item as it is in the end, and the events that write it."""
    status = "completed" if thought.end in ("stop", "tool_calls") else "incomplete"
    thought_of = ""
    if thought.thinking:
        thought_of = new_id("reasoning")
        yield _thinking(question, thought.thinking, thought_of)
    if thought.text:
        yield _text(thought.text, new_id("message", thought_of), status)
    for call in thought.calls:
        yield _called(question, call, thought_of, status)


def _thinking(question: ResponsesRequest, thinking: Sequence[str], number: str) -> tuple[Body, list[tuple[str, Body]]]:
    item: Body = {"id": number, "type": "reasoning", "summary": []}
    if question.seals:
        item["encrypted_content"] = seal(question.vendor, number)
    if question.vendor.name == "ark":
        item["status"] = "completed"
    if not question.summary:
        return item, []
    text, place = "".join(thinking), {"summary_index": 0}
    item["summary"] = [{"type": "summary_text", "text": text}]
    added = {**place, "part": {"type": "summary_text", "text": ""}}
    deltas = [("reasoning_summary_text.delta", {**place, "delta": token}) for token in thinking]
    return item, [
        ("reasoning_summary_part.added", added),
        *deltas,
        ("reasoning_summary_text.done", {**place, "text": text}),
        ("reasoning_summary_part.done", {**place, "part": item["summary"][0]}),
    ]


def _text(written: Sequence[str], number: str, status: str) -> tuple[Body, list[tuple[str, Body]]]:
    text, place = "".join(written), {"content_index": 0}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"id": number, "type": "message", "role": "assistant", "status": status, "content": [part]}
    deltas = [("output_text.delta", {**place, "delta": token, "logprobs": []}) for token in written]
    return item, [
        ("content_part.added", {**place, "part": {**part, "text": ""}}),
        *deltas,
        ("output_text.done", {**place, "text": text, "logprobs": []}),
        ("content_part.done", {**place, "part": part}),
    ]


def _called(question: ResponsesRequest, call: Called, thought: str, status: str) -> tuple[Body, list[tuple[str, Body]]]:
    called = question.calls[call.name]
    kind = called["type"]
    item = {"id": new_id(kind, thought), **called, "call_id": f"call_{secrets.token_hex(12)}", "status": status}
    if kind == "function_call":
        name, field, pieces = "function_call_arguments", "arguments", list(call.fragments)
    else:
        name, field = "custom_tool_call_input", "input"
        pieces = tokens.split(orjson.loads(call.arguments)["input"]) if status == "completed" else []
    item[field] = "".join(pieces)
    deltas: list[tuple[str, Body]] = [(f"{name}.delta", {"delta": piece}) for piece in pieces]
    return item, [*deltas, (f"{name}.done", {field: item[field]})]
