"""Errors of /v1 in the shapes OpenAI's and Anthropic's clients read.

A wallet that does not cover a call is 402 with the code insufficient_quota. OpenAI says 429 there, which its clients
retry, twice and in vain; 402 they raise at once, and Anthropic's billing_error is 402 as well.
"""

import logging
from typing import Any

import psycopg

from voicehelper.wallet.services import InsufficientQuota

from ..providers.base import StreamBroke
from ..relay.errors import CallFailed, CallRefused, LedgerAway

log = logging.getLogger(__name__)

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
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
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class ApiError(Exception):
    """What is answered instead of what was asked for."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        *,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    def openai(self) -> dict[str, Any]:
        kind = _TYPES.get(self.status, "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def anthropic(self, request_id: str) -> dict[str, Any]:
        kind = _ANTHROPIC_TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": self.message}, "request_id": request_id}


def wrong_key() -> ApiError:
    text = "The API key is missing, wrong or revoked. Send it as Authorization: Bearer sk-…"
    return ApiError(401, text, "invalid_api_key")


def too_large() -> ApiError:
    return ApiError(413, "The body is too large.", "request_too_large")


def too_slow() -> ApiError:
    return ApiError(408, "The body came too slowly.", "request_timeout")


def answer_to(error: Exception) -> ApiError:
    """The answer to whatever went wrong; what is nobody's fault but ours is logged and not explained."""
    match error:
        case ApiError():
            return error
        case CallRefused():
            return ApiError(error.status, error.text, error.code or None, error.param or None)
        case InsufficientQuota():
            text = "The quota does not cover this call (its prompt and max_tokens). Recharge, or ask for fewer tokens."
            return ApiError(402, text, "insufficient_quota")
        case CallFailed():
            return _failed(error)
        case StreamBroke():
            return ApiError(502, error.told, "upstream_error")
        case LedgerAway() | psycopg.Error():
            log.error("The database does not answer: %s", error)
            text = "The service is not available for a moment. Please try again."
            return ApiError(503, text, "unavailable", retry_after_s=2)
        case _:
            log.exception("A request failed", exc_info=error)
            return ApiError(500, "Something went wrong on our side.", "internal_error")


def _failed(error: CallFailed) -> ApiError:
    retry_after_s = None if error.retry_after_s is None else max(1, round(error.retry_after_s))
    if error.refusal is not None:
        code = error.refusal.code or "upstream_refused"
        return ApiError(413 if error.refusal.status == 413 else 400, str(error), code)
    if error.rate_limited:
        return ApiError(429, str(error), "upstream_rate_limited", retry_after_s=retry_after_s or 5)
    if error.timed_out:
        return ApiError(504, str(error), "upstream_timeout")
    return ApiError(502, str(error), "upstream_error", retry_after_s=retry_after_s)
