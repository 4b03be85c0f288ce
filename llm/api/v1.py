"""`/v1`: OpenAI's API (and Anthropic's /v1/messages) as a small ASGI application in front of Django.

No ORM and no Django on this path: see docs/decisions.md for what that saves. An API key is the only way in.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from django.conf import settings

from voicehelper.api.errors import answer_to

from ..dialects import chat_completions, messages
from ..providers.base import Chunk
from ..relay.billing import rates_of
from ..relay.call import Call, new_request_id
from ..relay.catalogue import Catalogue, ModelSpec
from ..relay.engine import Engine, engine
from ..relay.errors import CallRefused
from ..relay.operations import CHAT, EMBED, IMAGES, SPEAK, TRANSCRIBE, Operation, Question
from . import forms, limits
from .errors import anthropic, openai, wrong_key
from .rates import rate_json
from .v1_request import ClientLeft, Message, Receive, Send, V1Request

AUDIO_BYTES = 32 * 1024 * 1024
AUDIO_SECONDS = 120.0


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
    limits.check(owner, exchange.address)
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
    body = await exchange.read_object()
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
        wanted = include_usage or not chunk.usage_only
        await exchange.event(b"data: %b\n\n" % named(chunk.data, model) if wanted else b"", more=chunk.more)

    with Watch(exchange, call):
        await call.stream(emit)
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
    given = await exchange.read_object()
    body = messages.to_chat(given)
    chat_completions.check_chat(body)
    call = _call(exchange, relay, CHAT, body, streamed=given.get("stream") is True)
    if not call.bill.streamed:
        completed = await call.complete()
        await exchange.answer(orjson.dumps(messages.from_chat(completed)))
        return
    translator = messages.MessagesTranslator(call.request_id)

    async def emit(chunk: Chunk, model: ModelSpec) -> None:
        await exchange.event(translator.feed(chunk, model), more=chunk.more)

    with Watch(exchange, call):
        completed = await call.stream(emit)
    await exchange.end_events(translator.end(completed))


async def _count_tokens(exchange: V1Request, relay: Engine) -> None:
    """An estimate: nobody is asked, nothing is charged."""
    given = await exchange.read_object()
    body = messages.to_chat({"max_tokens": 1, **given})
    chat_completions.check_chat(body)
    name = chat_completions.text(body, "model", longest=128)
    exchange.request_id = new_request_id()
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
    body = await exchange.read_object()
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


async def _whole(exchange: V1Request, call: Call) -> None:
    completed = await call.complete()
    answer = completed.result.body
    if "model" in answer:
        answer["model"] = completed.model
    await exchange.answer(orjson.dumps(answer))


async def _speech(exchange: V1Request, relay: Engine) -> None:
    body = await exchange.read_object()
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
    catalogue = await relay.catalogue()
    models = catalogue.offered(exchange.owner.models)
    exchange.request_id = new_request_id()
    name = exchange.path.removeprefix("/v1/models").removeprefix("/")
    if name:
        if name not in models:
            text = f"The model {name!r} does not exist or is not available."
            raise CallRefused(text, status=404, code="model_not_found", param="model")
        await exchange.answer(orjson.dumps(_shown(name, models[name], catalogue, exchange.owner.group)))
        return
    data = [_shown(name, model, catalogue, exchange.owner.group) for name, model in models.items()]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    await exchange.answer(orjson.dumps({"object": "list", "data": data, "has_more": False, **ends}))


def _shown(name: str, model: ModelSpec, catalogue: Catalogue, group: str) -> dict[str, Any]:
    """A model under the name it is asked for by, and what it costs its caller."""
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": model.provider,
        "type": "model",
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",
        "prices": [rate_json(rate) for rate in rates_of(model, catalogue.pricing, group)],
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
