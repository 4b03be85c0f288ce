"""The parameters of OpenAI's chat as Claude has them: limits aside, how it answers, how much it thinks, its tools.

Source: platform.claude.com/docs, versions 2023-06-01 and 2026-10-21 (which refuses sampling parameters).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .base import Unsupported

# The version that still takes sampling parameters.
SAMPLING_VERSION = "2023-06-01"

_SAMPLING = ("temperature", "top_p", "top_k")
# What is translated, and what Anthropic knows under the same name.
_TRANSLATED = {
    "model", "messages", "max_tokens", "max_completion_tokens", "stop", "stream", "stream_options", "tools",
    "tool_choice", "parallel_tool_calls", "functions", "function_call", "user", "safety_identifier", "response_format",
    "reasoning_effort",
}  # fmt: skip
# What changes nothing, and many clients send with every request.
_NEUTRAL: Mapping[str, Sequence[Any]] = {
    "n": (1,), "temperature": (1,), "top_p": (1,), "presence_penalty": (0,), "frequency_penalty": (0,),
    "logprobs": (False,), "top_logprobs": (0,), "logit_bias": ({},), "store": (False,), "modalities": (["text"],),
}  # fmt: skip
# Where a cache is to be looked for, and how wordy an answer should be: wishes that leave it the same answer.
_LEFT_OUT = {"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "verbosity"}
_EFFORTS: Mapping[str, str] = {"minimal": "low", **{each: each for each in ("low", "medium", "high", "xhigh", "max")}}
_SAME = ("thinking", "metadata", "service_tier", "output_config")
_SERVICE_TIERS = ("auto", "standard_only")
# Models that know no effort and think within a budget of tokens; the newer ones decide by themselves.
_OLDER = re.compile(r"claude-(?:3-7-|(?:opus|sonnet|haiku)-4(?:-[015])?(?:-\d{8})?(?:$|@|-v\d))")
_BUDGETS: Mapping[str, int] = {"low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 32_768}
_LEAST_BUDGET = 1024

_Block = dict[str, Any]


def samples(body: Mapping[str, Any]) -> bool:
    """Whether a request has sampling parameters that change anything."""
    return any(body.get(name) is not None and body[name] not in _NEUTRAL.get(name, ()) for name in _SAMPLING)


def check(body: Mapping[str, Any], version: str) -> None:
    """Raises Unsupported for the first parameter that Claude has no room for, unless its value changes nothing."""
    taken = {*_TRANSLATED, *_SAME, *_LEFT_OUT, *(_SAMPLING if version == SAMPLING_VERSION else ())}
    for name, value in body.items():
        neutral = _NEUTRAL.get(name, ())
        if name not in taken and value is not None and value not in neutral:
            raise Unsupported("claude", name)
    if body.get("service_tier") not in (None, "default", *_SERVICE_TIERS):
        raise Unsupported("claude", "service_tier")
    tags = body.get("metadata")
    if tags and not (type(tags) is dict and set(tags) <= {"user_id"}):
        # OpenAI's are kept with stored answers; Anthropic's only say who asks.
        raise Unsupported("claude", "metadata")


def parameters(body: Mapping[str, Any], version: str) -> _Block:
    """All that is neither turns nor tools."""
    out = {name: body[name] for name in _SAME if body.get(name)}
    if out.get("service_tier") == "default":
        out["service_tier"] = "standard_only"
    out.update(_output_config(body, out.pop("output_config", None)))
    if who := body.get("user") or body.get("safety_identifier"):
        out.setdefault("metadata", {"user_id": str(who)})
    if version == SAMPLING_VERSION:
        out.update({name: body[name] for name in _SAMPLING if body.get(name) is not None})
        # OpenAI's scale ends at 2, Anthropic's at 1.
        if isinstance(out.get("temperature"), int | float):
            out["temperature"] = min(out["temperature"], 1)
    return out


def _output_config(body: Mapping[str, Any], own: Any) -> _Block:
    """How the answer is to be written: the schema it has to keep."""
    config = dict(own) if isinstance(own, dict) else {}
    wanted = body.get("response_format") or {"type": "text"}
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    named = (wanted.get("json_schema") or {}) if kind == "json_schema" else {}
    schema = named.get("schema")
    if kind == "json_schema" and isinstance(schema, dict):
        if named.get("description"):
            schema = {"description": named["description"], **schema}
        config["format"] = {"type": "json_schema", "schema": schema}
    elif kind != "text":
        raise Unsupported("claude", f"response_format {kind}")
    return {"output_config": config} if config else {}


def think(out: _Block, effort: Any) -> None:
    """Put into a request how much thought goes into the answer. Where Claude may not think (a tool must be called, a
    sampling parameter changes something), effort goes without thoughts that are told."""
    if effort is None:
        return
    if effort == "none":
        out.setdefault("thinking", {"type": "disabled"})
        return
    if effort not in _EFFORTS:
        raise Unsupported("claude", f"reasoning_effort {effort}")
    bound = out.get("tool_choice", {}).get("type") in ("any", "tool") or samples(out)
    if not _OLDER.search(str(out.get("model"))):
        out["output_config"] = {**out.get("output_config", {}), "effort": _EFFORTS[effort]}
        if not bound:
            out.setdefault("thinking", {"type": "adaptive"})
        return
    budget = min(_BUDGETS[_EFFORTS[effort]], out["max_tokens"] - 1)
    if not bound and budget >= _LEAST_BUDGET:
        out.setdefault("thinking", {"type": "enabled", "budget_tokens": budget})


def tools(body: Mapping[str, Any]) -> _Block:
    """Tools and the choice among them; a choice without tools would be refused."""
    choice = body.get("tool_choice")
    offered = [_tool(tool) for tool in body.get("tools") or ()]
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        offered, choice = _allowed(choice.get("allowed_tools") or {}, offered)
    if not offered:
        return {}
    chosen: _Block | None = None
    if isinstance(choice, dict):
        if choice.get("type") not in (None, "function"):
            raise Unsupported("claude", f"tool_choice {choice['type']}")
        chosen = {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    elif choice:
        chosen = {"type": {"required": "any"}.get(choice, choice)}
    if body.get("parallel_tool_calls") is False:
        chosen = chosen or {"type": "auto"}
        if chosen["type"] != "none":
            chosen["disable_parallel_tool_use"] = True
    return {"tools": offered, "tool_choice": chosen} if chosen else {"tools": offered}


def _allowed(choice: _Block, offered: list[_Block]) -> tuple[list[_Block], Any]:
    """The tools that may be called, and whether one must."""
    names = [(tool.get("function") or {}).get("name") for tool in choice.get("tools") or ()]
    return [tool for tool in offered if tool["name"] in names], choice.get("mode") or "auto"


def _tool(tool: Any) -> _Block:
    kind = tool.get("type", "function") if isinstance(tool, dict) else None
    if kind != "function":
        raise Unsupported("claude", f"tools of type {kind}")
    function = tool.get("function") or {}
    out = {
        "name": function.get("name"),
        "description": function.get("description"),
        "input_schema": _schema(function.get("parameters")),
        "strict": function.get("strict") or None,
        "cache_control": tool.get("cache_control"),
    }
    return {name: value for name, value in out.items() if value is not None}


def _schema(given: Any) -> Any:
    """What a tool takes: an object, also where that goes without saying."""
    if not given:
        return {"type": "object", "properties": {}}
    return {**given, "type": "object"} if isinstance(given, dict) and not given.get("type") else given
