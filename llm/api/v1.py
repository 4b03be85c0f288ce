"""`/v1`: OpenAI's API (and Anthropic's /v1/messages) as a small ASGI application in front of Django.

No ORM and no Django on this path: see docs/decisions.md for what that saves. An API key is the only way in.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson
from django.conf import settings

from voicehelper.accounts.keys import Owner
from voicehelper.api.errors import ErrorAnswer, answer_to

from ..dialects import chat_completions, messages
from ..providers.base import Chunk
from ..relay.call import Call, Caller
from ..relay.catalogue import ModelSpec
from ..relay.engine import Engine, engine
from ..relay.errors import CallRefused
from ..relay.operations import CHAT, EMBED, IMAGES, SPEAK, TRANSCRIBE, Operation, Question
from . import forms, limits
from .errors import anthropic, openai, too_large, too_slow, wrong_key

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON_BYTES = 4 * 1024 * 1024
AUDIO_BYTES = 32 * 1024 * 1024
BODY_SECONDS = 10.0
AUDIO_SECONDS = 120.0

_JSON = (b"content-type", b"application/json")
_EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class ClientLeft(OSError):
    """Nobody is there to answer."""


class V1Request:
    """One request and its answer."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.receive = receive
        self._send = send
        self.request_id = ""
        self.begun = False
        self._held: list[bytes] = []
        self.owner: Owner

    @property
    def anthropic(self) -> bool:
        """Whether the client is one of theirs."""
        return self.path.startswith("/v1/messages") or b"anthropic-version" in self.headers

    @property
    def _request_id_header(self) -> bytes:
        return b"request-id" if self.anthropic else b"x-request-id"

    @property
    def caller(self) -> Caller:
        return Caller(self.owner.user_id, self.owner.group, self.owner.username)

    async def read(self, limit: int, seconds: float) -> bytes:
        """The whole body. Raises CallRefused when it is too large or too slow, ClientLeft when it never ends."""
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise too_large()
        try:
            async with asyncio.timeout(seconds):
                message = await self.receive()
                body: bytes = message.get("body", b"")
                if not message.get("more_body"):
                    if message["type"] == "http.disconnect":
                        raise ClientLeft
                    if len(body) > limit:
                        raise too_large()
                    return body
                return await self._read_on(bytearray(body), limit)
        except TimeoutError:
            raise too_slow() from None

    async def _read_on(self, body: bytearray, limit: int) -> bytes:
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            body += message.get("body", b"")
            if len(body) > limit:
                raise too_large()
            if not message.get("more_body"):
                return bytes(body)

    async def answer(
        self, body: bytes, content_type: bytes = b"application/json", status: int = 200, *more: tuple[bytes, bytes]
    ) -> None:
        headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            (self._request_id_header, self.request_id.encode()),
            *more,
        ]
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: ErrorAnswer) -> None:
        self.request_id = self.request_id or f"req_{secrets.token_hex(12)}"
        body = anthropic(error, self.request_id) if self.anthropic else openai(error)
        more = [(b"retry-after", b"%d" % error.retry_after_s)] if error.retry_after_s else []
        await self.answer(orjson.dumps(body), _JSON[1], error.status, *more)

    async def begin_events(self) -> None:
        self.begun = True
        headers = [*_EVENTS, (self._request_id_header, self.request_id.encode())]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def event(self, data: bytes, *, more: bool = False) -> None:
        """Pass on the bytes of one or more events; with `more`, together with the next ones."""
        if more or self._held:
            self._held.append(data)
            if more:
                return
            data = self._taken()
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end_events(self, data: bytes = b"") -> None:
        self._held.append(data)
        await self._send({"type": "http.response.body", "body": self._taken()})

    def _taken(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        return data


async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request to /v1."""
    exchange = V1Request(scope, receive, send)
    try:
        await _answer(exchange)
    except ClientLeft:
        return
    except Exception as error:  # noqa: BLE001  # the edge: every error has an answer
        answer = answer_to(error)
        if not exchange.begun:
            await exchange.refuse(answer)
        elif exchange.anthropic:
            await exchange.end_events(messages.event("error", anthropic(answer, exchange.request_id)))
        else:
            await exchange.end_events(b"data: %b\n\n" % orjson.dumps(openai(answer)))


async def _answer(exchange: V1Request) -> None:
    relay = engine()
    owner = await relay.keys.owner(_key(exchange.headers))
    if owner is None:
        raise wrong_key()
    exchange.owner = owner
    if exchange.path == "/v1/models" or exchange.path.startswith("/v1/models/"):
        await _models(exchange, relay)
        return
    act = _ROUTES.get(exchange.path)
    if act is None:
        raise CallRefused(f"There is no {exchange.path} here.", status=404, code="unknown_url")
    if exchange.method != "POST":
        raise CallRefused(f"{exchange.path} takes POST.", status=405, code="method_not_allowed")
    with limits.admit(owner.key_id):
        await act(exchange, relay)


def _key(headers: Mapping[bytes, bytes]) -> bytes:
    """The API key, from either vendor's header. Without one, or with one that cannot be ours: CallRefused(401)."""
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    key = key.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"").strip()
    if not key.startswith(b"sk-") or len(key) > 128:
        raise wrong_key()
    return key


