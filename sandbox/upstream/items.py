"""Reading the input of a request in Responses: items by their kinds, calls and their results in pairs, and thoughts
that come back. Nothing is kept here, so that all of it has to come along.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .requests import Body, Content, joined, objects
from .vendors import OpenAI

_ROLES = ("user", "system", "developer", "assistant")
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}
_IDS = {"message": "msg_", "reasoning": "rs_", "function_call": "fc_", "custom_tool_call": "ctc_"}
# Only OpenAI's.
_CUSTOM = frozenset({"custom_tool_call", "custom_tool_call_output"})
# Ids that follow a thought begin with its own.
_OWN, _FOLLOWING = 24, 32


@dataclass
class InputItems:
    """All that was said (`texts`), by the user (`questions`), and by tools since the user spoke last (`results`)."""

    texts: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    pictures: int = 0
    # Calls by their ids, those that are not answered yet, and the thoughts that came along.
    called: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    thoughts: set[str] = field(default_factory=set)


def read_items(vendor: OpenAI, given: Any, *, vision: bool) -> InputItems:
    """Raises Refused for what the provider would refuse."""
    items = [{"role": "user", "content": given}] if isinstance(given, str) else objects(vendor, given, "input")
    found = InputItems()
    for item in items:
        if item.get("type") in _CALLS and isinstance(item.get("call_id"), str):
            found.called[item["call_id"]] = item["type"]
    found.unanswered = set(found.called)
    for position, item in enumerate(items):
        _read(vendor, found, item, f"input[{position}]", vision=vision)
    if found.unanswered:
        text = f"No tool output found for function call {min(found.unanswered)}."
        raise vendor.bad(text, "input")
    if items[-1].get("type") == "reasoning":
        text = f"Item '{items[-1]['id']}' of type 'reasoning' was provided without its required following item."
        raise vendor.bad(text, "input")
    return found


def _read(vendor: OpenAI, found: InputItems, item: Body, name: str, *, vision: bool) -> None:
    kind = item.get("type") or "message"
    if kind == "item_reference":
        text = f"Item with id '{item.get('id')}' not found. InputItems are not persisted when `store` is set to false."
        raise vendor.bad(text, "input")
    if kind not in (*_IDS, *_OUTPUTS) or (vendor.name == "ark" and kind in _CUSTOM):
        raise vendor.bad(f"Invalid value: '{kind}'. Supported values are: {', '.join([*_IDS, *_OUTPUTS])}.", name)
    _check_id(vendor, found, kind, item, name)
    if kind == "message":
        _message(vendor, found, item, name, vision=vision)
    elif kind == "reasoning":
        _thought(vendor, found, item, name)
    elif kind in _CALLS:
        if not all(isinstance(item.get(key), str) for key in ("call_id", "name", _CALLS[kind])):
            raise vendor.bad(f"a {kind} has call_id, name and {_CALLS[kind]}, all of them texts", name)
        found.texts.append(f"{item['name']} {item[_CALLS[kind]]}")
    else:
        _output(vendor, found, item, name, vision=vision)


def _check_id(vendor: OpenAI, found: InputItems, kind: str, item: Body, name: str) -> None:
    """An id must be of its kind; who follows a thought comes with it."""
    number, begins = item.get("id"), _IDS.get(kind, "")
    if number is None or not begins:
        return
    if not isinstance(number, str) or not number.startswith(begins):
        raise vendor.bad(f"Invalid '{name}.id': '{number}'. Expected an ID that begins with '{begins[:-1]}'.", name)
    own = number.removeprefix(begins)
    if kind != "reasoning" and len(own) == _FOLLOWING and f"rs_{own[:_OWN]}" not in found.thoughts:
        text = (
            f"Item '{number}' of type '{kind}' was provided without its required 'reasoning' item: 'rs_{own[:_OWN]}'."
        )
        raise vendor.bad(text, "input")


def _message(vendor: OpenAI, found: InputItems, item: Body, name: str, *, vision: bool) -> None:
    role = item.get("role")
    if role not in _ROLES:
        raise vendor.bad(f"Invalid value: {role!r}. Supported values are: {', '.join(_ROLES)}.", f"{name}.role")
    content = _content(vendor, item.get("content"), str(role), f"{name}.content", vision=vision)
    found.texts.append(content.text)
    if role == "user":
        found.questions.append(content.text)
        found.results, found.pictures = [], content.pictures


def _content(vendor: OpenAI, content: Any, role: str, name: str, *, vision: bool) -> Content:
    if isinstance(content, str):
        return Content(content)
    if not content:
        raise vendor.bad("content must be a text or a list of parts", name)
    parts = enumerate(objects(vendor, content, name))
    return joined([_part(vendor, part, role, f"{name}[{position}]", vision=vision) for position, part in parts])


def _part(vendor: OpenAI, part: Mapping[str, Any], role: str, name: str, *, vision: bool) -> Content:
    kind = part.get("type")
    texts = {"output_text": "text", "refusal": "refusal"} if role == "assistant" else {"input_text": "text"}
    if kind in texts and isinstance(part.get(texts[kind]), str):
        return Content(part[texts[kind]])
    if kind == "input_image" and role != "assistant":
        url = part.get("image_url")
        if not vision:
            raise vendor.bad("Invalid content type. input_image is only supported by certain models.", name)
        if not isinstance(url, str) or not url.startswith(("http://", "https://", "data:image/")):
            raise vendor.bad("image_url must be an address or a data: URL of an image", name)
        return Content("", 1)
    if kind == "input_file" and role != "assistant":
        if not (isinstance(part.get("file_data"), str) and part.get("filename")) and not part.get("file_url"):
            raise vendor.bad("a file has file_data and filename, or file_url", name)
        return Content(str(part.get("filename") or part.get("file_url")))
    raise vendor.bad(f"Invalid value: {kind!r}. Supported values are: {', '.join(texts)}.", f"{name}.type")


def _output(vendor: OpenAI, found: InputItems, item: Body, name: str, *, vision: bool) -> None:
    call_id, kind = item.get("call_id"), str(item["type"])
    if found.called.get(str(call_id)) != _OUTPUTS[kind]:
        raise vendor.bad(f"No tool call found for function call output with call_id {call_id}.", "input")
    found.unanswered.discard(str(call_id))
    output = item.get("output")
    content = Content("") if output == "" else _content(vendor, output, "tool", f"{name}.output", vision=vision)
    found.texts.append(content.text)
    found.results.append(content.text)
    found.pictures += content.pictures


def _thought(vendor: OpenAI, found: InputItems, item: Body, name: str) -> None:
    if not isinstance(item.get("id"), str) or not isinstance(item.get("summary"), list):
        raise vendor.bad("a reasoning item has an id and a summary", name)
    if vendor.name == "ark" and not item.get("status"):
        raise vendor.bad("a reasoning item has a status", f"{name}.status")
    sealed = item.get("encrypted_content")
    if not sealed:
        text = f"Item with id '{item['id']}' not found. InputItems are not persisted when `store` is set to false."
        raise vendor.bad(text, "input")
    if sealed != seal(vendor, item["id"]):
        text = f"The encrypted content for item {item['id']} could not be verified."
        raise vendor.bad(text, "", "invalid_encrypted_content")
    found.thoughts.add(item["id"])


def seal(vendor: OpenAI, number: str) -> str:
    """What a thought is encrypted as: only the account it was thought for can give it back."""
    mark = hmac.new(vendor.key().encode(), number.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(b"\x80\0\0\0\0" + mark).decode()


def new_id(kind: str, thought: str = "") -> str:
    """An id for an item of a kind; with a thought, one that follows it."""
    if thought:
        return _IDS[kind] + thought.removeprefix(_IDS["reasoning"]) + secrets.token_hex((_FOLLOWING - _OWN) // 2)
    return _IDS[kind] + secrets.token_hex(_OWN // 2)
