"""Anthropic's Messages API, as it is and behind OpenAI's chat shape.

Source: platform.claude.com/docs/en/api. The base URL has no /v1. Version 2026-10-21 refuses sampling parameters: a
request that has some goes up in version 2023-06-01, unless the account insists on the newer one.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from . import claude_answer, claude_request, contents, functions, json_text, message_events
from .base import MESSAGES, PLAIN, Account, Chunk, Completion, Provider, ProviderError, RequestOptions
from .errors import SHAPE_ERRORS, explained, misshapen
from .usage import tokens_of
from .verdicts import OTHER_ACCOUNT, OTHER_MODEL, RATE_LIMIT, REFUSED, TRY_AGAIN, Codes
from .wire import MEDIA_BYTES, ProviderWire

API_VERSION = "2026-10-21"


class Claude(Provider):
    """Anthropic's API with its key in x-api-key. Embeddings, images and speech are not to be had."""

    name: ClassVar[str] = "claude"
    default_base_url: ClassVar[str] = "https://api.anthropic.com"
    dialects: ClassVar[frozenset[str]] = frozenset({MESSAGES})
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

    async def chat(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        version, options = self._version_for(body, options)
        message, _content = await self._message(self._request(body, version, stream=False), options)
        return claude_answer.reply(message, legacy=functions.is_legacy(body))

    def stream(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> AsyncGenerator[Chunk, None]:
        version, options = self._version_for(body, options)
        reader = claude_answer.ClaudeTranslator(legacy=functions.is_legacy(body))
        return self._wire.chunks("/v1/messages", self._request(body, version, stream=True), reader, options)

    async def ask(self, dialect: str, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        if dialect != MESSAGES:
            return await super().ask(dialect, body, options)
        body = claude_request.without_foreign_thoughts(body)
        message, content = await self._message(body, self._version_for(body, options)[1])
        return Completion(message, tokens_of(message.get("usage")), content, message_events.written(message))

    def ask_stream(
        self, dialect: str, body: Mapping[str, Any], options: RequestOptions = PLAIN
    ) -> AsyncGenerator[Chunk, None]:
        if dialect != MESSAGES:
            return super().ask_stream(dialect, body, options)
        _version, options = self._version_for(body, options)
        body = claude_request.without_foreign_thoughts(body)
        return self._wire.chunks("/v1/messages", body, message_events.MessageEvents(), options)

    async def _message(self, body: Mapping[str, Any], options: RequestOptions) -> tuple[dict[str, Any], bytes]:
        answer = await self._wire.post("/v1/messages", body, MEDIA_BYTES, options)
        if contents.is_events(answer.body):
            gathered = message_events.GatheredMessage()
            async for chunk in self._wire.chunks_of(answer, message_events.MessageEvents()):
                gathered.add(chunk)
            whole = gathered.whole()
            return whole, json_text.write(whole)
        message, content = self._wire.object_in(answer)
        if not isinstance(message.get("content"), list):
            raise self._wire.unusable("The provider's answer is no message.")
        return message, content

    async def probe(self, model_id: str) -> str:
        question = {"model": model_id, "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}
        try:
            reply = await self.chat(question)
        except ProviderError as error:
            raise explained(error, self._wire.base_url, "") from None
        return str(reply.body.get("model") or model_id)

    async def close(self) -> None:
        await self._wire.close()

    def _request(self, body: Mapping[str, Any], version: str, *, stream: bool) -> dict[str, Any]:
        try:
            return claude_request.request(body, version, stream=stream)
        except SHAPE_ERRORS:
            raise misshapen() from None

    def _version_for(self, body: Mapping[str, Any], options: RequestOptions) -> tuple[str, RequestOptions]:
        """The version to speak: the caller's, else the account's. Sampling parameters choose the one that takes them,
        unless the account insists."""
        version = options.headers.get("anthropic-version") or self._version
        if not self.account.api_version and claude_request.samples(body):
            version = claude_request.SAMPLING_VERSION
        return version, replace(options, headers={**options.headers, "anthropic-version": version})