# --- Chat ------------------------------------------------------------------------------------------------------------
async def _chat(exchange: V1Request, relay: Engine) -> None:
    body = chat_completions.read_object(await exchange.read(JSON_BYTES, BODY_SECONDS))
    chat_completions.check_chat(body)
    call = _call(exchange, relay, CHAT, body, streamed=body.get("stream") is True)
    if call.bill.streamed:
        await _stream(exchange, call, include_usage=body.get("stream_options", {}).get("include_usage") is True)
        return
    completed = await call.complete()
    answer = completed.result.body
    answer["model"] = completed.model
    await exchange.answer(orjson.dumps(answer))


async def _stream(exchange: V1Request, call: Call, *, include_usage: bool) -> None:
    async def emit(chunk: Chunk, model: ModelSpec) -> None:
        if not exchange.begun:
            await exchange.begin_events()
        wanted = include_usage or not chunk.usage_only
        await exchange.event(b"data: %b\n\n" % named(chunk.data, model) if wanted else b"", more=chunk.more)

    with Watch(exchange, call):
        await call.stream(emit)
    if not exchange.begun:
        await exchange.begin_events()
    await exchange.end_events(b"data: [DONE]\n\n")


def named(data: bytes, model: ModelSpec) -> bytes:
    """A chunk that calls the model by the name users know. In JSON, a quotation mark inside a text is escaped, so what
    is replaced is a whole value."""
    if model.provider_model_id == model.name:
        return data
    return data.replace(b'"%b"' % model.provider_model_id.encode(), b'"%b"' % model.name.encode(), 1)


class Watch:
    """Tells a call when its client hangs up."""

    def __init__(self, exchange: V1Request, call: Call) -> None:
        self._exchange = exchange
        self._call = call

    def __enter__(self) -> None:
        self._task = asyncio.ensure_future(self._exchange.receive())
        self._task.add_done_callback(self._heard)

    def __exit__(self, *_error: object) -> None:
        self._task.remove_done_callback(self._heard)
        self._task.cancel()

    def _heard(self, task: "asyncio.Future[Message]") -> None:
        if not task.cancelled() and task.exception() is None and task.result()["type"] == "http.disconnect":
            self._call.hang_up()


# --- The others ------------------------------------------------------------------------------------------------------
async def _messages(exchange: V1Request, relay: Engine) -> None:
    given = chat_completions.read_object(await exchange.read(JSON_BYTES, BODY_SECONDS))
    body = messages.to_chat(given)
    chat_completions.check_chat(body)
    call = _call(exchange, relay, CHAT, body, streamed=given.get("stream") is True)
    if not call.bill.streamed:
        completed = await call.complete()
        await exchange.answer(orjson.dumps(messages.from_chat(completed)))
        return
    translator = messages.MessagesTranslator(call.request_id)

    async def emit(chunk: Chunk, model: ModelSpec) -> None:
        if not exchange.begun:
            await exchange.begin_events()
        await exchange.event(translator.feed(chunk, model), more=chunk.more)

    with Watch(exchange, call):
        completed = await call.stream(emit)
    if not exchange.begun:
        await exchange.begin_events()
    await exchange.end_events(translator.end(completed))


