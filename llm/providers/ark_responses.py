"""What of OpenAI's Responses Ark has no room for: fields are left out where they change no answer; kinds of tools and
items that it does not know make the whole request one that has to be translated.

Source: the types of arkruntime 0.17.0.
"""

from collections.abc import Iterable, Mapping
from typing import Any

_LACKING = frozenset({
    "metadata", "user", "truncation", "top_logprobs", "background", "prompt", "conversation", "moderation",
    "prompt_cache_options", "prompt_cache_retention", "stream_options", "client_metadata", "context_management",
})  # fmt: skip
_INCLUDES = frozenset({"reasoning.encrypted_content", "message.input_image.image_url", "message.input_audio.audio_url"})
_REASONING = ("effort",)
_TOOLS = frozenset({
    "function", "namespace", "tool_search", "web_search", "mcp", "knowledge_search", "image_process", "doubao_app",
})  # fmt: skip
_CHOICES = frozenset({"function", "mcp", "web_search", "knowledge_search"})
_ITEMS = frozenset({
    "message", "function_call", "function_call_output", "reasoning", "tool_search_call", "tool_search_output",
    "mcp_approval_request", "mcp_approval_response", "mcp_list_tools", "mcp_call",
})  # fmt: skip

_JSON = dict[str, Any]


def has_room_for(body: Mapping[str, Any]) -> bool:
    """Whether Ark knows every kind of tool and item in a request."""
    choice = body.get("tool_choice")
    return (
        all(tool.get("type") in _TOOLS for tool in _objects(body.get("tools")))
        and all((item.get("type") or "message") in _ITEMS for item in _objects(body.get("input")))
        and (type(choice) is not dict or choice.get("type") in _CHOICES)
    )


def request(body: Mapping[str, Any]) -> _JSON:
    """The request in Ark's form."""
    out = {name: value for name, value in body.items() if name not in _LACKING}
    if type(out.get("input")) is list:
        out["input"] = [_item(item) if type(item) is dict else item for item in out["input"]]
    if type(out.get("tools")) is list:
        out["tools"] = [_tool(tool) if type(tool) is dict else tool for tool in out["tools"]]
    if type(out.get("include")) is list:
        out["include"] = [value for value in out["include"] if type(value) is not str or value in _INCLUDES]
    if type(out.get("reasoning")) is dict:
        out["reasoning"] = {name: out["reasoning"][name] for name in _REASONING if name in out["reasoning"]}
    if type(out.get("text")) is dict:
        out["text"] = _without(out["text"], "verbosity")
    return {name: value for name, value in out.items() if name not in _EMPTIED or value != _EMPTIED[name]}


# What says nothing once its parts have been left out.
_EMPTIED: Mapping[str, Any] = {"include": [], "reasoning": {}, "text": {}}


def _item(item: _JSON) -> _JSON:
    kind = item.get("type") or "message"
    if kind == "reasoning":
        return {**item, "status": item.get("status") or "completed"}
    if kind == "message":
        # Where in an answer it stood, and how it ended, is said of messages at OpenAI only.
        item = _without(item, "phase", "status")
    for name in ("content", "output"):
        if type(item.get(name)) is list:
            item = {**item, name: [_part(part) if type(part) is dict else part for part in item[name]]}
    return item


def _part(part: _JSON) -> _JSON:
    return {**part, "detail": "high"} if part.get("detail") == "original" else part


def _tool(tool: _JSON) -> _JSON:
    if tool.get("type") == "namespace":
        inner = tool.get("tools")
        tools = [_without(each, "strict") for each in inner if type(each) is dict] if type(inner) is list else inner
        return {**tool, "tools": tools}
    return _without(tool, "strict") if tool.get("type") == "function" else tool


def _objects(given: Any) -> Iterable[_JSON]:
    return (each for each in given if type(each) is dict) if type(given) is list else ()


def _without(given: _JSON, *names: str) -> _JSON:
    return {name: value for name, value in given.items() if name not in names}
