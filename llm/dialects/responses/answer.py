"""The response object: what is asked, echoed; what is answered; what was used."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicehelper.api.errors import ErrorAnswer

from ...relay.billing import Amount

_CACHED = ("cache_read", "cache_read_audio", "cache_read_image")
_WRITTEN = ("cache_write", "cache_write_long")
# What clients do about a failure they tell by its code: these are not repeated, or not at once.
_CODES = {402: "insufficient_quota", 429: "rate_limit_exceeded", 400: "invalid_prompt", 503: "server_is_overloaded"}
_KNOWN_CODES = frozenset({"context_length_exceeded", "insufficient_quota", "bio_policy", "invalid_prompt"})


@dataclass(slots=True)
class Response:
    """One answer under way, as it is told in every event that tells of all of it."""

    given: Mapping[str, Any]
    request_id: str
    model: str
    created_at: int = field(default_factory=lambda: int(time.time()))

    @property
    def id(self) -> str:
        return response_id(self.request_id)

    def told(
        self,
        status: str,
        output: Sequence[Mapping[str, Any]],
        *,
        usage: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        incomplete: str = "",
        whole: bool = False,
    ) -> dict[str, Any]:
        """`whole`: with instructions and tools as well, which would come three times with the events."""
        given = self.given
        reasoning = given.get("reasoning") or {}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": False,
            "error": error,
            "incomplete_details": {"reason": incomplete} if incomplete else None,
            "instructions": given.get("instructions") if whole else None,
            "max_output_tokens": given.get("max_output_tokens"),
            "model": self.model,
            "output": list(output),
            "parallel_tool_calls": given.get("parallel_tool_calls", True),
            "previous_response_id": given.get("previous_response_id"),
            "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
            "service_tier": given.get("service_tier", "default"),
            "store": stored(given),
            "temperature": given.get("temperature", 1.0),
            "text": {"format": {"type": "text"}, **(given.get("text") or {})},
            "tool_choice": given.get("tool_choice", "auto"),
            "tools": (given.get("tools") or []) if whole else [],
            "top_p": given.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": usage,
            "metadata": given.get("metadata") or {},
        }


def response_id(request_id: str) -> str:
    return f"resp_{request_id.removeprefix('req_')}"


def stored(given: Mapping[str, Any]) -> bool:
    """Whether an answer is kept for its user: unless he does not want it."""
    return given.get("store") is not False


def keepable(final: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """A response as it is kept for its user, with all that it was asked with; None: it came to nothing."""
    if final.get("status") not in ("completed", "incomplete") or type(final.get("output")) is not list:
        return None
    more = {"instructions": given.get("instructions"), "tools": given.get("tools") or []}
    return {**final, **more}


def usage_of(used: Amount, reasoning: int = 0) -> dict[str, Any]:
    """What was used. `reasoning` is what of the output nobody sees, as far as it was told."""
    kinds = used.kinds
    return {
        "input_tokens": used.input,
        "input_tokens_details": {
            "cached_tokens": sum(kinds.get(kind, 0) for kind in _CACHED),
            "cache_write_tokens": sum(kinds.get(kind, 0) for kind in _WRITTEN),
        },
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": min(reasoning, used.output)},
        "total_tokens": used.input + used.output,
    }


def reasoning_tokens(usage: Any) -> int:
    """What a chat's report says of thoughts; 0 when it does not."""
    details = usage.get("completion_tokens_details") if type(usage) is dict else None
    found = details.get("reasoning_tokens") if type(details) is dict else None
    return found if type(found) is int and found > 0 else 0


def error_of(answer: ErrorAnswer) -> dict[str, str]:
    """What a response failed by."""
    code = answer.code if answer.code in _KNOWN_CODES else _CODES.get(answer.status, "server_error")
    return {"code": code, "message": answer.technical or answer.text}
