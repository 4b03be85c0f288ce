"""Blocks of Anthropic's messages as parts of OpenAI's chat messages: words, pictures, documents, results of tools."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..providers.base import Unsupported
from ..relay.errors import CallRefused

_PDF = "application/pdf"


def cannot(what: str) -> Unsupported:
    """The error for what chat has no room for."""
    return Unsupported("This model", what)


def part_of(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A block of a user's turn as one part, a document made of blocks as several. Raises Unsupported."""
    kind = block.get("type")
    if kind == "text":
        return [_words(block.get("text"))]
    if kind == "tool_reference":
        # A tool that was looked up: from now on it is among the tools of the request.
        return [_words(f"The tool {block.get('tool_name', '')} can be called now.")]
    if kind == "image":
        return [{"type": "image_url", "image_url": {"url": _image(block.get("source"))}}]
    if kind == "document":
        return _document(block)
    raise cannot(f"{kind} content")


def result_of(block: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """What a tool said: its words, and its pictures and files. That it failed is said in words."""
    content = block.get("content")
    blocks = [{"type": "text", "text": content}] if type(content) is str else content or []
    parts = [part for inner in dicts(blocks, "tool_result.content") for part in part_of(inner)]
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    if block.get("is_error"):
        text = f"Error: {text}"
    return text, [part for part in parts if part["type"] != "text"]


def text_of(blocks: Sequence[Mapping[str, Any]], name: str) -> str:
    """The text of a content that may hold nothing else."""
    for block in blocks:
        if block.get("type") != "text":
            raise cannot(f"{block.get('type')} content in {name}")
    return "\n".join(str(block.get("text", "")) for block in blocks)


def _words(text: Any) -> dict[str, Any]:
    return {"type": "text", "text": str(text or "")}


def _image(source: Any) -> str:
    kind = source.get("type") if type(source) is dict else None
    if kind == "url":
        return str(source.get("url", ""))
    if kind == "base64":
        return f"data:{source.get('media_type', '')};base64,{source.get('data', '')}"
    raise CallRefused("An image needs a source: base64 or url.", param="messages")


def _document(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A PDF is a file, text is words under its title. Chat has no room for the address of one, nor for quotations."""
    source = block.get("source")
    kind = source.get("type") if type(source) is dict else None
    quoted = block.get("citations")
    if type(quoted) is dict and quoted.get("enabled"):
        raise cannot("citations")
    title = str(block.get("title") or "")
    head = [_words(text) for text in (title, block.get("context")) if text]
    if type(source) is dict and kind == "base64" and source.get("media_type") == _PDF:
        named = {"filename": title or "document.pdf", "file_data": f"data:{_PDF};base64,{source.get('data', '')}"}
        return [*head[1 if title else 0 :], {"type": "file", "file": named}]
    if type(source) is dict and kind == "text":
        return [*head, _words(source.get("data"))]
    if type(source) is dict and kind == "content":
        content = source.get("content")
        inner = [{"type": "text", "text": content}] if type(content) is str else dicts(content, "document.source")
        return [*head, *(part for each in inner for part in part_of(each))]
    raise cannot(f"document content by {kind}" if kind in ("url", "file") else "document content")


def dicts(value: Any, name: str) -> list[Mapping[str, Any]]:
    """A list of objects, or CallRefused."""
    if type(value) is not list or not all(type(item) is dict for item in value):
        raise CallRefused(f"{name} must be a list of objects.", param=name)
    return value
