"""How each provider says no: statuses, codes and shapes as documented; and who its customers are.

Sources: volcengine.com/docs/82379/1299023, platform.openai.com/docs/guides/error-codes,
platform.claude.com/docs/en/api/errors.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import orjson

from .catalogue import CUSTOMERS, MODELS, Sold
from .exchange import Asked, Refused, WebPage
from .faults import Faults


class Vendor(ABC):
    """One provider, to one caller: refusals carry the number of the request."""

    name: ClassVar[str]

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def admit(self) -> None:
        """Raises Refused unless the caller is a customer."""
        key = self.key()
        customer = next((known for known in CUSTOMERS[self.name] if known.key == key), None)
        if customer is None:
            raise self.stranger(key)
        if customer.overdue:
            raise self.overdue()

    def model(self, name: object, use: str) -> Sold:
        """The model that is asked for. Raises Refused."""
        if not isinstance(name, str) or not name:
            raise self.bad("you must provide a model parameter", "model")
        sold = MODELS[self.name].get(name)
        if sold is None:
            raise self.no_model(name)
        if sold.use != use:
            raise self.wrong_use(name)
        return sold

    def fail(self, faults: Faults) -> None:
        """Raises Refused for the faults that are refusals, and WebPage."""
        if "html" in faults:
            raise WebPage
        if "429" in faults:
            raise self.limited(faults["429"])
        if "500" in faults:
            raise self.broken()
        if "503" in faults:
            raise self.overloaded()
        if "overdue" in faults:
            raise self.overdue()
        if "risk" in faults:
            raise self.risky()

    def key(self) -> str:
        return self.asked.bearer

    @abstractmethod
    def bad(self, text: str, param: str, code: str | None = None) -> Refused:
        """A parameter is missing or wrong."""

    @abstractmethod
    def stranger(self, key: str) -> Refused: ...

    @abstractmethod
    def no_model(self, name: str) -> Refused: ...

    @abstractmethod
    def wrong_use(self, name: str) -> Refused: ...

    @abstractmethod
    def no_route(self) -> Refused: ...

    @abstractmethod
    def too_large(self) -> Refused: ...

    @abstractmethod
    def too_many_tokens(self, name: str, most: int, asked_for: int) -> Refused:
        """max_tokens is larger than the model's answers can be."""

    @abstractmethod
    def too_long(self, most: int, prompt: int, answer: int) -> Refused:
        """The conversation does not fit the model."""

    @abstractmethod
    def limited(self, seconds: float) -> Refused: ...

    @abstractmethod
    def overdue(self) -> Refused: ...

    @abstractmethod
    def risky(self) -> Refused: ...

    @abstractmethod
    def broken(self) -> Refused: ...

    @abstractmethod
    def overloaded(self) -> Refused: ...

    def error_event(self) -> bytes:
        """The event that says, inside a stream, that something went wrong."""
        return b"data: %b\n\n" % orjson.dumps(self.broken().body)


