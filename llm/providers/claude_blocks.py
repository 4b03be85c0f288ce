"""Parts of OpenAI's chat messages as blocks of Claude's turns: words, pictures, files, calls of tools and results."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from .base import ProviderError, Recovery, Unsupported

_PDF = "application/pdf"
# Other names of kinds that Anthropic knows.
_KINDS = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
_THOUGHTS = ("thinking", "redacted_thinking")
# What an id of a call may be made of; other models use more.
_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")

Block = dict[str, Any]


def blocks(content: Any) -> list[Block]:
    """A message's content. Text that says nothing is left out: Anthropic refuses it."""
    parts: Iterable[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content or ()
    return [block for part in parts if (block := _block(part))]


def thoughts(message: Mapping[str, Any]) -> list[Block]:
    """The signed thoughts of an earlier answer, as they were given out."""
    given = message.get("thinking_blocks") or ()
    return [block for block in given if is_thought(block) and (block.get("signature") or block.get("data"))]


def is_thought(block: Mapping[str, Any]) -> bool:
    """Whether it holds what was thought."""
    return block.get("type") in _THOUGHTS


def call(given: Mapping[str, Any]) -> Block:
    """A call of a tool, as the model made it."""
    if given.get("type") not in (None, "function"):
        raise Unsupported("claude", f"tool_calls of type {given['type']}")
    function = given.get("function") or {}
    return {"type": "tool_use", "id": _id(given.get("id")), "name": function.get("name"), "input": _input(function)}


def result(message: Mapping[str, Any]) -> Block:
    """What a tool said."""
    content = message.get("content")
    found: Block = {"type": "tool_result", "tool_use_id": _id(message.get("tool_call_id"))}
    if content and not (isinstance(content, str) and content.isspace()):
        found["content"] = content if isinstance(content, str) else blocks(content)
    return found


def _id(given: Any) -> Any:
    return _NO_ID.sub("_", given) if isinstance(given, str) else given


def _input(function: Mapping[str, Any]) -> Any:
    """Arguments as an object. A model may have written none; the turn is history and must not stop what follows."""
    text = function.get("arguments") or "{}"
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"arguments": text}


def _block(part: Any) -> Block | None:
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal"):
        block = {"type": "text", "text": part.get(kind)}
    elif kind == "image_url":
        block = {"type": "image", "source": _picture(part.get("image_url"))}
    elif kind == "file":
        block = _document(part.get("file"))
    else:
        raise Unsupported("claude", f"{kind} content")
    if part.get("cache_control"):
        block["cache_control"] = part["cache_control"]
    text = block.get("text", True)
    return None if not text or (isinstance(text, str) and text.isspace()) else block


def _picture(image: Any) -> Block:
    """An image's address, or the image itself in a data: URL."""
    url = str(image.get("url", "") if isinstance(image, dict) else image or "")
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    media_type, data = _data(url, "image_url", "An image")
    kind = media_type.lower() or "image/png"
    return {"type": "base64", "media_type": _KINDS.get(kind, kind), "data": data}


def _document(file: Any) -> Block:
    """A PDF under its name. Files that were uploaded are somebody's at another provider."""
    given = file if isinstance(file, dict) else {}
    if not given.get("file_data"):
        raise Unsupported("claude", "file content by id")
    media_type, data = _data(str(given["file_data"]), "file", "A file")
    if media_type != _PDF:
        raise Unsupported("claude", f"file content of type {media_type or 'unknown'}")
    document = {"type": "document", "source": {"type": "base64", "media_type": _PDF, "data": data}}
    return document | ({"title": given["filename"]} if given.get("filename") else {})


def _data(url: str, code: str, what: str) -> tuple[str, str]:
    """Media type and base64 of a data: URL."""
    head, comma, data = url.removeprefix("data:").partition(",")
    media_type, _semicolon, encoding = head.partition(";")
    if not comma or not encoding.endswith("base64"):
        raise ProviderError(f"{what} in a data: URL must be base64.", recovery=Recovery.FAIL, code=code)
    return media_type, data
