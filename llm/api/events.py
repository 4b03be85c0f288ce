"""An answer as server-sent events: start, delta …, then done or error; comments while the model is silent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from django.utils import translation

from voicehelper.api.errors import answer_to

from ..chat.answers import Telling
from ..chat.conversations import Answer
from ..providers.base import StreamBroke
from . import shapes

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # Or nginx would collect it first.
    "X-Accel-Buffering": "no",
}
# Proxies give up connections that are silent for a minute.
HEARTBEAT_S = 15.0


class AnswerEvents:
    """Django iterates over it, and closes it however that went."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._language = translation.get_language()

    def close(self) -> None:
        self._telling.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        turn, telling = self._telling.turn, self._telling
        yield _start(turn.session.public_id, turn.answer_id, telling.model)
        try:
            async for piece in _with_heartbeat(aiter(telling)):
                yield b": waiting\n\n" if piece is None else _delta(piece)
            yield _done(await telling.finish(complete=True))
        except Exception as error:  # noqa: BLE001  # the edge: every error has an answer
            if isinstance(error, StreamBroke):
                await telling.finish(complete=False)
            with translation.override(self._language):
                answer = answer_to(error)
            yield _event("error", {"message": answer.text, "code": answer.code})


async def again(answer: Answer) -> AsyncIterator[bytes]:
    """The events of an answer that was given before."""
    yield _start(answer.session_id, answer.message_id, answer.model)
    yield _delta(answer.content)
    yield _done(answer)


async def _with_heartbeat(pieces: AsyncIterator[str]) -> AsyncIterator[str | None]:
    """The pieces, and None whenever there was none for a while."""
    coming: asyncio.Future[str] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(pieces))
            await asyncio.wait({coming}, timeout=HEARTBEAT_S)
            if not coming.done():
                yield None
                continue
            try:
                piece = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield piece
    finally:
        if coming is not None:
            coming.cancel()


def _start(session_id: str, message_id: str, model: str) -> bytes:
    return _event("start", {"sessionId": session_id, "messageId": message_id, "model": model})


def _delta(content: str) -> bytes:
    return _event("delta", {"content": content})


def _done(answer: Answer) -> bytes:
    more = {"balance": answer.balance, "usageSource": answer.usage_source, "latencyMs": answer.latency_ms}
    return _event("done", shapes.answer_json(answer) | more)


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
