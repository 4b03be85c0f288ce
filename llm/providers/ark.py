"""Volcengine Ark (Doubao): OpenAI's protocol with its own defaults, error codes and multimodal embeddings.

Source: volcengine.com/docs/82379. Ark reports cumulative usage with every chunk when asked to, which is how a stream
is billed that the client abandons; it knows tools, but not the older functions.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from . import contents, functions
from .base import Audio, Completion, Speech, Transcript, Unsupported
from .errors import OTHER_ACCOUNT, OTHER_MODEL, RATE_LIMIT, REFUSED, SHAPE_ERRORS, TRY_AGAIN, Codes, misshapen
from .openai import Edit, OpenAI
from .usage import embedding_tokens
from .wire import MEDIA_BYTES

TEMPERATURE = 0.7
MAX_TOKENS = 2000


class Ark(OpenAI):
    """Ark's API with a bearer key; `model` is a model id or an endpoint id (ep-…)."""

    name: ClassVar[str] = "ark"
    default_base_url: ClassVar[str] = "https://ark.cn-beijing.volces.com/api/v3"
    base_url_end: ClassVar[str] = "/v3"
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

    async def embed(self, body: Mapping[str, Any]) -> Completion:
        """Text like OpenAI's; a list of parts (text, image_url, video_url) is one multimodal embedding."""
        parts = body.get("input")
        if not (isinstance(parts, list) and parts and isinstance(parts[0], dict)):
            return await super().embed(body)
        said = await self._wire.post_json("/embeddings/multimodal", body, MEDIA_BYTES)
        # One object where OpenAI has a list.
        if isinstance(said.get("data"), dict):
            said["data"] = [{"object": "embedding", "index": 0, **said["data"]}]
        if not contents.vectors(said):
            raise self._wire.unusable("The provider's answer holds no embedding.")
        return Completion(said, embedding_tokens(said.get("usage")))

    async def transcribe(self, audio: Audio, fields: Mapping[str, str]) -> Transcript:
        raise Unsupported(self.name, "speech to text")

    async def speak(self, body: Mapping[str, Any]) -> Speech:
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

    def _edit(self, body: Mapping[str, Any], *, stream: bool) -> Edit | None:
        legacy = functions.is_legacy(body)
        options = body.get("stream_options")
        wanted = not stream or (isinstance(options, dict) and bool(options.get("chunk_include_usage")))
        if wanted:
            return functions.answer_in_functions if legacy else None

        def edit(event: dict[str, Any]) -> bool:
            """Back to functions; and usage only where OpenAI has it: there are clients that add up what they see."""
            changed = legacy and functions.answer_in_functions(event)
            if event.get("choices") and event.get("usage"):
                event["usage"] = None
                changed = True
            return changed

        return edit
