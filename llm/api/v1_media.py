"""The doors where programs have something made of something else: vectors, pictures, texts of recordings, sound."""

import asyncio
from base64 import b64encode
from typing import Any

import orjson
from django.conf import settings

from ..dialects import chat_completions
from ..labels.answers import labelled_pictures, labelled_speech
from ..providers.base import CHAT, Chunk
from ..providers.contents import MOST_IN_SEQUENCE
from ..relay.call import Call
from ..relay.catalogue import ModelSpec
from ..relay.engine import Engine
from ..relay.errors import CallRefused
from ..relay.operations import (
    EDIT,
    EMBED,
    EMBED_PARTS,
    IMAGES,
    MODERATE,
    RERANK,
    SPEAK,
    TRANSCRIBE,
    TRANSLATE,
    VARY,
    Operation,
)
from ..relay.questions import Question
from . import forms
from .v1_request import V1Request
from .v1_talk import Watch, passed_on

FORM_BYTES = 32 * 1024 * 1024
FORM_SECONDS = 120.0
_MOST_PICTURES = 10


# --- JSON in, JSON out -----------------------------------------------------------------------------------------------
async def embeddings(exchange: V1Request, relay: Engine) -> None:
    body = await _unstreamed(exchange)
    chat_completions.check_input(body)
    await _whole(exchange, _call(exchange, relay, EMBED, body))


async def embeddings_of_parts(exchange: V1Request, relay: Engine) -> None:
    """Ark's: one vector of texts, pictures and videos together."""
    body = await _unstreamed(exchange)
    parts = body.get("input")
    if type(parts) is not list or not parts or not all(type(part) is dict for part in parts):
        raise CallRefused("input must be a list of parts: text, image_url, video_url.", param="input")
    await _whole(exchange, _call(exchange, relay, EMBED_PARTS, body))


async def moderations(exchange: V1Request, relay: Engine) -> None:
    body = await _unstreamed(exchange)
    if not body.get("input"):
        raise CallRefused("input must be a text, texts, or a list of parts.", param="input")
    await _whole(exchange, _call(exchange, relay, MODERATE, body))


async def rerank(exchange: V1Request, relay: Engine) -> None:
    body = await _unstreamed(exchange)
    chat_completions.text(body, "query", longest=1_000_000)
    documents = body.get("documents")
    if type(documents) is not list or not documents:
        raise CallRefused("documents must be a list of texts.", param="documents")
    await _whole(exchange, _call(exchange, relay, RERANK, body))


async def images(exchange: V1Request, relay: Engine) -> None:
    body = await _unstreamed(exchange)
    chat_completions.text(body, "prompt", longest=32_000)
    for name in ("n", "batch_size"):
        chat_completions.count(body, name, _MOST_PICTURES)
    sequence = body.get("sequential_image_generation_options")
    if type(sequence) is dict and sequence.get("max_images") is not None:
        name = "sequential_image_generation_options"
        chat_completions.count({name: sequence["max_images"]}, name, MOST_IN_SEQUENCE)
    await _drawn(exchange, relay, _call(exchange, relay, IMAGES, body))


async def speech(exchange: V1Request, relay: Engine) -> None:
    body = chat_completions.said(await exchange.read_object())
    chat_completions.text(body, "input", longest=settings.LLM_SPEECH_CHARACTERS)
    as_events = body.pop("stream_format", "audio")
    if as_events not in ("audio", "sse"):
        raise CallRefused("stream_format must be audio or sse.", param="stream_format")
    completed = await _call(exchange, relay, SPEAK, body).complete()
    content = labelled_speech(completed, (await relay.catalogue()).safety)
    if as_events == "sse":
        # Its label is in its head: it comes in one piece.
        spoken = orjson.dumps({"type": "speech.audio.delta", "audio": b64encode(content).decode()})
        await exchange.end_events(b'data: %b\n\ndata: {"type":"speech.audio.done"}\n\n' % spoken)
        return
    await exchange.answer(content, completed.result.content_type.encode("latin-1", "replace"))


async def _unstreamed(exchange: V1Request) -> dict[str, Any]:
    """The body of what is answered in one piece, whatever a client asks for."""
    body = chat_completions.said(await exchange.read_object())
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


async def _whole(exchange: V1Request, call: Call) -> None:
    await exchange.answer(passed_on(await call.complete()))


async def _drawn(exchange: V1Request, relay: Engine, call: Call) -> None:
    """Pictures in an answer are megabytes: they are labelled beside the event loop."""
    completed, policy = await call.complete(), (await relay.catalogue()).safety
    await exchange.answer(passed_on(await asyncio.to_thread(labelled_pictures, completed, policy)))


# --- Forms -----------------------------------------------------------------------------------------------------------
async def edits(exchange: V1Request, relay: Engine) -> None:
    await _pictures(exchange, relay, EDIT)


async def variations(exchange: V1Request, relay: Engine) -> None:
    await _pictures(exchange, relay, VARY)


async def _pictures(exchange: V1Request, relay: Engine, operation: Operation) -> None:
    fields, files = await forms.read_pictures(await _form(exchange), exchange.headers.get(b"content-type", b""))
    wanted = fields.get("n", "1")
    if type(wanted) is not str or not wanted.isdecimal() or not 1 <= int(wanted) <= _MOST_PICTURES:
        raise CallRefused(f"n must be a whole number between 1 and {_MOST_PICTURES}.", param="n")
    if forms.is_true(fields.pop("stream", "")):
        raise CallRefused("Pictures are not streamed here.", param="stream", code="unsupported")
    call = _call(exchange, relay, operation, fields)
    call.question = Question(call.question.body, files=files)
    await _drawn(exchange, relay, call)


async def transcriptions(exchange: V1Request, relay: Engine) -> None:
    await _heard(exchange, relay, TRANSCRIBE)


async def translations(exchange: V1Request, relay: Engine) -> None:
    await _heard(exchange, relay, TRANSLATE)


async def _heard(exchange: V1Request, relay: Engine, operation: Operation) -> None:
    fields, recording = await forms.read(await _form(exchange), exchange.headers.get(b"content-type", b""))
    streamed = forms.is_true(fields.get("stream")) and operation is TRANSCRIBE
    if streamed:
        fields["stream"] = "true"
    call = _call(exchange, relay, operation, fields, streamed=streamed)
    call.question = Question(call.question.body, recording.weight, recording=recording)
    if streamed:
        with Watch(exchange, call):
            last = _Held(exchange)
            await call.stream(last.emit)
        await exchange.end_events(last.block)
        return
    completed = await call.complete()
    await exchange.answer(completed.result.body, completed.result.content_type.encode("latin-1", "replace"))


class _Held:
    """Passes events on one behind, so that the last one leaves when the call is settled."""

    def __init__(self, exchange: V1Request) -> None:
        self.block = b""
        self._exchange = exchange

    async def emit(self, chunk: Chunk, _model: ModelSpec) -> None:
        before, self.block = self.block, chunk.block or b"data: %b\n\n" % chunk.data
        if before:
            await self._exchange.event(before)


async def _form(exchange: V1Request) -> bytes:
    return await exchange.read(FORM_BYTES, FORM_SECONDS)


def _call(
    exchange: V1Request, relay: Engine, operation: Operation, body: dict[str, Any], *, streamed: bool = False
) -> Call:
    asked_for = chat_completions.routing_request(body, operation.capability)
    question = Question(chat_completions.unrouted(body), operation.weigh(body), dialect=CHAT)
    call = Call(relay, exchange.caller, operation, question, asked_for, streamed=streamed)
    exchange.request_id = call.request_id
    return call
