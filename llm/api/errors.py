"""What only /v1 refuses."""

from ..relay.errors import CallRefused


def wrong_key() -> CallRefused:
    text = "The API key is missing, wrong or revoked. Send it as Authorization: Bearer sk-…"
    return CallRefused(text, status=401, code="invalid_api_key")


def too_large() -> CallRefused:
    return CallRefused("The body is too large.", status=413, code="request_too_large")


def too_slow() -> CallRefused:
    return CallRefused("The body came too slowly.", status=408, code="request_timeout")
