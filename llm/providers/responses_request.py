"""OpenAI's chat request as its Responses API wants it, for models that answer nothing else.

Source: OpenAI's API reference. Nothing is kept upstream (`store`). What has no counterpart is refused by name; thoughts
of earlier answers are left out, for without what was encrypted of them they cannot come back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from . import functions
from .base import ProviderError, Recovery, Unsupported

_TRANSLATED = frozenset({
    "model", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options", "tools", "tool_choice",
    "parallel_tool_calls", "functions", "function_call", "response_format", "reasoning_effort", "verbosity",
})  # fmt: skip
_SAME = frozenset({
    "temperature", "top_p", "user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key",
    "prompt_cache_retention",
})  # fmt: skip
# What changes nothing, and many clients send with every request.
_NEUTRAL: Mapping[str, Sequence[Any]] = {
    "n": (1,), "presence_penalty": (0,), "frequency_penalty": (0,), "logprobs": (False,), "top_logprobs": (0,),
    "logit_bias": ({},), "store": (False,), "modalities": (["text"],), "stop": ([], ""),
}  # fmt: skip
_NO_PARAMETERS = {"type": "object", "properties": {}}

_Item = dict[str, Any]


def request(body: Mapping[str, Any], provider: str, *, stream: bool, also: frozenset[str] = frozenset()) -> _Item:
    """The body of POST /responses. `also`: what this provider takes under the same name besides. Raises Unsupported."""
    for name, value in body.items():
        known = name in _TRANSLATED or name in _SAME or name in also
        if not known and value is not None and value not in _NEUTRAL.get(name, ()):
            raise Unsupported(provider, name)
    body = functions.to_tools(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise ProviderError("`messages` must be a list of messages.", recovery=Recovery.FAIL, code="messages")
    turned = _MessageItems(provider)
    items = [item for message in messages for item in turned.of(message)]
    out: _Item = {"model": body.get("model"), "input": items, "store": False}
    out |= {name: body[name] for name in _SAME | also if body.get(name) is not None}
    if most := body.get("max_completion_tokens") or body.get("max_tokens"):
        out["max_output_tokens"] = most
    if body.get("reasoning_effort") is not None:
        out["reasoning"] = {"effort": body["reasoning_effort"]}
    if text := _text_of_answer(body, provider):
        out["text"] = text
    if stream:
        out["stream"] = True
    return out | _tools(body, provider)


class _MessageItems:
    """Turns messages into items, for one provider."""

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def of(self, message: _Item) -> list[_Item]:
        role = message.get("role")
        if role == "tool":
            output = self._content(message.get("content"), "user")
            return [{"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": output}]
        if role in ("system", "developer"):
            return [self._message("developer", message)]
        if role == "user":
            return [self._message("user", message)]
        if role != "assistant":
            raise ProviderError(f"There is no role {role!r}.", recovery=Recovery.FAIL, code="messages")
        calls = [self._call(call) for call in message.get("tool_calls") or ()]
        said = message.get("content") or message.get("refusal")
        if message.get("audio"):
            raise Unsupported(self._provider, "audio")
        return [*([self._message("assistant", message)] if said else []), *calls]

    def _message(self, role: str, message: _Item) -> _Item:
        content = self._content(message.get("content"), role)
        if message.get("refusal"):
            parts = [{"type": "output_text", "text": content}] if isinstance(content, str) and content else content
            content = [*parts, {"type": "refusal", "refusal": message["refusal"]}]
        return {"type": "message", "role": role, "content": content}

    def _content(self, content: Any, role: str) -> str | list[_Item]:
        if isinstance(content, list):
            return [self._part(part, role) for part in content]
        return str(content or "")

    def _part(self, part: Any, role: str) -> _Item:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            return {"type": "output_text" if role == "assistant" else "input_text", "text": part.get("text")}
        if kind == "refusal" and role == "assistant":
            return {"type": "refusal", "refusal": part.get("refusal")}
        if kind == "image_url" and role == "user":
            return _image(part.get("image_url"))
        if kind == "file" and role == "user":
            return self._file(part.get("file") or {})
        raise Unsupported(self._provider, f"{kind} content")

    def _file(self, file: _Item) -> _Item:
        """A file that comes along. What was uploaded before is our account's, not the caller's."""
        if file.get("file_id"):
            raise Unsupported(self._provider, "file_id")
        return {"type": "input_file", **{name: file[name] for name in ("filename", "file_data") if file.get(name)}}

    def _call(self, call: _Item) -> _Item:
        if call.get("type") not in (None, "function"):
            raise Unsupported(self._provider, f"tool calls of type {call.get('type')}")
        function = call.get("function") or {}
        return {
            "type": "function_call",
            "call_id": call.get("id"),
            "name": function.get("name"),
            "arguments": function.get("arguments") or "{}",
        }


def _image(image: Any) -> _Item:
    given = image if isinstance(image, dict) else {"url": image}
    detail = given.get("detail")
    return {"type": "input_image", "image_url": given.get("url"), **({"detail": detail} if detail else {})}


def _text_of_answer(body: Mapping[str, Any], provider: str) -> _Item:
    """How the answer is to be written. What is nested in a chat is flat here."""
    out: _Item = {"verbosity": body["verbosity"]} if body.get("verbosity") is not None else {}
    wanted = body.get("response_format") or {"type": "text"}
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_schema":
        out["format"] = {"type": kind, **(wanted.get("json_schema") or {})}
    elif kind == "json_object":
        out["format"] = {"type": kind}
    elif kind != "text":
        raise Unsupported(provider, f"response_format {kind}")
    return out


def _tools(body: Mapping[str, Any], provider: str) -> _Item:
    """Tools and the choice among them, which makes no sense without any."""
    tools = [_tool(tool, provider) for tool in body.get("tools") or ()]
    if not tools:
        return {}
    out: _Item = {"tools": tools}
    if body.get("tool_choice") is not None:
        out["tool_choice"] = _choice(body["tool_choice"], provider)
    if body.get("parallel_tool_calls") is not None:
        out["parallel_tool_calls"] = body["parallel_tool_calls"]
    return out


def _tool(tool: _Item, provider: str) -> _Item:
    if tool.get("type") != "function":
        raise Unsupported(provider, f"tools of type {tool.get('type')}")
    function = tool.get("function") or {}
    out = {"type": "function", "name": function.get("name"), "description": function.get("description")}
    out["parameters"] = function.get("parameters") or _NO_PARAMETERS
    # A schema that says nothing of it is strict here, and is not in a chat.
    out["strict"] = function.get("strict") is True
    return {name: value for name, value in out.items() if value is not None}


def _choice(choice: Any, provider: str) -> Any:
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools") or {}
        tools = [_choice(tool, provider) for tool in allowed.get("tools") or ()]
        return {"type": "allowed_tools", "mode": allowed.get("mode"), "tools": tools}
    if choice.get("type") != "function":
        raise Unsupported(provider, f"tool_choice {choice.get('type')}")
    return {"type": "function", "name": (choice.get("function") or {}).get("name")}
