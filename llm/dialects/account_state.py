"""What a request must not refer to: what lies at one of our accounts at a provider, where every user's things lie
together. Who knows, or guesses, the id of another one's file could have it read to him.

Sources: the types of openai and anthropic, the documents of Ark, Moonshot (`ms://`) and Qwen (`fileid://`).
"""

import re
from collections.abc import Mapping
from typing import Any

from ..relay.errors import CallRefused

# Fields that name something kept there: files, stores of vectors, containers, skills, tunnels, earlier answers.
_IDS = frozenset({
    "file_id", "file_ids", "vector_store_id", "vector_store_ids", "container_id", "skill_id", "tunnel_id",
    "knowledge_id", "knowledge_ids", "previous_response_id", "comparison_response_id", "conversation", "context_id",
    "assistant_id", "thread_id", "user_profile_id",
})  # fmt: skip
# Those that do when they hold an id: a sound that was an answer, a container, a picture that was drawn.
_HOLDERS = frozenset({"audio", "container"})
_ADDRESSES = frozenset({"url", "image_url", "video_url", "audio_url", "file_url", "file_uri"})
# Addresses of the open net; `ms://`, `gs://`, `asset://` and their like are looked up with the account's own rights.
_ELSEWHERE = re.compile(r"\s*(?!https?:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_FILE_IN_WORDS = "fileid://"
_WORDS = _IDS | _ADDRESSES | {"container", "text", "content"}
# What is the client's own to write in: schemas, what tools are given, notes about where words come from.
_FREE = frozenset({
    "parameters", "input_schema", "schema", "json_schema", "properties", "arguments", "input_examples", "metadata",
    "annotations", "citations", "response_format", "output_format", "format", "user_location", "headers", "logit_bias",
})  # fmt: skip


def check(body: Mapping[str, Any], *parts: str) -> None:
    """Raises CallRefused for the first reference in those parts of a request; in all of it when none are named."""
    given = {name: body[name] for name in parts if name in body} if parts else body
    where = _in_object(given)
    if where is not None:
        where = where.removeprefix(".")
        text = f"{where}: nothing is kept for you at the provider. Send the content itself."
        raise CallRefused(text, param=where, code="unsupported_value")


def _in_object(given: Mapping[str, Any]) -> str | None:
    """Where in an object a reference stands, if there is one."""
    for name, value in given.items():
        kind = type(value)
        if kind is str:
            if name in _WORDS and _refers(name, value):
                return f".{name}"
        elif (kind is dict or kind is list) and value and name not in _FREE:
            if name in _IDS:
                return f".{name}"
            inner = _in_list(value) if kind is list else _in_field(name, value)
            if inner is not None:
                return f".{name}{inner}"
    return None


def _in_field(name: str, value: Mapping[str, Any]) -> str | None:
    if name == "input":
        # An object that is an input is what a tool is given.
        return None
    return ".id" if name in _HOLDERS and value.get("id") else _in_object(value)


def _in_list(given: list[Any]) -> str | None:
    for number, value in enumerate(given):
        inner = _in_object(value) if type(value) is dict else _in_list(value) if type(value) is list else None
        if inner is not None:
            return f"[{number}]{inner}"
    return None


def _refers(name: str, value: str) -> bool:
    if name in _ADDRESSES:
        return _ELSEWHERE.match(value) is not None
    if name in ("text", "content"):
        return value.lstrip("\ufeff \t\r\n").startswith(_FILE_IN_WORDS)
    return (name in _IDS or name == "container") and bool(value)
