"""What is asked, how long its answer may be, and how it is put to a model's provider."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..kinds import SEARCH
from ..providers import PROVIDERS
from ..providers.base import CHAT as CHAT_DIALECT
from ..providers.base import RESPONSES, Account, Audio, Chunk, Completion, Provider, RequestOptions
from .audio import Recording
from .billing import Amount, amount
from .catalogue import RESPONSES_ONLY, ModelSpec
from .estimates import Calibration

# What a provider writes at the most when nobody says how much; the others, up to what the model can.
_DEFAULT_TOKENS = {"ark": 2000, "claude": 4096}


# OpenAI's models that refuse a limit under its older name, also behind a gateway.
_NEWER = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-(?:[5-9]|\d\d))(?!\d)")


class Addressee(NamedTuple):
    """Whom a question is put to, and for whom: a provider, its account, and the user who asks. `searches`: there is a
    price for what it searches of the web."""

    provider: str
    credential_id: int = 0
    user_id: int = 0
    searches: bool = False


def limit_names(dialect: str) -> tuple[str, ...]:
    """Where a request says how long its answer may be; first, where it is said that nobody said it."""
    return ("max_output_tokens",) if dialect == RESPONSES else ("max_tokens", "max_completion_tokens")


class Question(NamedTuple):
    """What is asked: a body in OpenAI's shape or in `dialect`, for speech to text the form's fields and the recording.
    `weight` is about how many tokens the input has, `headers` are those of the client's that go up with the body.

    `in_chat` is the same in OpenAI's shape, for providers that do not speak the dialect. It raises Unsupported for what
    cannot be said there. `upward` is the body for those that do, where it is not the one that came.
    """

    body: Mapping[str, Any]
    weight: float = 0.0
    recording: Recording | None = None
    # Of an operation with a form: its files, each with the name of its field.
    files: Sequence[tuple[str, Audio]] = ()
    dialect: str = CHAT_DIALECT
    headers: Mapping[str, str] = {}
    in_chat: Callable[[Addressee], Mapping[str, Any]] | None = None
    upward: Callable[[Addressee], Mapping[str, Any]] | None = None
    credential_id: int = 0
    user_id: int = 0

    def at(self, credential_id: int, user_id: int) -> "Question":
        """The same, put to one account; it only makes a difference where it is not put as it came."""
        if self.in_chat is None:
            return self
        return self._replace(credential_id=credential_id, user_id=user_id)

    def to(
        self, model: ModelSpec, body: Mapping[str, Any] | None = None, dialect: str = CHAT_DIALECT
    ) -> dict[str, Any]:
        """The body as that model's provider must see it. A limit beyond the model's own is lowered to it."""
        out = {**(self.body if body is None else body), "model": model.provider_model_id}
        for name in limit_names(dialect):
            if (out.get(name) or 0) > model.max_tokens:
                out[name] = model.max_tokens
        return out

    def options(self, model: ModelSpec, *, native: bool = True) -> RequestOptions:
        """How it is put; headers of a dialect's own go up in that dialect only."""
        only = model.responses_api == RESPONSES_ONLY
        if not (native and self.headers):
            return _without_headers(model.patience_s, only)
        return RequestOptions(self.headers, float(model.patience_s), only)

    def native_to(self, account: Account, model: ModelSpec) -> bool:
        """Whether question and answer pass through as they are."""
        if self.in_chat is None:
            return True
        provider = PROVIDERS[account.provider]
        spoken = self.dialect in provider.dialects_of(account)
        if self.dialect == RESPONSES and model.responses_api:
            spoken = model.responses_api == RESPONSES_ONLY
        return spoken and provider.has_room_for(self.dialect, self.body)

    def is_translated(self, account: Account, model: ModelSpec) -> bool:
        """Whether the answer to a chat, in whatever dialect, is written anew on its way; else it is the provider's own
        to the byte."""
        if self.in_chat is not None and not self.native_to(account, model):
            return True
        spoken = PROVIDERS[account.provider].dialects_of(account)
        return self.in_chat is None and (model.responses_api == RESPONSES_ONLY or CHAT_DIALECT not in spoken)

    async def put(self, provider: Provider, model: ModelSpec) -> Completion:
        """Ask, whole; the answer is in `dialect` when that is native to the provider, else in OpenAI's shape."""
        if self.in_chat is None:
            return await provider.chat(self.to_chat(model), self.options(model))
        if self.native_to(provider.account, model):
            return await provider.ask(self.dialect, self._native(provider, model), self.options(model))
        return await provider.chat(self._translated(provider, model), self.options(model, native=False))

    def put_stream(self, provider: Provider, model: ModelSpec) -> AsyncGenerator[Chunk, None]:
        """The same, streamed."""
        if self.recording is not None:
            return provider.transcribe_stream(self.recording.audio, self.to(model), self.options(model))
        if self.in_chat is None:
            return provider.stream(self.to_chat(model), self.options(model))
        if self.native_to(provider.account, model):
            return provider.ask_stream(self.dialect, self._native(provider, model), self.options(model))
        return provider.stream(self._translated(provider, model), self.options(model, native=False))

    def to_chat(self, model: ModelSpec) -> dict[str, Any]:
        """The same of a chat, with the limits that are held for."""
        return {**self.to(model), **answer_limits(self.body, model)}

    def _native(self, provider: Provider, model: ModelSpec) -> dict[str, Any]:
        if self.upward is None:
            return self.to(model, dialect=self.dialect)
        body = self.to(model, self.upward(self._addressee(provider, model)), self.dialect)
        return {**body, **answer_limits(self.body, model, self.dialect)}

    def _translated(self, provider: Provider, model: ModelSpec) -> dict[str, Any]:
        if self.in_chat is None:
            raise TypeError("A chat is not translated.")
        body = self.to(model, self.in_chat(self._addressee(provider, model)))
        if _NEWER.match(model.provider_model_id) and "max_tokens" in body:
            body["max_completion_tokens"] = body.pop("max_tokens")
        return body

    def _addressee(self, provider: Provider, model: ModelSpec) -> Addressee:
        return Addressee(provider.name, self.credential_id, self.user_id, SEARCH in model.prices.kinds)


@lru_cache(1000)
def _without_headers(patience_s: int, in_responses: bool) -> RequestOptions:
    return RequestOptions({}, float(patience_s), in_responses)


def max_tokens_of(body: Mapping[str, Any], dialect: str = CHAT_DIALECT) -> int | None:
    """How many tokens an answer may have, as the caller wants it: the larger of two limits, as providers disagree about
    which one counts."""
    return max(filter(None, (body.get(name) for name in limit_names(dialect))), default=None)


def answer_limits(body: Mapping[str, Any], model: ModelSpec, dialect: str = CHAT_DIALECT) -> dict[str, int]:
    """The limits of an answer that are asked for, and so held for: the caller's, but not above the model's own."""
    given, names = {}, limit_names(dialect)
    for name in names:
        if body.get(name):
            given[name] = min(body[name], model.max_tokens)
    if not given and (default := _DEFAULT_TOKENS.get(model.provider)):
        given[names[0]] = min(default, model.max_tokens)
    return given


def by_estimate(question: Question, model: ModelSpec, calibration: Calibration, output: int) -> Amount:
    """What goes in for all we know ourselves, and so many tokens that came out."""
    read = prompt_tokens(question, model, calibration)
    return amount(output=output, input_audio=read) if question.recording else amount(output=output, input=read)


def prompt_tokens(question: Question, model: ModelSpec, calibration: Calibration) -> int:
    return max(1, calibration.tokens(model.name, question.weight))