async def _count_tokens(exchange: V1Request, relay: Engine) -> None:
    """An estimate: nobody is asked, nothing is charged."""
    given = chat_completions.read_object(await exchange.read(JSON_BYTES, BODY_SECONDS))
    body = messages.to_chat({"max_tokens": 1, **given})
    chat_completions.check_chat(body)
    name = chat_completions.text(body, "model", longest=128)
    exchange.request_id = f"req_{secrets.token_hex(12)}"
    count = relay.calibration.tokens(name, CHAT.weigh(body))
    await exchange.answer(orjson.dumps({"input_tokens": count}))


async def _embeddings(exchange: V1Request, relay: Engine) -> None:
    body = await _unstreamed(exchange)
    chat_completions.check_input(body)
    await _whole(exchange, _call(exchange, relay, EMBED, body))


async def _images(exchange: V1Request, relay: Engine) -> None:
    body = await _unstreamed(exchange)
    chat_completions.text(body, "prompt", longest=32_000)
    chat_completions.count(body, "n", 10)
    await _whole(exchange, _call(exchange, relay, IMAGES, body))


async def _unstreamed(exchange: V1Request) -> dict[str, Any]:
    """The body of what is answered in one piece, whatever a client asks for."""
    body = chat_completions.read_object(await exchange.read(JSON_BYTES, BODY_SECONDS))
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


async def _whole(exchange: V1Request, call: Call) -> None:
    completed = await call.complete()
    answer = completed.result.body
    if "model" in answer:
        answer["model"] = completed.model
    await exchange.answer(orjson.dumps(answer))


async def _speech(exchange: V1Request, relay: Engine) -> None:
    body = chat_completions.read_object(await exchange.read(JSON_BYTES, BODY_SECONDS))
    chat_completions.text(body, "input", longest=settings.LLM_SPEECH_CHARACTERS)
    completed = await _call(exchange, relay, SPEAK, body).complete()
    await exchange.answer(completed.result.content, completed.result.content_type.encode("latin-1", "replace"))


async def _transcriptions(exchange: V1Request, relay: Engine) -> None:
    content = await exchange.read(AUDIO_BYTES, AUDIO_SECONDS)
    fields, recording = await forms.read(content, exchange.headers.get(b"content-type", b""))
    call = _call(exchange, relay, TRANSCRIBE, fields)
    call.question = Question(call.question.body, recording=recording)
    completed = await call.complete()
    await exchange.answer(completed.result.body, completed.result.content_type.encode("latin-1", "replace"))


def _call(
    exchange: V1Request, relay: Engine, operation: Operation, body: dict[str, Any], *, streamed: bool = False
) -> Call:
    asked_for = chat_completions.routing_request(body, operation.capability)
    question = Question(body, operation.weigh(body))
    call = Call(relay, exchange.caller, operation, question, asked_for, streamed=streamed)
    exchange.request_id = call.request_id
    return call


async def _models(exchange: V1Request, relay: Engine) -> None:
    """The models that can be asked for, in a shape that both vendors' clients read."""
    if exchange.method != "GET":
        raise CallRefused(f"{exchange.path} takes GET.", status=405, code="method_not_allowed")
    models = (await relay.catalogue()).models
    exchange.request_id = f"req_{secrets.token_hex(12)}"
    name = exchange.path.removeprefix("/v1/models").removeprefix("/")
    if name:
        if name not in models:
            text = f"The model {name!r} does not exist or is not available."
            raise CallRefused(text, status=404, code="model_not_found", param="model")
        await exchange.answer(orjson.dumps(_shown(models[name])))
        return
    data = [_shown(model) for model in models.values()]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    await exchange.answer(orjson.dumps({"object": "list", "data": data, "has_more": False, **ends}))


def _shown(model: ModelSpec) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": model.provider,
        "type": "model",
        "display_name": model.name,
        "created_at": "1970-01-01T00:00:00Z",
    }


_ROUTES: dict[str, Callable[[V1Request, Engine], Awaitable[None]]] = {
    "/v1/chat/completions": _chat,
    "/v1/messages": _messages,
    "/v1/messages/count_tokens": _count_tokens,
    "/v1/embeddings": _embeddings,
    "/v1/images/generations": _images,
    "/v1/audio/transcriptions": _transcriptions,
    "/v1/audio/speech": _speech,
}
