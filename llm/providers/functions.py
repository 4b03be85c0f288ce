"""OpenAI's older form of tools, `functions`, for providers that know only `tools`.

One function was called per answer, and its result named the function instead of the call. Ids are made up on the way
out; on the way back the first tool call becomes the function call.
"""

from collections.abc import Mapping
from typing import Any

_Message = dict[str, Any]


def is_legacy(body: Mapping[str, Any]) -> bool:
    """Whether the caller speaks the older form, and is to be answered in it."""
    return bool(body.get("functions")) and not body.get("tools")


def to_tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same request in the newer form. Old turns in the history are translated even when no function is offered."""
    out = {key: value for key, value in body.items() if key not in ("functions", "function_call")}
    messages = body.get("messages")
    if isinstance(messages, list) and any(_is_old(message) for message in messages):
        out["messages"] = _messages(messages)
    if is_legacy(body):
        out["tools"] = [{"type": "function", "function": function} for function in body["functions"]]
        # The older form has room for one call in an answer.
        out["parallel_tool_calls"] = False
        choice = body.get("function_call")
        if isinstance(choice, dict):
            out["tool_choice"] = {"type": "function", "function": {"name": choice.get("name", "")}}
        elif choice:
            out["tool_choice"] = choice
    return out


def answer_in_functions(event: dict[str, Any]) -> bool:
    """Turn an answer, or a chunk of one, back into the older form, in place. Says whether anything changed."""
    changed = False
    for choice in event.get("choices") or ():
        said = choice.get("delta") or choice.get("message") or {}
        calls = said.pop("tool_calls", None)
        if calls:
            # Calls beyond the first have no place here; a chunk of one says nothing.
            first = calls[0] if not calls[0].get("index") else {}
            call = {key: value for key, value in (first.get("function") or {}).items() if value is not None}
            if call:
                said["function_call"] = call
            changed = True
        if choice.get("finish_reason") == "tool_calls":
            choice["finish_reason"] = "function_call"
            changed = True
    return changed


def _is_old(message: Any) -> bool:
    return isinstance(message, dict) and (message.get("role") == "function" or bool(message.get("function_call")))


def _messages(messages: list[Any]) -> list[Any]:
    out: list[Any] = []
    # The id of the latest call of each function: its result is what follows.
    ids: dict[str, str] = {}
    for position, message in enumerate(messages):
        if not _is_old(message):
            out.append(message)
        elif message.get("role") == "function":
            name = str(message.get("name", ""))
            call_id = ids.get(name) or f"call_{position}"
            out.append({"role": "tool", "tool_call_id": call_id, "content": message.get("content")})
        else:
            call_id = f"call_{position}"
            ids[str(message["function_call"].get("name", ""))] = call_id
            out.append(_called(message, call_id))
    return out


def _called(message: _Message, call_id: str) -> _Message:
    called = {key: value for key, value in message.items() if key != "function_call"}
    called["tool_calls"] = [{"id": call_id, "type": "function", "function": message["function_call"]}]
    return called
