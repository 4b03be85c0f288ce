"""POST …/chat/completions as Ark and OpenAI answer it, whole and streamed.

Sources: platform.openai.com/docs/api-reference/chat, volcengine.com/docs/82379/1298454.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from . import faults as misfortune
from . import tokens
from .catalogue import Sold
from .conversation import read_messages
from .exchange import Answer, Events, json_answer
from .faults import Faults
from .mind import Called, Conversation, Thought, think, used
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
from .vendors import OpenAI

_ARK_DEFAULT = 4096
_KNOWN = {
    "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n", "stop", "stream",
    "stream_options", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
    "user", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format",
    "seed", "service_tier", "store", "metadata", "reasoning_effort", "modalities", "prediction", "verbosity",
    "safety_identifier", "prompt_cache_key",
}  # fmt: skip
_ANY_JSON = {"type": "object", "properties": {"answer": {"type": "string"}}}


class Chat:
    """One request, checked: what was asked, and how the answer is to be written."""

    def __init__(self, vendor: OpenAI, body: Body, sold: Sold) -> None:
        self.vendor = vendor
        self.body = body
        self.legacy = bool(body.get("functions"))
        self.stream = flag(vendor, body, "stream")
        options = body.get("stream_options")
        if options is not None and not (isinstance(options, dict) and self.stream):
            raise vendor.bad(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options"
            )
        self.options = options or {}
        self.choices = whole(vendor, body, "n", 5 if vendor.name == "ark" else 128) or 1
        self.most = _most(vendor, body, sold)
        self.asked = _conversation(self, sold)
        self.id = f"chatcmpl-{secrets.token_hex(12)}"

    def head(self, kind: str) -> Body:
        return {"id": self.id, "object": kind, "created": int(time.time()), "model": self.body["model"]}


async def answer(vendor: OpenAI) -> Answer | Events:
    """Answer one request. Raises Refused, Cut."""
    body = read_json(vendor)
    required(vendor, body, "model", "messages")
    sold = vendor.model(body["model"], "chat")
    if sold.responses_only:
        raise vendor.wrong_use(body["model"])
    _check(vendor, body)
    chat = Chat(vendor, body, sold)
    faults = await misfortune.take(vendor.name, body["model"], chat.asked.marked)
    vendor.fail(faults)
    await misfortune.before(faults)
    thoughts = [think(chat.asked.conversation, faults) for _ in range(chat.choices)]
    usage = _usage(chat, thoughts, faults)
    if chat.stream:
        return Events(misfortune.written(_events(chat, thoughts, usage, faults), faults, vendor.error_event()))
    await misfortune.at_once(sum(thought.tokens for thought in thoughts), faults)
    choices = [_choice(chat, number, thought) for number, thought in enumerate(thoughts)]
    said = chat.head("chat.completion") | {"choices": choices, "service_tier": "default"}
    if "no_usage" not in faults:
        said["usage"] = usage
    return json_answer(said, half="cut" in faults)


# --- Reading ---------------------------------------------------------------------------------------------------------
def _check(vendor: OpenAI, body: Body) -> None:
    if vendor.name == "openai":
        known_only(vendor, body, _KNOWN)
    elif body.get("functions") or body.get("function_call"):
        raise vendor.bad("functions are not supported, use tools", "functions")
    check_number(vendor, body, "temperature", 0, 2)
    check_number(vendor, body, "top_p", 0, 1)
    check_number(vendor, body, "presence_penalty", -2, 2)
    check_number(vendor, body, "frequency_penalty", -2, 2)
    if not body.get("tools") and body.get("tool_choice") not in (None, "none"):
        raise vendor.bad("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if body.get("parallel_tool_calls") is not None and not body.get("tools") and vendor.name == "openai":
        raise vendor.bad("'parallel_tool_calls' is only allowed when 'tools' are specified.", "parallel_tool_calls")


def _most(vendor: OpenAI, body: Body, sold: Sold) -> int:
    """How many tokens the answer may have."""
    wanted = whole(vendor, body, "max_completion_tokens") or whole(vendor, body, "max_tokens")
    if wanted is not None and wanted > sold.output:
        raise vendor.too_many_tokens(body["model"], sold.output, wanted)
    return wanted or (min(_ARK_DEFAULT, sold.output) if vendor.name == "ark" else sold.output)


@dataclass(frozen=True)
class Question:
    """A conversation, and the texts in which faults may be marked."""

    conversation: Conversation
    marked: list[str]


def _conversation(chat: Chat, sold: Sold) -> Question:
    vendor, body = chat.vendor, chat.body
    read = read_messages(vendor, objects(vendor, body["messages"], "messages"), vision=sold.vision)
    tools = _tools(chat)
    prompt = tokens.count_turns([*read.texts, *(f"{tool.name} {tool.description} {tool.schema}" for tool in tools)])
    room = sold.context - prompt
    stated = body.get("max_tokens") or body.get("max_completion_tokens") or 0
    if room < 1 or (vendor.name == "openai" and stated > room):
        raise vendor.too_long(sold.context, prompt, stated)
    conversation = Conversation(
        questions=[misfortune.without_marks(question) for question in read.questions],
        prompt=prompt,
        most=min(chat.most, room),
        results=read.results,
        pictures=read.pictures,
        tools=tools,
        choice=_choice_of(chat, tools),
        stops=texts(vendor, body.get("stop"), "stop", 4),
        schema=_schema(vendor, body, read.texts),
        thinks=vendor.name == "ark" and thinks(body),
    )
    return Question(conversation, read.questions[-1:])


def _tools(chat: Chat) -> list[Tool]:
    vendor, body = chat.vendor, chat.body
    if chat.legacy:
        functions = objects(vendor, body["functions"], "functions")
    else:
        offered = objects(vendor, body.get("tools") or [], "tools")
        if any(tool.get("type") != "function" or not isinstance(tool.get("function"), dict) for tool in offered):
            raise vendor.bad("each tool must be of the type function", "tools")
        functions = [tool["function"] for tool in offered]
    found = []
    for position, function in enumerate(functions):
        name = function.get("name")
        if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum() or len(name) > 64:
            raise vendor.bad(f"Invalid 'tools[{position}].function.name'", f"tools[{position}].function.name")
        found.append(Tool(name, str(function.get("description") or ""), schema_of(function, "parameters")))
    return found


def _choice_of(chat: Chat, tools: list[Tool]) -> Choice:
    vendor, body = chat.vendor, chat.body
    given = body.get("function_call" if chat.legacy else "tool_choice")
    parallel = not chat.legacy and body.get("parallel_tool_calls") is not False
    if given is None or given in ("auto", "none", "required"):
        return Choice(given or "auto", parallel=parallel)
    named = given if chat.legacy else given.get("function") if isinstance(given, dict) else None
    name = named.get("name") if isinstance(named, dict) else None
    if name not in {tool.name for tool in tools}:
        raise vendor.bad("tool_choice names a function that is not among the tools", "tool_choice")
    return Choice("named", str(name))


def _schema(vendor: OpenAI, body: Body, said: list[str]) -> Any:
    """What an answer in JSON must look like; None: it is plain text."""
    given = body.get("response_format")
    kind = given.get("type") if isinstance(given, dict) else "text" if given is None else None
    if kind == "text":
        return None
    if kind == "json_schema" and isinstance(given, dict) and isinstance(given.get("json_schema"), dict):
        return given["json_schema"].get("schema") or _ANY_JSON
    if kind != "json_object":
        raise vendor.bad("'response_format.type' must be text, json_object or json_schema", "response_format")
    if not any("json" in text.lower() for text in said):
        text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise vendor.bad(text, "messages")
    return _ANY_JSON


# --- Writing ---------------------------------------------------------------------------------------------------------
def _usage(chat: Chat, thoughts: list[Thought], faults: Faults) -> Body:
    written = sum(used(thought, chat.most, faults) for thought in thoughts)
    reasoned = sum(len(thought.thinking) for thought in thoughts)
    return _report(chat.asked.conversation.prompt, written, reasoned)


def _report(prompt: int, written: int, reasoned: int) -> Body:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoned},
    }


def _choice(chat: Chat, number: int, thought: Thought) -> Body:
    message: Body = {"role": "assistant", "content": "".join(thought.text) or None}
    if thought.thinking:
        message["reasoning_content"] = "".join(thought.thinking)
    end = thought.end
    if thought.calls and chat.legacy:
        call = thought.calls[0]
        message["function_call"] = {"name": call.name, "arguments": call.arguments}
        end = "function_call" if end == "tool_calls" else end
    elif thought.calls:
        message["tool_calls"] = [
            {"id": _call_id(), "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in thought.calls
        ]
    return {"index": number, "message": message, "logprobs": None, "finish_reason": end}


def _call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def _events(chat: Chat, thoughts: list[Thought], usage: Body, faults: Faults) -> Iterator[bytes]:
    """Every event of the stream, the last one too."""
    reports = "no_usage" not in faults
    cumulative = reports and chat.vendor.name == "ark" and chat.options.get("chunk_include_usage") is True
    asked_for = reports and chat.options.get("include_usage") is True
    prompt, written = chat.asked.conversation.prompt, 0
    for position, thought in enumerate(thoughts):
        for delta, cost in _deltas(chat, thought):
            written += cost
            end = None if delta else _end(chat, thought)
            choice = {"index": position, "delta": delta, "logprobs": None, "finish_reason": end}
            chunk = chat.head("chat.completion.chunk") | {"choices": [choice]}
            if cumulative:
                chunk["usage"] = _report(prompt, written, min(written, len(thought.thinking)))
            elif asked_for:
                chunk["usage"] = None
            yield b"data: %b\n\n" % orjson.dumps(chunk)
    if asked_for:
        yield b"data: %b\n\n" % orjson.dumps(chat.head("chat.completion.chunk") | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _end(chat: Chat, thought: Thought) -> str:
    return "function_call" if chat.legacy and thought.end == "tool_calls" else thought.end


def _deltas(chat: Chat, thought: Thought) -> Iterator[tuple[Body, int]]:
    """What each chunk adds, and the tokens it stands for; the empty one is the end."""
    yield {"role": "assistant", "content": ""}, 0
    for token in thought.thinking:
        yield {"reasoning_content": token}, 1
    for token in thought.text:
        yield {"content": token}, 1
    for position, call in enumerate(thought.calls):
        for function, cost in _call_deltas(call):
            if chat.legacy:
                yield {"function_call": function}, cost
            elif "name" in function:
                yield (
                    {"tool_calls": [{"index": position, "id": _call_id(), "type": "function", "function": function}]},
                    cost,
                )
            else:
                yield {"tool_calls": [{"index": position, "function": function}]}, cost
    yield {}, 0


def _call_deltas(call: Called) -> Iterator[tuple[Body, int]]:
    yield {"name": call.name, "arguments": ""}, 1
    for fragment in call.fragments:
        yield {"arguments": fragment}, 1
