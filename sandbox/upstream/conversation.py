"""Reading the messages of a chat request in OpenAI's shape: roles, parts, and tool results in their place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from .requests import Body, Content, joined, objects
from .vendors import Vendor

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_LONGEST = 2048


@dataclass(frozen=True)
class Messages:
    """All that was said (`texts`), by the user (`questions`), and by tools since the user spoke last (`results`)."""

    texts: list[str]
    questions: list[str]
    results: list[str]
    pictures: int


def read_messages(vendor: Vendor, messages: Sequence[Body], *, vision: bool) -> Messages:
    """Raises Refused for what the provider would refuse."""
    if len(messages) > _LONGEST:
        raise vendor.bad(f"at most {_LONGEST} messages are allowed", "messages")
    texts: list[str] = []
    questions: list[str] = []
    results: list[str] = []
    pictures = 0
    # The calls of the latest assistant message that nobody has answered yet.
    open_calls: set[str] = set()
    for position, message in enumerate(messages):
        name, role = f"messages[{position}]", message.get("role")
        if role not in _ROLES or (role == "function" and vendor.name == "ark"):
            raise vendor.bad(f"Invalid value: {role!r}. Supported values are: {', '.join(_ROLES[:5])}.", f"{name}.role")
        if open_calls and role != "tool":
            text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            raise vendor.bad(f"{text} 'tool_call_id': {', '.join(sorted(open_calls))}.", "messages")
        content = _content(vendor, message, name, vision=vision)
        texts.append(content.text + _calls_text(message))
        if role == "user":
            questions.append(content.text)
            results, pictures = [], content.pictures
        elif role in ("tool", "function"):
            if role == "tool":
                _close(vendor, message, open_calls, name)
            results.append(content.text)
        elif role == "assistant":
            open_calls = _opened(vendor, message, name)
    if open_calls:
        raise vendor.bad("tool calls at the end of the messages have not been answered", "messages")
    return Messages(texts, questions, results, pictures)


def _content(vendor: Vendor, message: Mapping[str, Any], name: str, *, vision: bool) -> Content:
    content = message.get("content")
    if isinstance(content, str):
        return Content(content)
    if content is None:
        if message["role"] == "assistant" and (message.get("tool_calls") or message.get("function_call")):
            return Content("")
        raise vendor.bad(f"Invalid value for 'content' of {name}: expected a string, got null.", f"{name}.content")
    if not isinstance(content, list) or not content or not all(isinstance(part, dict) for part in content):
        raise vendor.bad("content must be a string or a list of parts", f"{name}.content")
    return joined([_part(vendor, part, f"{name}.content", vision=vision) for part in content])


def _part(vendor: Vendor, part: Mapping[str, Any], name: str, *, vision: bool) -> Content:
    kind = part.get("type")
    if kind in ("text", "refusal") and isinstance(part.get(kind), str):
        return Content(part[kind])
    if kind == "image_url":
        if not vision:
            raise vendor.bad("Invalid content type. image_url is only supported by certain models.", name)
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else None
        if not isinstance(url, str) or not url.startswith(("http://", "https://", "data:image/")):
            raise vendor.bad("image_url.url must be an address or a data: URL of an image", name)
        return Content("", 1)
    raise vendor.bad(f"Invalid part of type {kind!r}.", name)


def _opened(vendor: Vendor, message: Mapping[str, Any], name: str) -> set[str]:
    found = set()
    for call in objects(vendor, message.get("tool_calls") or [], f"{name}.tool_calls"):
        function = call.get("function")
        if not isinstance(function, dict) or not isinstance(call.get("id"), str) or call.get("type") != "function":
            raise vendor.bad("each tool call needs an id, the type function and a function", f"{name}.tool_calls")
        if not isinstance(function.get("name"), str) or not isinstance(function.get("arguments"), str):
            raise vendor.bad("a function has a name and arguments, both texts", f"{name}.tool_calls")
        found.add(call["id"])
    return found


def _close(vendor: Vendor, message: Mapping[str, Any], open_calls: set[str], name: str) -> None:
    answered = message.get("tool_call_id")
    if answered not in open_calls:
        text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
        raise vendor.bad(text, f"{name}.tool_call_id")
    open_calls.discard(str(answered))


def _calls_text(message: Mapping[str, Any]) -> str:
    calls = [message[name] for name in ("tool_calls", "function_call") if message.get(name)]
    return orjson.dumps(calls).decode() if calls else ""
