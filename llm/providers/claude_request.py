"""OpenAI's chat request as Anthropic's Messages API wants it.

Source: platform.claude.com/docs, versions 2023-06-01 and 2026-10-21 (which refuses sampling parameters).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from . import functions
from .base import ProviderError, Recovery, Unsupported

MAX_TOKENS = 4096
# The version that still takes sampling parameters.
SAMPLING_VERSION = "2023-06-01"

_SAMPLING = ("temperature", "top_p", "top_k")
# What is translated, and what Anthropic knows under the same name.
_TRANSLATED = {
    "model", "messages", "max_tokens", "max_completion_tokens", "stop", "stream", "stream_options", "tools",
    "tool_choice", "parallel_tool_calls", "functions", "function_call", "user", "response_format", "reasoning_effort",
}  # fmt: skip
# What changes nothing, and many clients send with every request.
_NEUTRAL: Mapping[str, Sequence[Any]] = {
    "n": (1,), "temperature": (1,), "top_p": (1,), "presence_penalty": (0,), "frequency_penalty": (0,),
    "logprobs": (False,), "logit_bias": ({},), "store": (False,), "modalities": (["text"],),
}  # fmt: skip
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_SAME = ("thinking", "metadata", "service_tier", "output_config")
_SERVICE_TIERS = ("auto", "standard_only")
_THOUGHTS = ("thinking", "redacted_thinking")

_Block = dict[str, Any]


def samples(body: Mapping[str, Any]) -> bool:
    """Whether a request has sampling parameters that change anything."""
    return any(body.get(name) is not None and body[name] not in _NEUTRAL.get(name, ()) for name in _SAMPLING)


def check(body: Mapping[str, Any], version: str) -> None:
    """Raises Unsupported for the first parameter that Claude has no room for, unless its value changes nothing."""
    taken = {*_TRANSLATED, *_SAME, *(_SAMPLING if version == SAMPLING_VERSION else ())}
    for name, value in body.items():
        neutral = _NEUTRAL.get(name, ())
        if name not in taken and value is not None and value not in neutral:
            raise Unsupported("claude", name)
    if body.get("service_tier") not in (None, "default", *_SERVICE_TIERS):
        raise Unsupported("claude", "service_tier")


def request(body: Mapping[str, Any], version: str, *, stream: bool) -> dict[str, Any]:
    """The body of POST /v1/messages. Raises Unsupported for parts that Claude does not take."""
    check(body, version)
    body = functions.to_tools(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise ProviderError("`messages` must be a list of messages.", recovery=Recovery.FAIL, code="messages")
    out: dict[str, Any] = {
        "model": body.get("model"),
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS,
        "messages": _turns(messages),
    }
    if system := _system(messages):
        out["system"] = system
    if stream:
        out["stream"] = True
    if stop := body.get("stop"):
        out["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    out.update(_parameters(body, version))
    out.update(_tools(body))
    if out.get("thinking") and not _thought_of(out["messages"]):
        # A call of a tool without the signed thought before it would be refused: this turn goes on without thinking.
        del out["thinking"]
    return out


def _thought_of(turns: list[_Block]) -> bool:
    """Whether the calls of tools that are being answered come with the thoughts before them."""
    called: list[_Block] = next((turn["content"] for turn in reversed(turns) if turn["role"] == "assistant"), [])
    answered = bool(turns) and any(block.get("type") == "tool_result" for block in turns[-1]["content"])
    uses = any(block.get("type") == "tool_use" for block in called)
    return not (answered and uses) or any(block.get("type") in _THOUGHTS for block in called)


def _parameters(body: Mapping[str, Any], version: str) -> dict[str, Any]:
    out = {name: body[name] for name in _SAME if body.get(name) is not None}
    if out.get("service_tier") == "default":
        out["service_tier"] = "standard_only"
    out.update(_output_config(body, out.pop("output_config", None)))
    if body.get("user"):
        out.setdefault("metadata", {"user_id": str(body["user"])})
    if version == SAMPLING_VERSION:
        out.update({name: body[name] for name in _SAMPLING if body.get(name) is not None})
        # OpenAI's scale ends at 2, Anthropic's at 1.
        if isinstance(out.get("temperature"), int | float):
            out["temperature"] = min(out["temperature"], 1)
    return out


def _output_config(body: Mapping[str, Any], own: Any) -> dict[str, Any]:
    """How the answer is to be written: the schema it has to keep, and how much thought goes into it."""
    config = dict(own) if isinstance(own, dict) else {}
    effort, wanted = body.get("reasoning_effort"), body.get("response_format") or {"type": "text"}
    if effort is not None and effort not in _EFFORTS:
        raise Unsupported("claude", f"reasoning_effort {effort}")
    if effort:
        config["effort"] = effort
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    schema = (wanted.get("json_schema") or {}).get("schema") if kind == "json_schema" else None
    if kind == "json_schema" and isinstance(schema, dict):
        config["format"] = {"type": "json_schema", "schema": schema}
    elif kind != "text":
        raise Unsupported("claude", f"response_format {kind}")
    return {"output_config": config} if config else {}


def _system(messages: list[_Block]) -> str | list[_Block]:
    """System and developer messages, wherever they stand, as the one instruction Anthropic has room for."""
    said = [message.get("content") for message in messages if message.get("role") in ("system", "developer")]
    if all(isinstance(content, str) for content in said):
        return "\n\n".join(content for content in said if content)
    return [block for content in said for block in _blocks(content)]


def _turns(messages: list[_Block]) -> list[_Block]:
    """User and assistant by turns: neighbours of the same role are one turn."""
    turns: list[_Block] = []
    for message in messages:
        role = message.get("role")
        if role in ("system", "developer"):
            continue
        if role == "tool":
            role, blocks = "user", [_result(message)]
        elif role == "assistant":
            calls = map(_call, message.get("tool_calls") or ())
            blocks = [*_thoughts(message), *_blocks(message.get("content")), *calls]
        elif role == "user":
            blocks = _blocks(message.get("content"))
        else:
            raise ProviderError(f"There is no role {role!r}.", recovery=Recovery.FAIL, code="messages")
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _thoughts(message: _Block) -> list[_Block]:
    """The signed thoughts of an earlier answer, as they were given out."""
    given = message.get("thinking_blocks") or ()
    return [
        block for block in given if block.get("type") in _THOUGHTS and (block.get("signature") or block.get("data"))
    ]


def _blocks(content: Any) -> list[_Block]:
    """A message's content. Empty text is left out: Anthropic refuses it."""
    parts: Iterable[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
    return [block for part in parts if (block := _block(part))]


def _block(part: Any) -> _Block | None:
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal"):
        block = {"type": "text", "text": part.get(kind)}
    elif kind == "image_url":
        block = {"type": "image", "source": _source(part.get("image_url"))}
    else:
        raise Unsupported("claude", f"{kind} content")
    if part.get("cache_control"):
        block["cache_control"] = part["cache_control"]
    return block if block.get("text", True) else None


def _source(image: Any) -> _Block:
    """An image's address, or the image itself in a data: URL."""
    url = str(image.get("url", "") if isinstance(image, dict) else image or "")
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, comma, data = url.removeprefix("data:").partition(",")
    media_type, _semicolon, encoding = head.partition(";")
    if not comma or not encoding.endswith("base64"):
        raise ProviderError("An image in a data: URL must be base64.", recovery=Recovery.FAIL, code="image_url")
    return {"type": "base64", "media_type": media_type or "image/png", "data": data}


def _call(call: _Block) -> _Block:
    function = call.get("function") or {}
    return {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": _input(function)}


def _input(function: _Block) -> Any:
    """Arguments as an object. A model may have written none; the turn is history and must not stop what follows."""
    text = function.get("arguments") or "{}"
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"arguments": text}


def _result(message: _Block) -> _Block:
    content = message.get("content")
    result: _Block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id")}
    if content:
        result["content"] = content if isinstance(content, str) else _blocks(content)
    return result


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """Tools and the choice among them; a choice without tools would be refused."""
    tools = [_tool(tool) for tool in body.get("tools") or () if isinstance(tool, dict)]
    if not tools:
        return {}
    choice = body.get("tool_choice")
    chosen: _Block | None = None
    if isinstance(choice, dict):
        chosen = {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    elif choice:
        chosen = {"type": {"required": "any"}.get(choice, choice)}
    if body.get("parallel_tool_calls") is False:
        chosen = chosen or {"type": "auto"}
        if chosen["type"] != "none":
            chosen["disable_parallel_tool_use"] = True
    return {"tools": tools, "tool_choice": chosen} if chosen else {"tools": tools}


def _tool(tool: _Block) -> _Block:
    function = tool.get("function") or {}
    out = {
        "name": function.get("name"),
        "description": function.get("description"),
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
        "cache_control": tool.get("cache_control"),
    }
    return {name: value for name, value in out.items() if value is not None}
