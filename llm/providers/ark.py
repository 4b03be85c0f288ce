"""Volcengine Ark (Doubao): OpenAI's protocol with its own defaults, error codes and multimodal embeddings.

Source: volcengine.com/docs/82379. Ark reports cumulative usage with every chunk when asked to, which is how a stream
is billed that the client abandons; it knows tools, but not the older functions.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, ClassVar

from . import ark_responses, contents, functions
from .base import (
    CHAT,
    PLAIN,
    RESPONSES,
    Audio,
    Chunk,
    Completion,
    Form,
    RequestOptions,
    Speech,
    Transcript,
    Unsupported,
)
from .chat_events import Edit
from .errors import SHAPE_ERRORS, misshapen
from .openai import OpenAI
from .usage import embedding_tokens
from .verdicts import OTHER_ACCOUNT, OTHER_MODEL, RATE_LIMIT, REFUSED, TRY_AGAIN, Codes
from .wire import MEDIA_BYTES

TEMPERATURE = 0.7
MAX_TOKENS = 2000


class Ark(OpenAI):
    """Ark's API with a bearer key; `model` is a model id or an endpoint id (ep-…)."""

    name: ClassVar[str] = "ark"
    default_base_url: ClassVar[str] = "https://ark.cn-beijing.volces.com/api/v3"
    base_url_end: ClassVar[str] = "/v3"
    dialects: ClassVar[frozenset[str]] = frozenset({CHAT})
    passed: ClassVar[frozenset[str]] = frozenset()
    codes: ClassVar[Codes] = {
        # Content that was refused here is not carried to somebody else.
        "InputTextRiskDetection": REFUSED,
        "InputImageRiskDetection": REFUSED,
        "OutputTextRiskDetection": REFUSED,
        "OutputImageRiskDetection": REFUSED,
        "SensitiveContentDetected": REFUSED,
        "MissingParameter": REFUSED,
        "InvalidParameter": REFUSED,
        "InvalidEndpoint.ClosedEndpoint": OTHER_MODEL,
        "AuthenticationError": OTHER_ACCOUNT,
        "AccountOverdueError": OTHER_ACCOUNT,
        "AccessDenied": OTHER_ACCOUNT,
        "InvalidEndpointOrModel": OTHER_MODEL,
        "ModelNotOpen": OTHER_MODEL,
        "UnsupportedModel": OTHER_MODEL,
        # Limits that a moment does not lift.
        "SetLimitExceeded": OTHER_MODEL,
        "QuotaExceeded": OTHER_MODEL,
        "RateLimitExceeded": RATE_LIMIT,
        "ServerOverloaded": TRY_AGAIN,
        "InternalServiceError": TRY_AGAIN,
    }

    own_fields: ClassVar[frozenset[str]] = frozenset({"thinking"})

    @classmethod
    def has_room_for(cls, dialect: str, body: Mapping[str, Any]) -> bool:
        return dialect != RESPONSES or ark_responses.has_room_for(body)

    async def embed(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        """Text like OpenAI's; a list of parts (text, image_url, video_url) is one multimodal embedding."""
        parts = body.get("input")
        if not (isinstance(parts, list) and parts and isinstance(parts[0], dict)):
            return await super().embed(body, options)
        said, _content = await self._wire.post_json("/embeddings/multimodal", body, MEDIA_BYTES, options)
        # One object where OpenAI has a list.
        if isinstance(said.get("data"), dict):
            said["data"] = [{"object": "embedding", "index": 0, **said["data"]}]
        if not contents.vectors(said):
            raise self._wire.unusable("The provider's answer holds no embedding.")
        return Completion(said, embedding_tokens(said.get("usage")))

    async def transcribe(self, audio: Audio, fields: Mapping[str, Any], options: RequestOptions = PLAIN) -> Transcript:
        raise Unsupported(self.name, "speech to text")

    def transcribe_stream(
        self, audio: Audio, fields: Mapping[str, Any], options: RequestOptions = PLAIN
    ) -> AsyncGenerator[Chunk, None]:
        raise Unsupported(self.name, "speech to text")

    async def translate(self, form: Form, options: RequestOptions = PLAIN) -> Transcript:
        raise Unsupported(self.name, "speech to text")

    async def speak(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Speech:
        raise Unsupported(self.name, "text to speech")

    def _request(self, body: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        try:
            body = functions.to_tools(body)
        except SHAPE_ERRORS:
            raise misshapen() from None
        request = super()._request(body, stream=stream)
        if request.get("temperature") is None:
            request["temperature"] = TEMPERATURE
        if request.get("max_tokens") is None and request.get("max_completion_tokens") is None:
            request["max_tokens"] = MAX_TOKENS
        if stream:
            request["stream_options"]["chunk_include_usage"] = True
        return request

    @classmethod
    def _answers_responses(cls, base_url: str) -> bool:
        return True

    def _responses_request(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return ark_responses.request(body)

    def _edit(self, body: Mapping[str, Any]) -> Edit | None:
        return functions.answer_in_functions if functions.is_legacy(body) else None

    def _hides_usage(self, body: Mapping[str, Any]) -> bool:
        options = body.get("stream_options")
        return not (isinstance(options, dict) and options.get("chunk_include_usage"))
