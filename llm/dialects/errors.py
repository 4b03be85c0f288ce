"""Errors in the shapes OpenAI's and Anthropic's clients read."""

from typing import Any

from voicehelper.api.errors import ErrorAnswer

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    502: "upstream_error",
    503: "server_error",
    504: "timeout_error",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


# What Anthropic says when it has too much to do.
OVERLOADED = 529


def openai(answer: ErrorAnswer) -> dict[str, Any]:
    kind = _TYPES.get(answer.status, "server_error")
    facts = {"type": kind, "param": answer.param or None, "code": answer.code or None}
    return {"error": {"message": answer.technical or answer.text, **facts}}


def anthropic(answer: ErrorAnswer, request_id: str) -> dict[str, Any]:
    kind = _ANTHROPIC_TYPES.get(answer.status, "invalid_request_error" if answer.status < 500 else "api_error")
    error: dict[str, Any] = {"type": kind, "message": answer.technical or answer.text}
    if answer.code.startswith("thread_"):
        # Their clients go on without threads when they read it.
        error["details"] = {"error_code": answer.code}
    return {"type": "error", "error": error, "request_id": request_id}