class OpenAI(Vendor):
    """OpenAI's words."""

    name: ClassVar[str] = "openai"

    def _no(
        self, status: int, text: str, kind: str, code: str | None, param: str | None = None, **headers: str
    ) -> Refused:
        body = {"error": {"message": text, "type": kind, "param": param, "code": code}}
        return Refused(status, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def bad(self, text: str, param: str, code: str | None = None) -> Refused:
        return self._no(400, text, "invalid_request_error", code, param)

    def stranger(self, key: str) -> Refused:
        if not key:
            text = "You didn't provide an API key. You need to provide your API key in an Authorization header."
            return self._no(401, text, "invalid_request_error", None)
        text = f"Incorrect API key provided: {key[:8]}***{key[-4:]}."
        return self._no(401, text, "invalid_request_error", "invalid_api_key")

    def no_model(self, name: str) -> Refused:
        text = f"The model `{name}` does not exist or you do not have access to it."
        return self._no(404, text, "invalid_request_error", "model_not_found")

    def wrong_use(self, name: str) -> Refused:
        text = f"The model `{name}` is not supported in the {self.asked.path} endpoint."
        return self._no(404, text, "invalid_request_error", None, "model")

    def no_route(self) -> Refused:
        text = f"Invalid URL ({self.asked.method} {self.asked.path})"
        return self._no(404, text, "invalid_request_error", None)

    def too_large(self) -> Refused:
        return self._no(413, "The body is too large.", "invalid_request_error", None)

    def too_many_tokens(self, name: str, most: int, asked_for: int) -> Refused:
        text = f"max_tokens is too large: {asked_for}. This model supports at most {most} completion tokens."
        return self.bad(text, "max_tokens")

    def too_long(self, most: int, prompt: int, answer: int) -> Refused:
        text = (
            f"This model's maximum context length is {most} tokens. However, you requested {prompt + answer} tokens "
            f"({prompt} in the messages, {answer} in the completion). Please reduce the length of the messages or "
            "completion."
        )
        return self.bad(text, "messages", "context_length_exceeded")

    def limited(self, seconds: float) -> Refused:
        text = f"Rate limit reached for requests. Please try again in {seconds:g}s."
        return self._no(429, text, "requests", "rate_limit_exceeded", retry_after=f"{seconds:g}")

    def overdue(self) -> Refused:
        text = "You exceeded your current quota, please check your plan and billing details."
        return self._no(429, text, "insufficient_quota", "insufficient_quota")

    def risky(self) -> Refused:
        text = "Your request was rejected as a result of our safety system."
        return self.bad(text, "", "content_policy_violation")

    def broken(self) -> Refused:
        return self._no(500, "The server had an error while processing your request.", "server_error", None)

    def overloaded(self) -> Refused:
        text = "The engine is currently overloaded, please try again later."
        return self._no(503, text, "server_error", None)


class Ark(OpenAI):
    """Ark's words: OpenAI's shape, codes of its own, and the number of the request in the text."""

    name: ClassVar[str] = "ark"

    def _no(
        self, status: int, text: str, kind: str, code: str | None, param: str | None = None, **headers: str
    ) -> Refused:
        text = f"{text} Request id: {self.asked.request_id}"
        return super()._no(status, text, kind, code, param or "", **headers)

    def bad(self, text: str, param: str, code: str | None = None) -> Refused:
        text = f"The parameter `{param}` specified in the request is not valid: {text}."
        return self._no(400, text, "BadRequest", code or "InvalidParameter", param)

    def missing(self, param: str) -> Refused:
        text = f"The request failed because it is missing `{param}` parameter."
        return self._no(400, text, "BadRequest", f"MissingParameter.{param}", param)

    def stranger(self, key: str) -> Refused:
        text = "The API key or AK/SK in the request is missing or invalid."
        return self._no(401, text, "Unauthorized", "AuthenticationError")

    def no_model(self, name: str) -> Refused:
        text = f"The model or endpoint {name} does not exist or you do not have access to it."
        return self._no(404, text, "NotFound", "InvalidEndpointOrModel.NotFound")

    def wrong_use(self, name: str) -> Refused:
        text = f"The model or endpoint {name} does not support this api."
        return self._no(404, text, "NotFound", "UnsupportedModel", "model")

    def no_route(self) -> Refused:
        return self._no(404, "The requested path does not exist.", "NotFound", "InvalidAction")

    def too_many_tokens(self, name: str, most: int, asked_for: int) -> Refused:
        return self.bad(f"integer above maximum value, expected a value <= {most}, but got {asked_for}", "max_tokens")

    def too_long(self, most: int, prompt: int, answer: int) -> Refused:
        return self.bad(f"total tokens of image and text exceed max message tokens ({prompt} > {most})", "messages")

    def limited(self, seconds: float) -> Refused:
        text = "The Requests Per Minute (RPM) limit of the associated endpoint for your account has been exceeded."
        code = "RateLimitExceeded.EndpointRPMExceeded"
        return self._no(429, text, "TooManyRequests", code, retry_after=f"{seconds:g}")

    def overdue(self) -> Refused:
        text = "The request failed because your account has an overdue balance."
        return self._no(403, text, "Forbidden", "AccountOverdueError")

    def risky(self) -> Refused:
        text = "The request failed because the input text may contain sensitive information."
        return self._no(400, text, "BadRequest", "InputTextRiskDetection")

    def broken(self) -> Refused:
        text = "The service encountered an unexpected internal error."
        return self._no(500, text, "InternalServerError", "InternalServiceError")

    def overloaded(self) -> Refused:
        text = "The service is currently unable to handle additional requests due to server overload."
        return self._no(429, text, "TooManyRequests", "ServerOverloaded")


class Anthropic(Vendor):
    """Anthropic's words, and its own header for the key."""

    name: ClassVar[str] = "anthropic"

    def key(self) -> str:
        return self.asked.headers.get("x-api-key", "").strip()

    def _no(self, status: int, kind: str, text: str, headers: dict[str, str] | None = None, **more: Any) -> Refused:
        error = {"type": kind, "message": text, **more}
        return Refused(status, {"type": "error", "error": error, "request_id": self.asked.request_id}, headers)

    def bad(self, text: str, param: str, code: str | None = None) -> Refused:
        return self._no(400, "invalid_request_error", f"{param}: {text}" if param else text)

    def stranger(self, key: str) -> Refused:
        return self._no(401, "authentication_error", "invalid x-api-key" if key else "x-api-key header is required")

    def no_model(self, name: str) -> Refused:
        return self._no(404, "not_found_error", f"model: {name}")

    def wrong_use(self, name: str) -> Refused:
        return self.no_model(name)

    def no_route(self) -> Refused:
        return self._no(404, "not_found_error", "Not found")

    def too_large(self) -> Refused:
        return self._no(413, "request_too_large", "Request exceeds the maximum size")

    def too_many_tokens(self, name: str, most: int, asked_for: int) -> Refused:
        text = f"{asked_for} > {most}, which is the maximum allowed number of output tokens for {name}"
        return self.bad(text, "max_tokens")

    def too_long(self, most: int, prompt: int, answer: int) -> Refused:
        return self.bad(f"prompt is too long: {prompt} tokens > {most} maximum", "")

    def limited(self, seconds: float) -> Refused:
        text = "This request would exceed your organization's rate limit of requests per minute."
        return self._no(429, "rate_limit_error", text, {"retry-after": f"{seconds:g}"})

    def overdue(self) -> Refused:
        return self._no(402, "billing_error", "Your credit balance is too low to access the Anthropic API.")

    def risky(self) -> Refused:
        return self.bad("Output blocked by content filtering policy", "")

    def broken(self) -> Refused:
        return self._no(500, "api_error", "Internal server error")

    def overloaded(self) -> Refused:
        return self._no(529, "overloaded_error", "Overloaded")

    def error_event(self) -> bytes:
        return b"event: error\ndata: %b\n\n" % orjson.dumps(self.overloaded().body)
