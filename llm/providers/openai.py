"""OpenAI, and everything that speaks its protocol: chat, streams, embeddings, images, speech both ways.

Source: OpenAI's API reference. Requests go out as the caller wrote them; the chunks of a stream come back byte for
byte, read only to know what they carry.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, ClassVar

import orjson

from voicehelper.net.http_async import file_form

from . import contents
from .base import Account, Audio, Chunk, Completion, Provider, ProviderError, Recovery, Speech, Transcript
from .errors import OTHER_ACCOUNT, OTHER_MODEL, RATE_LIMIT, REFUSED, SHAPE_ERRORS, TRY_AGAIN, Codes, explained
from .usage import embedding_tokens, image_tokens, tokens_of
from .wire import MEDIA_BYTES, ProviderWire

# Changes an answer, or a chunk of one, in place, and says whether it did.
Edit = Callable[[dict[str, Any]], bool]

_NO_TEXT = frozenset({"role", "encrypted_content"})


class OpenAI(Provider):
    """OpenAI's API with a bearer key."""

    name: ClassVar[str] = "openai"
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
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
    }

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        headers = {"Authorization": f"Bearer {account.api_key.strip()}"}
        if account.organization:
            headers["OpenAI-Organization"] = account.organization
        self._wire = ProviderWire(account, self.default_base_url, headers, self.codes)

    @property
    def broken_lines(self) -> int:
        return self._wire.broken_lines

    async def chat(self, body: Mapping[str, Any]) -> Completion:
        said = await self._wire.post_json("/chat/completions", self._request(body, stream=False))
        if not _is_completion(said):
            raise self._wire.unusable("The provider's answer is no chat completion.")
        if edit := self._edit(body, stream=False):
            try:
                edit(said)
            except SHAPE_ERRORS:
                raise self._wire.unusable("The provider's answer is no chat completion.") from None
        return Completion(said, tokens_of(said.get("usage"), service_tier=said.get("service_tier")))

    async def stream(self, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        edit = self._edit(body, stream=True)
        # With one answer asked for, its last words end everything.
        single, unfinished = body.get("n") in (None, 1), set(range(body.get("n") or 1))
        events = await self._wire.stream("/chat/completions", self._request(body, stream=True))
        try:
            while batch := await events.read():
                newest = batch[-1][1]
                for data, event in batch:
                    if event.get("error"):
                        raise events.said(event)
                    chunk = _chunk(data, event, edit, single=single, more=event is not newest)
                    if chunk is None:
                        events.skip()
                        continue
                    if chunk.output:
                        events.begun = True
                    unfinished -= _finished(event)
                    events.finished = not unfinished
                    yield chunk
            if not (events.ended or events.finished):
                raise events.broke()
        finally:
            events.close()

    async def embed(self, body: Mapping[str, Any]) -> Completion:
        said = await self._wire.post_json("/embeddings", body, MEDIA_BYTES)
        if contents.vectors(said) < contents.inputs(body):
            raise self._wire.unusable("The provider's answer lacks embeddings that were asked for.")
        return Completion(said, embedding_tokens(said.get("usage")))

    async def images(self, body: Mapping[str, Any]) -> Completion:
        said = await self._wire.post_json("/images/generations", _without(body, "stream"), MEDIA_BYTES)
        if not contents.pictures(said):
            raise self._wire.unusable("The provider's answer holds no picture.")
        return Completion(said, image_tokens(said.get("usage")))

    async def transcribe(self, audio: Audio, fields: Mapping[str, str]) -> Transcript:
        parts = _without(fields, "stream")
        try:
            form = file_form(parts, "file", audio.content, audio.filename, audio.content_type)
        except ValueError:
            raise ProviderError("A name in the form holds a line break.", recovery=Recovery.FAIL, code="file") from None
        answer = await self._wire.post("/audio/transcriptions", form)
        content_type = answer.headers.get("content-type", "application/json")
        if not contents.is_transcript(answer.body, fields.get("response_format") or "json"):
            raise self._wire.told(answer) or self._wire.unusable("The provider's answer is no transcript.")
        return Transcript(answer.body, content_type, _seconds(answer.body))

    async def speak(self, body: Mapping[str, Any]) -> Speech:
        answer = await self._wire.post("/audio/speech", _without(body, "stream_format"))
        content_type = answer.headers.get("content-type", "audio/mpeg")
        if not contents.is_sound(answer.body, content_type):
            raise self._wire.told(answer) or self._wire.unusable("The provider's answer is no sound.")
        return Speech(answer.body, content_type)

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

    def _edit(self, body: Mapping[str, Any], *, stream: bool) -> Edit | None:
        """What has to be changed in answers to this request; None: nothing."""
        return None

    async def _has(self, model_id: str) -> bool:
        """Whether the provider lists this model."""
        try:
            listed = (await self._wire.get_json("/models")).get("data")
        except ProviderError:
            return False
        models = listed if isinstance(listed, list) else []
        return any(isinstance(model, dict) and model.get("id") == model_id for model in models)


def _is_completion(said: dict[str, Any]) -> bool:
    """Whether an answer has the shape of a chat completion, as far as anybody reads it."""
    try:
        for choice in said["choices"]:
            message = choice["message"]
            calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
            calls.append(message.get("function_call") or {})
            texts = [choice.get("finish_reason"), *(call.get("arguments") for call in calls)]
            if not all(text is None or type(text) is str for text in texts):
                return False
    except SHAPE_ERRORS:
        return False
    return type(said["choices"]) is list and bool(said["choices"])


def _chunk(data: bytes, event: dict[str, Any], edit: Edit | None, *, single: bool, more: bool = False) -> Chunk | None:
    """What an event carries; None when it has not the shape of a chunk."""
    try:
        choices = event.get("choices") or ()
        usage = event.get("usage")
        tokens = None
        if usage is not None:
            last = not choices or (single and bool(choices[0].get("finish_reason")))
            tokens = tokens_of(usage, final=last, service_tier=event.get("service_tier"))
        if edit is not None and edit(event):
            data = orjson.dumps(event)
        output, text = visible(choices)
    except SHAPE_ERRORS:
        return None
    return Chunk(data, output, tokens, tokens is not None and not choices, text, more)


def _finished(event: dict[str, Any]) -> set[int]:
    """The answers that end with this event. One that failed has not ended."""
    ended = [each for each in event.get("choices") or () if each.get("finish_reason") not in (None, "", "error")]
    return {index if type(index := each.get("index")) is int else 0 for each in ended}


def visible(choices: Any) -> tuple[bool, str]:
    """Whether a chunk's choices carry anything a user would see, and its text."""
    output, text = False, ""
    for choice in choices:
        delta = choice.get("delta") or {}
        for key, value in delta.items():
            if not value or key == "role":
                continue
            output = True
            if type(value) is str:
                # Some write the same thought under both names.
                if key not in _NO_TEXT and not (key == "reasoning" and delta.get("reasoning_content")):
                    text = text + value if text else value
            elif key == "tool_calls":
                text += "".join(_call_text(call.get("function") or {}) for call in value)
            elif key == "function_call":
                text += _call_text(value)
    return output, text


def _call_text(function: dict[str, Any]) -> str:
    return f"{function.get('name') or ''}{function.get('arguments') or ''}"


def _asked(body: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's own stream options."""
    options = body.get("stream_options")
    return options if isinstance(options, dict) else {}


def _without(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def _seconds(body: bytes) -> float | None:
    """How long a recording was, when the answer says so: verbose JSON does, and usage by duration."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(said, dict):
        return None
    usage = said.get("usage")
    found = said.get("duration") or (usage.get("seconds") if isinstance(usage, dict) else None)
    try:
        seconds = float(found) if isinstance(found, int | float | str) else -1.0
    except ValueError:
        return None
    # Neither nothing nor a day of sound is a recording.
    return seconds if 0 < seconds <= 86_400 else None
