"""What every request to /v1/responses must be like, whoever will answer it.

Refused here is also what would live at one of our accounts at a provider, where users could read each other's:
conversations, stored prompts, files, containers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...relay.errors import CallRefused
from .. import account_state
from ..chat_completions import MAX_MESSAGES, count

CALLS = ("function_call", "custom_tool_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output")
_ROLES = ("user", "assistant", "system", "developer")

# What is somebody's state, or none of ours; with the value that means nothing.
_REFUSED: Mapping[str, Any] = {
    "conversation": None,
    "background": False,
    "prompt": None,
    "moderation": None,
    "caching": {"type": "disabled"},
    "session": None,
    "expire_at": None,
}
# Names of other dialects, and what is meant by them here.
_OTHERS: Mapping[str, str] = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "functions": "tools",
    "n": "several requests",
}
_PARTS: Mapping[str, str] = {
    "text": "input_text",
    "image_url": "input_image",
    "image": "input_image",
    "file": "input_file",
    "video_url": "input_video",
}
_INCLUDED = ("reasoning.encrypted_content", "message.output_text.logprobs")
_INCLUDES = frozenset({
    *_INCLUDED, "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    "input_image.image_url", "input_audio.audio_url",
})  # fmt: skip
# Tools that keep something at our account, or whose use has no price.
_KEPT_TOOLS = frozenset({"file_search", "code_interpreter", "image_generation", "shell"})
_ARK_TOOLS = frozenset({"knowledge_search", "image_process", "doubao_app"})


def refused(text: str, param: str, code: str = "") -> CallRefused:
    return CallRefused(text, param=param, code=code)


def kind_of(item: Mapping[str, Any]) -> Any:
    """An item without a type is a message."""
    return item.get("type") or "message"


def check(body: Mapping[str, Any]) -> None:
    """Raises CallRefused for what cannot be read, or must not be answered."""
    for name, nothing in _REFUSED.items():
        if body.get(name) not in (None, nothing):
            raise refused(f"{name} is not to be had here.", name, "unsupported_parameter")
    for name, meant in _OTHERS.items():
        if body.get(name) is not None:
            raise refused(f"{name} is of another API: here it is {meant}.", name)
    _check_input(body)
    _check_values(body)
    for number, tool in enumerate(listed(body, "tools")):
        _check_tool(tool, f"tools[{number}]")
    account_state.check(body, "input", "tools", "tool_choice", "prompt_cache_options")


def listed(body: Mapping[str, Any], name: str, where: str = "") -> list[dict[str, Any]]:
    """A list of objects, empty when it is not there. Raises CallRefused."""
    found, where = body.get(name), where or name
    if found is None:
        return []
    if type(found) is not list or not all(type(each) is dict for each in found):
        raise refused(f"{where} must be a list of objects.", where)
    return found


# --- Values ----------------------------------------------------------------------------------------------------------
def _check_values(body: Mapping[str, Any]) -> None:
    for name in ("stream", "store", "parallel_tool_calls"):
        if type(body.get(name, False)) is not bool:
            raise refused(f"{name} must be true or false.", name)
    for name in ("temperature", "top_p"):
        if type(body.get(name, 0)) not in (int, float):
            raise refused(f"{name} must be a number.", name)
    for name in ("instructions", "previous_response_id", "prompt_cache_key", "safety_identifier", "user"):
        if type(body.get(name, "")) is not str:
            raise refused(f"{name} must be a text.", name)
    for name in ("reasoning", "text", "metadata", "stream_options"):
        if type(body.get(name, {})) is not dict:
            raise refused(f"{name} must be an object.", name)
    count(body, "max_output_tokens", 10_000_000)
    includes = body.get("include", [])
    if type(includes) is not list or not all(type(each) is str and each in _INCLUDES for each in includes):
        raise refused(f"include may hold {', '.join(sorted(_INCLUDES))}.", "include")
    _check_format(body.get("text", {}).get("format"))


def _check_format(wanted: Any) -> None:
    if wanted is None:
        return
    kind = wanted.get("type") if type(wanted) is dict else None
    if kind not in ("text", "json_object", "json_schema"):
        raise refused("text.format.type must be text, json_object or json_schema.", "text.format.type")
    if kind != "json_schema":
        return
    if type(wanted.get("name")) is not str or not wanted["name"]:
        raise refused("text.format.name is missing.", "text.format.name")
    if type(wanted.get("schema")) is not dict:
        raise refused("text.format.schema must be a JSON schema.", "text.format.schema")


# --- Input -----------------------------------------------------------------------------------------------------------
def _check_input(body: Mapping[str, Any]) -> None:
    given = body.get("input")
    if given is None and body.get("messages") is not None:
        raise refused("messages are of another API: here the conversation is `input`.", "input")
    if type(given) is str and given:
        return
    if type(given) is not list or not 0 < len(given) <= MAX_MESSAGES:
        raise refused(f"input must be a text, or a list of 1 to {MAX_MESSAGES} items.", "input")
    for number, item in enumerate(given):
        where = f"input[{number}]"
        if type(item) is not dict:
            raise refused(f"{where} must be an object.", where)
        _check_item(item, where)


def _check_item(item: Mapping[str, Any], where: str) -> None:
    kind = kind_of(item)
    if type(kind) is not str:
        raise refused(f"{where}.type must be a text.", f"{where}.type")
    if kind in _CHECKS:
        _CHECKS[kind](item, where)


def _check_message(item: Mapping[str, Any], where: str) -> None:
    if item.get("role") not in _ROLES:
        raise refused(f"{where}.role must be one of {', '.join(_ROLES)}.", f"{where}.role")
    _check_content(item.get("content"), f"{where}.content")


def _check_call(item: Mapping[str, Any], where: str) -> None:
    given = "arguments" if kind_of(item) == "function_call" else "input"
    for name in ("call_id", "name", given):
        if type(item.get(name)) is not str or not (item[name] or name == given):
            raise refused(f"{where}.{name} must be a text.", f"{where}.{name}")
    if type(item.get("namespace") or "") is not str:
        raise refused(f"{where}.namespace must be a text.", f"{where}.namespace")


def _check_output(item: Mapping[str, Any], where: str) -> None:
    if type(item.get("call_id")) is not str or not item["call_id"]:
        raise refused(f"{where}.call_id must be a text.", f"{where}.call_id")
    _check_content(item.get("output"), f"{where}.output")


def _check_reasoning(item: Mapping[str, Any], where: str) -> None:
    for name in ("summary", "content"):
        listed(item, name, f"{where}.{name}")
    if type(item.get("encrypted_content") or "") is not str:
        raise refused(f"{where}.encrypted_content must be a text.", f"{where}.encrypted_content")


def _check_more_tools(item: Mapping[str, Any], where: str) -> None:
    for number, tool in enumerate(listed(item, "tools", f"{where}.tools")):
        _check_tool(tool, f"{where}.tools[{number}]")


def _check_picture(item: Mapping[str, Any], where: str) -> None:
    if type(item.get("result")) is not str or not item["result"]:
        # It would be looked up by its id.
        raise refused("Pictures are not kept here: send the content itself.", f"{where}.result", "unsupported_value")


def _check_reference(item: Mapping[str, Any], where: str) -> None:
    if type(item.get("id")) is not str:
        raise refused(f"{where}.id must be a text.", f"{where}.id")


_CHECKS: Mapping[Any, Callable[[Mapping[str, Any], str], None]] = {
    "message": _check_message,
    **dict.fromkeys(CALLS, _check_call),
    **dict.fromkeys(OUTPUTS, _check_output),
    "reasoning": _check_reasoning,
    "additional_tools": _check_more_tools,
    "item_reference": _check_reference,
    "image_generation_call": _check_picture,
}


def _check_content(content: Any, where: str) -> None:
    if type(content) is str:
        return
    if type(content) is not list:
        raise refused(f"{where} must be a text or a list of parts.", where)
    for number, part in enumerate(content):
        _check_part(part, f"{where}[{number}]")


def _check_part(part: Any, where: str) -> None:
    kind = part.get("type") if type(part) is dict else None
    if type(kind) is not str:
        raise refused(f"{where} must be an object with a type.", f"{where}.type")
    if kind in _PARTS and not (kind == "text" and type(part.get("text")) is str and "output" in where):
        raise refused(f"{kind} is of another API: here it is {_PARTS[kind]}.", f"{where}.type")
    if part.get("file_id"):
        # Files would be those of our account.
        raise refused("Files are not kept here: send the content itself.", f"{where}.file_id", "unsupported_value")
    wanted = {"input_text": "text", "output_text": "text", "refusal": "refusal"}.get(kind)
    if wanted and type(part.get(wanted)) is not str:
        raise refused(f"{where}.{wanted} must be a text.", f"{where}.{wanted}")
    if kind == "input_image" and type(part.get("image_url")) is not str:
        raise refused(f"{where}.image_url must be a text.", f"{where}.image_url")


# --- Tools -----------------------------------------------------------------------------------------------------------
def _check_tool(tool: Mapping[str, Any], where: str) -> None:
    kind = tool.get("type")
    if type(kind) is not str:
        raise refused(f"{where}.type must be a text.", f"{where}.type")
    if kind in _KEPT_TOOLS or kind in _ARK_TOOLS:
        raise refused(f"Tools of type {kind} are not to be had here.", f"{where}.type", "unsupported_tool")
    if kind in ("function", "custom", "namespace") and (type(tool.get("name")) is not str or not tool["name"]):
        raise refused(f"{where}.name must be a text. It stands beside the type here.", f"{where}.name")
    if type(tool.get("description") or "") is not str:
        raise refused(f"{where}.description must be a text.", f"{where}.description")
    if kind == "function" and type(tool.get("parameters") or {}) is not dict:
        raise refused(f"{where}.parameters must be a JSON schema.", f"{where}.parameters")
    if kind == "custom":
        _check_grammar(tool.get("format"), f"{where}.format")
    if kind == "namespace":
        for number, inner in enumerate(listed(tool, "tools", f"{where}.tools")):
            if inner.get("type") not in ("function", "custom"):
                at = f"{where}.tools[{number}].type"
                raise refused("A namespace holds functions and custom tools.", at, "unsupported_tool")
            _check_tool(inner, f"{where}.tools[{number}]")


def _check_grammar(wanted: Any, where: str) -> None:
    if type(wanted or {}) is not dict:
        raise refused(f"{where} must be an object.", where)
    if wanted and wanted.get("type") == "grammar":
        for name in ("syntax", "definition"):
            if type(wanted.get(name)) is not str:
                raise refused(f"{where}.{name} must be a text.", f"{where}.{name}")


# --- The whole conversation ------------------------------------------------------------------------------------------
def items_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a request that was checked."""
    given = body["input"]
    return [{"type": "message", "role": "user", "content": given}] if type(given) is str else given


def check_pairs(body: Mapping[str, Any]) -> None:
    """Each call of a tool has its output and each output its call, in a conversation that is complete. They are matched
    by `call_id`, at any distance."""
    items = items_of(body)
    calls: dict[str, int] = {}
    for number, item in enumerate(items):
        if kind_of(item) in CALLS:
            if item["call_id"] in calls:
                where = f"input[{number}].call_id"
                raise refused(f"There are two calls with call_id {item['call_id']}.", where)
            calls[item["call_id"]] = number
    answered = set()
    for number, item in enumerate(items):
        if kind_of(item) not in OUTPUTS:
            continue
        called = item["call_id"]
        if calls.get(called, number) >= number:
            raise refused(f"No tool call found for function call output with call_id {called}.", "input")
        if called in answered:
            raise refused(f"There are two outputs with call_id {called}.", f"input[{number}].call_id")
        answered.add(called)
    for called in calls:
        if called not in answered:
            raise refused(f"No tool output found for function call {called}.", "input")


def parts_of(items: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Every part of the messages and of what tools gave out."""
    for item in items:
        for name in ("content", "output"):
            parts = item.get(name)
            if type(parts) is list and kind_of(item) != "reasoning":
                yield from (part for part in parts if type(part) is dict)
