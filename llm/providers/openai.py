"""OpenAI, and everything that speaks its protocol: chat, streams, embeddings, images, speech both ways.

Source: OpenAI's API reference. Requests go out as the caller wrote them; the chunks of a stream come back byte for
byte, read only to know what they carry.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

from voicehelper.net.http import HTTPAnswer
from voicehelper.net.http_async import Body, file_form

from . import contents, functions, json_text, responses_request
from .base import (
    CHAT,
    COMPLETIONS,
    PLAIN,
    RESPONSES,
    Account,
    Audio,
    Chunk,
    Completion,
    Form,
    Provider,
    ProviderError,
    Recovery,
    RequestOptions,
    Speech,
    Transcript,
)
from .chat_events import ChatEvents, Edit, TranscriptEvents, completed_text, is_completion, put_right
from .errors import SHAPE_ERRORS, explained, misshapen
from .gathered import GatheredAnswer
from .response_events import UNFINISHED, GatheredResponse, ResponseEvents, failure_in, used, written
from .responses_answer import ResponsesToChat, reply
from .usage import embedding_tokens, image_tokens, tokens_of
from .verdicts import OTHER_ACCOUNT, OTHER_MODEL, RATE_LIMIT, REFUSED, TRY_AGAIN, Codes
from .wire import MEDIA_BYTES, ProviderWire


class OpenAI(Provider):
    """OpenAI's API with a bearer key."""

    name: ClassVar[str] = "openai"
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    may_answer_responses: ClassVar[bool] = True
    dialects: ClassVar[frozenset[str]] = frozenset({CHAT, COMPLETIONS})
    # Operations that are passed through, by their paths.
    passed: ClassVar[frozenset[str]] = frozenset({"/moderations", "/rerank", "/images/edits", "/images/variations"})
    base_url_end: ClassVar[str] = "/v1"
    codes: ClassVar[Codes] = {
        "insufficient_quota": OTHER_ACCOUNT,
        "billing_hard_limit_reached": OTHER_ACCOUNT,
        "billing_not_active": OTHER_ACCOUNT,
        "account_deactivated": OTHER_ACCOUNT,
        "invalid_api_key": OTHER_ACCOUNT,
        "authentication_error": OTHER_ACCOUNT,
        "model_not_found": OTHER_MODEL,
        "content_filter": REFUSED,
        "content_policy_violation": REFUSED,
        "rate_limit_exceeded": RATE_LIMIT,
        "server_error": TRY_AGAIN,
        # Of responses that failed, whose status is 200.
        "invalid_prompt": REFUSED,
        "context_length_exceeded": REFUSED,
        "bio_policy": REFUSED,
        "cyber_policy": REFUSED,
    }
    # What a chat that is put in Responses may say in this provider's own words.
    own_fields: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        headers = {"Authorization": f"Bearer {account.api_key.strip()}"}
        if account.organization:
            headers["OpenAI-Organization"] = account.organization
        self._wire = ProviderWire(account, self.default_base_url, headers, self.codes)

    @classmethod
    def dialects_of(cls, account: Account) -> frozenset[str]:
        said = account.responses_api
        speaks = cls._answers_responses(account.base_url) if said is None else said
        return cls.dialects | {RESPONSES} if speaks else cls.dialects

    @classmethod
    def _answers_responses(cls, base_url: str) -> bool:
        """Whether an address is known to answer Responses; others of this protocol may know only chat."""
        host = urlsplit(base_url.strip() or cls.default_base_url).hostname or ""
        return host == "api.openai.com" or host.endswith(".api.openai.com")

    @property
    def broken_lines(self) -> int:
        return self._wire.broken_lines

    async def chat(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        if options.in_responses:
            return await self._chat_in_responses(body, options)
        request = self._request(body, stream=False)
        answer = await self._wire.post("/chat/completions", request, MEDIA_BYTES, options)
        if contents.is_events(answer.body):
            return await self._gathered(answer, body)
        said, content = self._wire.object_in(answer)
        if not is_completion(said):
            raise self._wire.unusable("The provider's answer is no chat completion.")
        changed, edit = put_right(said), self._edit(body)
        if edit is not None:
            try:
                changed = edit(said) or changed
            except SHAPE_ERRORS:
                raise self._wire.unusable("The provider's answer is no chat completion.") from None
        usage = tokens_of(said.get("usage"), service_tier=said.get("service_tier"))
        return Completion(said, usage, b"" if changed else content)

    async def _gathered(self, answer: HTTPAnswer, body: Mapping[str, Any]) -> Completion:
        """The whole answer that was asked for, and came in events: there are gateways that always stream."""
        whole, used = GatheredAnswer(), None
        async for chunk in self._wire.chunks_of(answer, ChatEvents(body.get("n") or 1, self._edit(body))):
            whole.add(chunk)
            if chunk.usage is not None and (used is None or chunk.usage.output >= used.output):
                used = chunk.usage
        return replace(whole.completion(), usage=used)

    def stream(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> AsyncGenerator[Chunk, None]:
        if options.in_responses:
            translator = ResponsesToChat(self._wire.said, legacy=functions.is_legacy(body))
            return self._wire.chunks("/responses", self._in_responses(body, stream=True), translator, options)
        reader = ChatEvents(body.get("n") or 1, self._edit(body), hide_usage=self._hides_usage(body))
        return self._wire.chunks("/chat/completions", self._request(body, stream=True), reader, options, reader.alike)

    async def embed(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        said, content = await self._wire.post_json("/embeddings", body, MEDIA_BYTES, options)
        if contents.vectors(said) < contents.inputs(body):
            raise self._wire.unusable("The provider's answer lacks embeddings that were asked for.")
        return Completion(said, embedding_tokens(said.get("usage")), content)

    async def images(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        path, request = "/images/generations", _without(body, "stream")
        said, content = await self._wire.post_json(path, request, MEDIA_BYTES, options)
        if not contents.pictures(said):
            raise self._wire.unusable("The provider's answer holds no picture.")
        return Completion(said, image_tokens(said.get("usage")), content)

    async def transcribe(self, audio: Audio, fields: Mapping[str, Any], options: RequestOptions = PLAIN) -> Transcript:
        form = Form(_without(fields, "stream"), [("file", audio)])
        return await self._transcript("/audio/transcriptions", form, options)

    def transcribe_stream(
        self, audio: Audio, fields: Mapping[str, Any], options: RequestOptions = PLAIN
    ) -> AsyncGenerator[Chunk, None]:
        form = _written(Form(fields, [("file", audio)]))
        return self._wire.chunks("/audio/transcriptions", form, TranscriptEvents(), options)

    async def translate(self, form: Form, options: RequestOptions = PLAIN) -> Transcript:
        return await self._transcript("/audio/translations", form, options)

    async def _transcript(self, path: str, form: Form, options: RequestOptions) -> Transcript:
        answer = await self._wire.post(path, _written(form), options=options)
        content_type = answer.headers.get("content-type", "application/json")
        if not contents.is_transcript(answer.body, str(form.fields.get("response_format") or "json")):
            raise self._wire.told(answer) or self._wire.unusable("The provider's answer is no transcript.")
        return _transcript(answer.body, content_type)

    async def speak(self, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Speech:
        answer = await self._wire.post("/audio/speech", _without(body, "stream_format"), options=options)
        content_type = answer.headers.get("content-type", "audio/mpeg")
        if not contents.is_sound(answer.body, content_type):
            raise self._wire.told(answer) or self._wire.unusable("The provider's answer is no sound.")
        return Speech(answer.body, content_type)

    async def ask(self, dialect: str, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        if dialect == RESPONSES:
            said, content = await self._response(self._responses_request(body), options)
            return Completion(said, used(said), content, written(said))
        if dialect != COMPLETIONS or dialect not in self.dialects:
            return await super().ask(dialect, body, options)
        said, content = await self._wire.post_json("/completions", self._request(body, stream=False), options=options)
        text = completed_text(said)
        if text is None:
            raise self._wire.unusable("The provider's answer is no completion.")
        return Completion(said, tokens_of(said.get("usage"), service_tier=said.get("service_tier")), content, text)

    def ask_stream(
        self, dialect: str, body: Mapping[str, Any], options: RequestOptions = PLAIN
    ) -> AsyncGenerator[Chunk, None]:
        if dialect == RESPONSES:
            reader = ResponseEvents(self._wire.said)
            return self._wire.chunks("/responses", self._responses_request(body), reader, options)
        if dialect != COMPLETIONS or dialect not in self.dialects:
            return super().ask_stream(dialect, body, options)
        prompts = contents.inputs({"input": body.get("prompt")})
        choices = ChatEvents(prompts * (body.get("n") or 1))
        return self._wire.chunks("/completions", self._request(body, stream=True), choices, options, choices.alike)

    async def post(self, path: str, body: Mapping[str, Any], options: RequestOptions = PLAIN) -> Completion:
        if path not in self.passed:
            return await super().post(path, body, options)
        said, content = await self._wire.post_json(path, body, MEDIA_BYTES, options)
        if not (said.get("results") or said.get("data")):
            raise self._wire.unusable("The provider's answer holds no results.")
        return Completion(said, embedding_tokens(said.get("usage"), said.get("meta")), content)

    async def post_form(self, path: str, form: Form, options: RequestOptions = PLAIN) -> Completion:
        if path not in self.passed:
            return await super().post_form(path, form, options)
        answer = await self._wire.post(path, _written(form), options=options)
        said, content = self._wire.object_in(answer)
        if not contents.pictures(said):
            raise self._wire.unusable("The provider's answer holds no picture.")
        return Completion(said, image_tokens(said.get("usage")), content)

    async def probe(self, model_id: str) -> str:
        question = {"model": model_id, "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}
        try:
            reply = await self.chat(question)
        except ProviderError as error:
            if error.status in (400, 404) and await self._has(model_id):
                # It is there, but not for chat, or it wants other parameters than we sent.
                return model_id
            raise explained(error, self._wire.base_url, self.base_url_end) from None
        return str(reply.body.get("model") or model_id)

    async def close(self) -> None:
        await self._wire.close()

    def _request(self, body: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The body to send. Usage is asked for in every stream: it is what the user pays by."""
        if not stream:
            return _without(body, "stream", "stream_options")
        return {**body, "stream": True, "stream_options": {**_asked(body), "include_usage": True}}

    def _responses_request(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A request in Responses as this provider takes it."""
        return body

    def _in_responses(self, body: Mapping[str, Any], *, stream: bool) -> Mapping[str, Any]:
        """A chat as it is put to a model that answers nothing but Responses."""
        try:
            request = responses_request.request(body, self.name, stream=stream, also=self.own_fields)
        except SHAPE_ERRORS:
            raise misshapen() from None
        return self._responses_request(request)

    async def _chat_in_responses(self, body: Mapping[str, Any], options: RequestOptions) -> Completion:
        said, _content = await self._response(self._in_responses(body, stream=False), options)
        try:
            return reply(said, legacy=functions.is_legacy(body))
        except SHAPE_ERRORS:
            raise self._wire.unusable("The provider's answer is no response.") from None

    async def _response(self, body: Mapping[str, Any], options: RequestOptions) -> tuple[dict[str, Any], bytes]:
        answer = await self._wire.post("/responses", body, MEDIA_BYTES, options)
        if contents.is_events(answer.body):
            whole = GatheredResponse()
            async for chunk in self._wire.chunks_of(answer, ResponseEvents(self._wire.said)):
                whole.add(chunk)
            return whole.body, json_text.write(whole.body)
        said, content = self._wire.object_in(answer)
        if said.get("status") == "failed":
            raise self._wire.said(failure_in(said))
        output = said.get("output")
        if not isinstance(output, list) or (not output and said.get("status") in UNFINISHED):
            raise self._wire.unusable("The provider's answer is no response.")
        return said, content

    def _edit(self, body: Mapping[str, Any]) -> Edit | None:
        """What has to be changed in answers to this request; None: nothing."""
        return None

    def _hides_usage(self, body: Mapping[str, Any]) -> bool:
        """Whether chunks report what was used though nobody asked them to."""
        return False

    async def _has(self, model_id: str) -> bool:
        """Whether the provider lists this model."""
        try:
            listed = (await self._wire.get_json("/models")).get("data")
        except ProviderError:
            return False
        models = listed if isinstance(listed, list) else []
        return any(isinstance(model, dict) and model.get("id") == model_id for model in models)


def _asked(body: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's own stream options."""
    options = body.get("stream_options")
    return options if isinstance(options, dict) else {}


def _without(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def _written(form: Form) -> Body:
    files = [(name, file.content, file.filename, file.content_type) for name, file in form.files]
    try:
        return file_form(form.fields, files)
    except ValueError:
        raise ProviderError("A name in the form holds a line break.", recovery=Recovery.FAIL, code="file") from None


def _transcript(body: bytes, content_type: str) -> Transcript:
    """A transcript, and what it says was used: verbose JSON and usage by duration name seconds, others tokens."""
    try:
        said, clean = json_text.read(body)
    except ValueError:
        said, clean = None, body
    if not isinstance(said, dict):
        return Transcript(body, content_type, text=body.decode("utf-8", "replace"))
    usage, text = said.get("usage"), said.get("text")
    seconds = _seconds(said.get("duration") or (usage.get("seconds") if isinstance(usage, dict) else None))
    return Transcript(clean, content_type, seconds, tokens_of(usage), text if isinstance(text, str) else "")


def _seconds(found: Any) -> float | None:
    """How long a recording was."""
    try:
        seconds = float(found) if isinstance(found, int | float | str) and not isinstance(found, bool) else -1.0
    except ValueError:
        return None
    # Neither nothing nor a day of sound is a recording.
    return seconds if 0 < seconds <= 86_400 else None
