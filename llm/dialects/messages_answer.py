"""A chat answer as Anthropic's message. What whole and streamed answers have in common is here as well."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ..relay.billing import Amount
from ..relay.settling import Completed
from .finishes import finish_of

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_THOUGHTS = ("thinking", "redacted_thinking")
_READ = ("cache_read", "cache_read_audio", "cache_read_image")
_WRITTEN = ("cache_write", "cache_write_long")
_TIERS = {"default": "standard", "standard": "standard", "priority": "priority"}


def from_chat(given: Mapping[str, Any], completed: Completed[Any]) -> dict[str, Any]:
    """A chat answer as the message that answers `given`."""
    body = completed.result.body
    choice = (body.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    content = thoughts_of(message) if shows_thoughts(given) else []
    for words in (words_of(message.get("content")), words_of(message.get("refusal"))):
        if words:
            content.append({"type": "text", "text": words})
    calls = _calls(message)
    stop, sequence = stop_of(choice, given, called=bool(calls), refused=bool(message.get("refusal")))
    return {
        "id": message_id(completed.request_id),
        "type": "message",
        "role": "assistant",
        "model": completed.model,
        "content": content + calls,
        "stop_reason": stop,
        "stop_sequence": sequence,
        "usage": usage_of(completed.used, body.get("usage")),
    }


def message_id(request_id: str) -> str:
    """What a message is called, by the request it answers."""
    return f"msg_{request_id.removeprefix('req_')}"


def shows_thoughts(given: Mapping[str, Any]) -> bool:
    """Whether thoughts are to be shown to who asked like that."""
    asked = given.get("thinking")
    return not (type(asked) is dict and asked.get("display") == "omitted")


def thoughts_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The thoughts of an answer: signed, where who thought them signs; else in words alone."""
    signed = message.get("thinking_blocks")
    blocks = [block for block in signed if is_thought(block)] if type(signed) is list else []
    thought = message.get("reasoning_content") or message.get("reasoning")
    if not blocks and thought and type(thought) is str:
        blocks = [{"type": "thinking", "thinking": thought, "signature": ""}]
    return blocks


def words_of(content: Any) -> str:
    """The words of a content, also between parts of kinds that Anthropic has no blocks for (Mistral's references)."""
    if type(content) is list:
        texts = [part.get("text") for part in content if type(part) is dict]
        return "".join(text for text in texts if type(text) is str)
    return content if type(content) is str else ""


def is_thought(block: Any) -> bool:
    """Whether it is one of Anthropic's blocks for thoughts."""
    return type(block) is dict and block.get("type") in _THOUGHTS


def call_id(given: Any, known: set[str]) -> str:
    """What a call is called: as the provider says, but each by a name of its own. `known` are those there were."""
    found = given if given and type(given) is str and given not in known else f"toolu_{secrets.token_hex(12)}"
    known.add(found)
    return found


def stop_of(
    choice: Mapping[str, Any], given: Mapping[str, Any], *, called: bool, refused: bool
) -> tuple[str, str | None]:
    """Why an answer stops, and at which of the sequences that were to stop it, where the provider tells (vLLM's
    `stop_reason`, SGLang's `matched_stop`)."""
    if refused:
        return "refusal", None
    finish = finish_of(choice)
    if called and finish in ("", "stop", "tool_calls"):
        # Many say that they stop, of calls as well; their clients would not make them. And without any there is nothing
        # that a client could answer.
        return "tool_use", None
    matched = choice.get("stop_reason") or choice.get("matched_stop")
    if finish == "stop" and type(matched) is str and matched in (given.get("stop_sequences") or ()):
        return "stop_sequence", matched
    return _STOP_REASONS.get(finish, "end_turn"), None


def usage_of(used: Amount, told: Any = None) -> dict[str, Any]:
    """What was used, as Anthropic counts: caches stand beside the input. `told` is the provider's own report."""
    read, written = _sum(used.kinds, _READ), _sum(used.kinds, _WRITTEN)
    usage: dict[str, Any] = {
        "input_tokens": used.input - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": used.output,
    }
    details = told.get("completion_tokens_details") if type(told) is dict else None
    thought = details.get("reasoning_tokens") if type(details) is dict else None
    if type(thought) is int:
        usage["output_tokens_details"] = {"thinking_tokens": thought}
    if used.service_tier in _TIERS:
        usage["service_tier"] = _TIERS[used.service_tier]
    return usage


def _sum(kinds: Mapping[str, int], names: Sequence[str]) -> int:
    return sum(kinds.get(name, 0) for name in names)


def _calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    known: set[str] = set()
    blocks = []
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        name = str(function.get("name") or "")
        blocks.append({
            "type": "tool_use", "id": call_id(call.get("id"), known), "name": name, "input": _input(function),
        })  # fmt: skip
    return blocks


def _input(function: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments are an object; what is none, cut off in the middle for example, comes as it is under a name."""
    text = function.get("arguments") or "{}"
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        arguments = None
    return arguments if type(arguments) is dict else {"arguments": text}
