"""Answers of models to the questions of a conversation: whole, or told as they are written. On the event loop.

Nothing that was charged is lost: who asks for a whole answer and leaves finds it in the session later, and of a telling
that is broken off, what was written so far is kept with what it cost.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import orjson
from django.db import DatabaseError

from .. import services
from ..providers.base import Chunk
from ..relay.billing import storable
from ..relay.engine import engine
from ..relay.errors import CallFailed, LedgerAway
from ..relay.threads import in_thread
from .conversations import Answer, Turn, add_answer, answer_of, message_of, take_back, write_answer

# No answer is longer; what `storable` wants to know.
_MOST_CHARACTERS = 10_000_000


async def answer(turn: Turn) -> Answer:
    """The whole answer, stored. When this is cancelled it goes on in the background.

    Raises what `services.chat` raises; when nothing was charged, the question is taken back.
    """
    writing = asyncio.ensure_future(_answer(turn))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        engine().in_background(_finish(writing))
        raise


async def _answer(turn: Turn) -> Answer:
    try:
        completed = await services.chat(turn.user, turn.body, **_whom(turn))
    except Exception as error:
        await _take_back(turn, error)
        raise
    choices = completed.result.body.get("choices") or [{}]
    content = (choices[0].get("message") or {}).get("content")

    text = storable(content, _MOST_CHARACTERS) if isinstance(content, str) else ""

    def store() -> Answer:
        add_answer(turn, completed.request_id, completed.model, text, complete=True)
        return _stored(turn)

    return await in_thread(store)


def _whom(turn: Turn) -> dict[str, Any]:
    return {"models": turn.models, "priority": turn.priority, "conversation": f"chat:{turn.session.pk}"}


async def _finish(writing: "asyncio.Future[Answer]") -> None:
    with suppress(CallFailed):
        await writing


async def tell(turn: Turn) -> "Telling":
    """An answer whose first words are there. Raises what `services.stream` raises; when nothing was charged, the
    question is taken back. Cancelling it hangs up; the question stays, without an answer."""
    try:
        stream = await services.stream(turn.user, turn.body, **_whom(turn))
    except Exception as error:
        await _take_back(turn, error)
        raise
    telling = Telling(turn, stream)
    try:
        await in_thread(add_answer, turn, stream.request_id, stream.model)
    except BaseException:
        telling.close()
        raise
    return telling


class Telling:
    """An answer as it is written: iterate over its pieces once, then `finish` it; `close` says that nobody reads."""

    def __init__(self, turn: Turn, stream: services.AnswerStream) -> None:
        self.turn = turn
        self.model = stream.model
        self._stream = stream
        self._pieces: list[str] = []
        self._complete = False
        self._over = False

    async def __aiter__(self) -> AsyncIterator[str]:
        """What the model says, without what it only thinks. Raises StreamBroke, LedgerAway."""
        async for chunk in self._stream:
            piece = _said(chunk)
            if piece:
                self._pieces.append(piece)
                yield piece

    async def finish(self, *, complete: bool) -> Answer:
        """Store what was written and what it cost. Not complete: it broke off."""
        self._complete = complete

        def store() -> Answer:
            write_answer(self.turn, self._text, complete=complete)
            return _stored(self.turn)

        stored = await in_thread(store)
        self._over = True
        return stored

    def close(self) -> None:
        """Unless it is finished: keep what was written so far, and what it costs as soon as that is settled."""
        if not self._over:
            self._over = True
            self._stream.hang_up()
            engine().in_background(self._keep())

    @property
    def _text(self) -> str:
        return storable("".join(self._pieces), _MOST_CHARACTERS)

    async def _keep(self) -> None:
        await in_thread(write_answer, self.turn, self._text, complete=self._complete)
        await self._stream.settled()
        await in_thread(write_answer, self.turn, self._text, complete=self._complete)


def _stored(turn: Turn) -> Answer:
    return answer_of(turn.user, message_of(turn.user, turn.answer_id))


async def _take_back(turn: Turn, error: Exception) -> None:
    if isinstance(error, LedgerAway):
        # It will be charged yet: a repeat with the same key must not pass for a new question.
        return
    # What went wrong is told in any case.
    with suppress(DatabaseError):
        await in_thread(take_back, turn)


def _said(chunk: Chunk) -> str:
    choices = orjson.loads(chunk.data).get("choices")
    content = choices[0].get("delta", {}).get("content") if choices else None
    return content if isinstance(content, str) else ""
