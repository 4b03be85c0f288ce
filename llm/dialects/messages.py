"""Anthropic's Messages API: what must be known of a request. How it is put to providers that do not speak it, and their
answers, are in files of their own.

Source: platform.claude.com/docs/en/api/messages.
"""

from collections.abc import Mapping
from typing import Any

from ..providers.base import MESSAGES
from ..relay.errors import CallRefused
from ..relay.estimates import weigh, weigh_data
from . import account_state
from .base import Dialect, header_names
from .messages_events import MessagesTranslator, broken
from .messages_in_chat import to_chat

# What a block costs besides its text, and a picture or a document, whose size says nothing.
_PER_TURN = 5
_PER_ATTACHMENT = 1000
_ATTACHED = ("image", "document", "container_upload", "search_result")


# --- What must be known ----------------------------------------------------------------------------------------------
def check(body: Mapping[str, Any]) -> None:
    """What every request must be like; the rest is the provider's business."""
    if type(body.get("max_tokens")) is not int:
        raise CallRefused("max_tokens must be a whole number.", param="max_tokens")
    if type(body.get("stream", False)) is not bool:
        raise CallRefused("stream must be true or false.", param="stream")
    turns = body.get("messages")
    if type(turns) is not list or not turns or not all(type(turn) is dict for turn in turns):
        raise CallRefused("messages must be a list of messages.", param="messages")
    if body.get("thread"):
        # Its state would be kept at one of our accounts; clients send the whole conversation when they read this code.
        text = "There are no threads here: send the whole conversation without `thread`."
        raise CallRefused(text, param="thread", code="thread_unsupported_request")
    for name, free in _DEARER.items():
        if body.get(name) not in (None, free):
            raise CallRefused(f"{name} is not to be had here.", param=name, code="unsupported")
    for tool in body.get("tools") or ():
        kind = tool.get("type") if type(tool) is dict else None
        if type(kind) is str and kind.startswith(_DEARER_TOOLS):
            raise CallRefused(f"Tools of type {kind!r} are not to be had here.", param="tools", code="unsupported")
    account_state.check(body)


# What a provider charges more for than the prices here know of. An adviser is another, dearer model.
_DEARER: Mapping[str, str] = {"speed": "standard", "inference_geo": "global"}
_DEARER_TOOLS = ("code_execution", "advisor")


def weigh_request(body: Mapping[str, Any]) -> float:
    """About how many tokens a request has."""
    total = _weigh(body.get("system"))
    for turn in body["messages"]:
        total += _PER_TURN + _weigh(turn.get("content"))
    return total + sum(weigh_data(body[name]) for name in ("tools", "output_config") if body.get(name))


def _weigh(content: Any) -> float:
    if type(content) is str:
        return weigh(content)
    if type(content) is not list:
        return 0.0
    return sum(_weigh_block(block) for block in content if type(block) is dict)


def _weigh_block(block: Mapping[str, Any]) -> float:
    kind = block.get("type")
    if kind in _ATTACHED:
        source = block.get("source")
        text = source.get("data") if type(source) is dict and source.get("type") == "text" else None
        return weigh(text) if type(text) is str else _PER_ATTACHMENT
    if kind == "tool_result":
        return _PER_TURN + _weigh(block.get("content"))
    words = block.get("text") or block.get("thinking") or block.get("data") or ""
    return (weigh(words) if type(words) is str else 0.0) + weigh_data(block.get("input") or "")


def needs(body: Mapping[str, Any]) -> list[str]:
    """What else a model must be able to do when it is we who choose it."""
    found = ["function_call"] if body.get("tools") else []
    blocks = [block for turn in body["messages"] if type(turn.get("content")) is list for block in turn["content"]]
    if any(type(block) is dict and block.get("type") in _ATTACHED for block in blocks):
        found.append("multimodal")
    return found


DIALECT = Dialect(
    name=MESSAGES,
    check=check,
    weigh=weigh_request,
    needs=needs,
    headers=header_names("anthropic-"),
    broken=broken,
    to_chat=to_chat,
    translator=MessagesTranslator,
)
