"""Anthropic's Messages API behind OpenAI's chat shape.

Source: platform.claude.com/docs/en/api. The base URL has no /v1. Version 2026-10-21 refuses sampling parameters, so
they are left out, which `left_out` tells; an account may ask for 2023-06-01 instead.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, ClassVar

from . import claude_answer, claude_request, functions
from .base import Account, Chunk, Completion, Provider, ProviderError
from .errors import (
    OTHER_ACCOUNT,
    OTHER_MODEL,
    RATE_LIMIT,
    REFUSED,
    SHAPE_ERRORS,
    TRY_AGAIN,
    Codes,
    explained,
    misshapen,
)
from .wire import ProviderWire

API_VERSION = "2026-10-21"


class Claude(Provider):
    """Anthropic's API with its key in x-api-key. Embeddings, images and speech are not to be had."""

    name: ClassVar[str] = "claude"
    default_base_url: ClassVar[str] = "https://api.anthropic.com"
    probe_path: ClassVar[str] = "/v1/messages"
    codes: ClassVar[Codes] = {
        "invalid_request_error": REFUSED,
        "request_too_large": REFUSED,
        "authentication_error": OTHER_ACCOUNT,
        "billing_error": OTHER_ACCOUNT,
        "permission_error": OTHER_ACCOUNT,
        "not_found_error": OTHER_MODEL,
        "conflict_error": TRY_AGAIN,
        # A 429 that no waiting lifts.
        "enforced_spend_limit_reached": OTHER_ACCOUNT,
        "rate_limit_error": RATE_LIMIT,
        "api_error": TRY_AGAIN,
        "timeout_error": TRY_AGAIN,
        "overloaded_error": TRY_AGAIN,
    }

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._version = account.api_version or API_VERSION
        headers = {"x-api-key": account.api_key.strip(), "anthropic-version": self._version}
        self._wire = ProviderWire(account, self.default_base_url, headers, self.codes)

    @property
    def broken_lines(self) -> int:
        return self._wire.broken_lines

    def left_out(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        return claude_request.left_out(body, self._version)

    async def chat(self, body: Mapping[str, Any]) -> Completion:
        message = await self._wire.post_json("/v1/messages", self._request(body, stream=False))
        if not isinstance(message.get("content"), list):
            raise self._wire.unusable("The provider's answer is no message.")
        return claude_answer.reply(message, legacy=functions.is_legacy(body))

    async def stream(self, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        request = self._request(body, stream=True)
        translator = claude_answer.ClaudeTranslator(legacy=functions.is_legacy(body))
        events = await self._wire.stream("/v1/messages", request)
        try:
            while not translator.ended and (batch := await events.read()):
                for _data, event in batch:
                    if event.get("type") == "error":
                        raise events.said(event)
                    try:
                        chunks = list(translator.read(event))
                    except SHAPE_ERRORS:
                        events.skip()
                        continue
                    events.finished = translator.finished
                    for chunk in chunks:
                        events.begun = events.begun or chunk.output
                        yield chunk
            if translator.ended:
                await events.settle()
            elif translator.finished:
                for chunk in translator.last():
                    yield chunk
            else:
                raise events.broke()
        finally:
            events.close()

    async def probe(self, model_id: str) -> str:
        question = {"model": model_id, "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}
        try:
            reply = await self.chat(question)
        except ProviderError as error:
            raise explained(error, self._wire.base_url, "") from None
        return str(reply.body.get("model") or model_id)

    async def close(self) -> None:
        await self._wire.close()

    def _request(self, body: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        try:
            return claude_request.request(body, self._version, stream=stream)
        except SHAPE_ERRORS:
            raise misshapen() from None
