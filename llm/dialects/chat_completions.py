"""Reading what a client of /v1 sent, strictly: what is wrong is said by name, and nothing wrong goes further."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from voicehelper.api.errors import ErrorAnswer

from ..providers.base import CHAT, COMPLETIONS
from ..relay.errors import CallRefused
from ..relay.estimates import weigh_input, weigh_prompt
from ..relay.questions import max_tokens_of
from ..relay.router import Priority, RoutingRequest
from . import account_state
from .base import Dialect, header_names
from .errors import openai

MAX_DEPTH = 64
MAX_MESSAGES = 4096
MAX_CHOICES = 128
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
# Ours: whom to ask. They are not sent on.
_ROUTING = ("models", "fallbacks", "priority", "provider")


def read_object(content: bytes) -> dict[str, Any]:
    """The JSON object a client sent. NaN and nesting beyond 64 levels are refused."""
    try:
        # Some clients begin with a byte order mark.
        body = orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise CallRefused(f"The body is not valid JSON: {error}.") from None
    if type(body) is not dict:
        raise CallRefused("The body must be a JSON object.")
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise CallRefused(f"The body is nested deeper than {MAX_DEPTH} levels.")
    return body


def said(body: dict[str, Any]) -> dict[str, Any]:
    """A body without what is null, which counts as not there."""
    return {name: value for name, value in body.items() if value is not None}


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        inner = (item.values() if type(item) is dict else item for item in level if type(item) in (dict, list))
        level = [child for items in inner for child in items if type(child) in (dict, list)]
    return depth


def text(body: Mapping[str, Any], name: str, *, longest: int) -> str:
    """A text that must be there."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise CallRefused(f"{name} must be a text that is not empty.", param=name)
    if len(value) > longest:
        raise CallRefused(f"{name} is longer than {longest} characters.", param=name)
    return value


def count(body: Mapping[str, Any], name: str, most: int) -> None:
    """A whole number from 1, if it is there."""
    value = body.get(name, 1)
    if type(value) is not int or not 1 <= value <= most:
        raise CallRefused(f"{name} must be a whole number between 1 and {most}.", param=name)


def check_chat(body: Mapping[str, Any]) -> None:
    """What every chat request must be like, whoever will answer it."""
    messages = body.get("messages")
    if type(messages) is not list or not 0 < len(messages) <= MAX_MESSAGES:
        raise CallRefused(f"messages must be a list of 1 to {MAX_MESSAGES} messages.", param="messages")
    for number, message in enumerate(messages):
        _check_message(message, f"messages[{number}]")
    count(body, "n", MAX_CHOICES)
    if type(body.get("stream", False)) is not bool:
        raise CallRefused("stream must be true or false.", param="stream")
    if type(body.get("stream_options", {})) is not dict:
        raise CallRefused("stream_options must be an object.", param="stream_options")
    for name in ("tools", "functions"):
        tools = body.get(name, [])
        if type(tools) is not list or not all(type(tool) is dict for tool in tools):
            raise CallRefused(f"{name} must be a list of objects.", param=name)
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        if type(body.get(name, 0)) not in (int, float):
            raise CallRefused(f"{name} must be a number.", param=name)
    account_state.check(body)


def check_token_limits(body: Mapping[str, Any]) -> None:
    """The router compares them, whatever is asked for."""
    for name in ("max_tokens", "max_completion_tokens"):
        count(body, name, 10_000_000)


def _check_message(message: Any, name: str) -> None:
    if type(message) is not dict:
        raise CallRefused(f"{name} must be an object.", param=name)
    if message.get("role") not in _ROLES:
        raise CallRefused(f"{name}.role must be one of {', '.join(sorted(_ROLES))}.", param=f"{name}.role")
    content = message.get("content")
    if content is None or type(content) is str:
        if content is None and message["role"] != "assistant":
            raise CallRefused(f"{name}.content is missing.", param=f"{name}.content")
        return
    if type(content) is not list or not all(type(part) is dict and type(part.get("type")) is str for part in content):
        raise CallRefused(f"{name}.content must be a text or a list of typed parts.", param=f"{name}.content")


def check_input(body: Mapping[str, Any]) -> None:
    """What is to be embedded: a text, texts, or the same as token numbers."""
    given = body.get("input")
    if isinstance(given, str) and given:
        return
    kinds = {type(item) for item in given} if isinstance(given, list) else set()
    numbers = kinds == {list} and all(type(number) is int for item in given or () for number in item)
    if kinds not in ({str}, {int}) and not numbers:
        raise CallRefused("input must be a text, a list of texts, or token numbers.", param="input")


def unrouted(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without what is said to us: whom to ask."""
    return {name: value for name, value in body.items() if name not in _ROUTING}


def routing_request(
    body: Mapping[str, Any],
    capability: str,
    needs: Callable[[Mapping[str, Any]], list[str]] | None = None,
    dialect: str = CHAT,
) -> RoutingRequest:
    """Whom to ask, from the routing fields of a body: `models` or `fallbacks` (names), `priority`, `provider`. `needs`
    tells what else a model must be able to do when it is we who choose it.

    `model` is a name, or "auto" (also "auto:cost", "auto:speed", "auto:quality") for the best one by priority.
    """
    name = text(body, "model", longest=128)
    check_token_limits(body)
    routing = {field: body[field] for field in _ROUTING if field in body}
    if not routing and not name.startswith("auto"):
        return RoutingRequest(frozenset((capability,)), max_tokens_of(body, dialect), names=(name,))
    names = [*_names(routing, "models"), *_names(routing, "fallbacks")]
    automatic, _, priority = name.partition(":")
    if automatic == "auto":
        routing.setdefault("priority", priority or Priority.BALANCED)
    else:
        names.insert(0, name)
    return RoutingRequest(
        needs=frozenset({capability, *(needs(body) if needs and automatic == "auto" else ())}),
        max_tokens=max_tokens_of(body, dialect),
        priority=_priority(routing.get("priority", Priority.BALANCED)),
        names=tuple(dict.fromkeys(names)),
        provider=_provider(routing.get("provider", "")),
    )


def _names(routing: Mapping[str, Any], field: str) -> list[str]:
    names = routing.get(field, [])
    if type(names) is not list or len(names) > 16 or not all(type(name) is str and len(name) <= 128 for name in names):
        raise CallRefused(f"{field} must be a list of at most 16 model names.", param=field)
    return names


def _priority(value: Any) -> Priority:
    try:
        return Priority(value)
    except ValueError:
        raise CallRefused(f"priority must be one of {', '.join(Priority)}.", param="priority") from None


def _provider(value: Any) -> str:
    if type(value) is not str or len(value) > 16:
        raise CallRefused("provider must be the name of a provider.", param="provider")
    return value


def needs(body: Mapping[str, Any]) -> list[str]:
    """What else a model must be able to do when it is we who choose it."""
    found = []
    if body.get("tools") or body.get("functions"):
        found.append("function_call")
    parts = (
        part
        for message in body.get("messages", ())
        if type(message.get("content")) is list
        for part in message["content"]
    )
    if any(part.get("type") != "text" for part in parts):
        found.append("multimodal")
    return found


def check_completion(body: Mapping[str, Any]) -> None:
    """OpenAI's older completions: a prompt, or several."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str | list) or not prompt:
        raise CallRefused("prompt must be a text, a list of texts, or token numbers.", param="prompt")
    count(body, "n", MAX_CHOICES)
    count(body, "best_of", MAX_CHOICES)
    if type(body.get("stream", False)) is not bool:
        raise CallRefused("stream must be true or false.", param="stream")


def _nothing_more(_body: Mapping[str, Any]) -> list[str]:
    return []


def broken(answer: ErrorAnswer, _request_id: str) -> bytes:
    """The last event of a stream that broke off."""
    return b"data: %b\n\n" % orjson.dumps(openai(answer))


_OPENAI = header_names("openai-")
_DONE = b"data: [DONE]\n\n"
DIALECT = Dialect(CHAT, check_chat, weigh_prompt, needs, _OPENAI, broken, end=_DONE)
COMPLETIONS_DIALECT = Dialect(
    COMPLETIONS,
    check_completion,
    lambda body: weigh_input(body.get("prompt")),
    _nothing_more,
    _OPENAI,
    broken,
    capability="completion",
    end=_DONE,
)
