"""Answers as they are written. On the event loop of the process that asked.

Whoever reads may come and go: an answer is written to its end, or until somebody wants it stopped, and stored every
second, so that it can be read on in another process, and what came of it is there when this one dies.
"""

import asyncio
import logging
from bisect import bisect_right
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from django.db import DatabaseError

from voicehelper.accounts.models import User

from .. import services
from ..providers.base import Chunk
from ..relay.billing import storable
from ..relay.engine import engine
from ..relay.errors import LedgerAway
from ..relay.threads import in_thread
from .conversations import (
    Answer,
    Turn,
    answer_of,
    bury,
    message_of,
    orphans,
    under_way,
    write_answer,
)
from .failures import end_unanswered
from .stored_answers import StoredAnswer, broken_off

log = logging.getLogger(__name__)

SAVE_EVERY_S = 1.0
# An answer without news is said to be alive so often: a third of what models/conversations.py waits for it.
_ALIVE_EVERY_S = 5.0
# The end of an answer is stored when the database was away for a moment, too.
_STORE_PAUSES_S = (0.5, 2.0, 5.0)
# No answer is longer; what `storable` wants to know.
_MOST_CHARACTERS = 10_000_000


class Writing:
    """An answer that this process writes. `over` once it is stored, with its price if that is known."""

    def __init__(self, turn: Turn, writings: "Writings") -> None:
        self.turn = turn
        self.model = ""
        # Who was asked before and did not answer.
        self.failed: tuple[str, ...] = ()
        self.over = False
        self.broken_off = False
        self._writings = writings
        self._pieces: list[str] = []
        # Where each piece ends, in characters.
        self._ends: list[int] = []
        self._news = asyncio.Event()
        self._answer: Answer | None = None
        self._error: Exception | None = None

    @property
    def session_id(self) -> str:
        return self.turn.session.public_id

    @property
    def message_id(self) -> str:
        return self.turn.answer_id

    @property
    def length(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    async def begun(self, within_s: float) -> None:
        """Until its first words are there, but no longer than that. Raises what `services.stream` raises."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not (self.model or self.over):
                    await self._news.wait()
        if self._error is not None and not self.model:
            raise self._error

    async def read(self, at: int, within_s: float) -> str:
        """What follows the first `at` characters; empty: nothing came for so long, or it is over."""
        if self.length <= at and not self.over:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._news.wait()
        first = bisect_right(self._ends, at)
        begins = self._ends[first - 1] if first else 0
        return "".join(self._pieces[first:])[at - begins :] if self.length > at else ""

    async def end(self) -> Answer:
        """The whole answer, stored. Raises what went wrong."""
        while not self.over:
            await self._news.wait()
        if self._error is not None:
            raise self._error
        if self._answer is None:
            raise LedgerAway(f"{self.turn.request_id} is not settled yet")
        return self._answer

    async def write(self) -> None:
        """Ask, listen to the end, store. What goes wrong is the readers'."""
        turn, complete = self.turn, False
        choice = turn.choice
        whom: dict[str, Any] = {"models": choice.models, "priority": choice.priority, "times": choice.times}
        whom |= {"conversation": f"chat:{turn.session.pk}", "request_id": turn.request_id}
        try:
            stream = await services.stream(turn.user, turn.body, **whom)
            self.model, self.failed = stream.model, stream.call.failed_models
            self._tell()
            async for chunk in stream:
                self._add(_said(chunk))
            if stream.completed is not None:
                self.model = stream.completed.model
            complete = not stream.call.stopped
        except Exception as error:  # noqa: BLE001  # whoever reads is told
            self._error = error
        try:
            await self._store(complete=complete)
        except Exception as error:  # noqa: BLE001
            log.warning("%s could not be stored: %r", turn.answer_id, error)
            self._error = self._error or error
        self.over = True
        self._tell()

    def _add(self, piece: str) -> None:
        piece = storable(piece, _MOST_CHARACTERS) if piece else ""
        if piece:
            self._pieces.append(piece)
            self._ends.append(self.length + len(piece))
            self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _store(self, *, complete: bool) -> None:
        if self._error is not None and not self.model:
            if not isinstance(self._error, LedgerAway):
                # Nothing was charged. Else: a repeat with the same key must not pass for a new question.
                self._error = await in_thread(end_unanswered, self.turn, self._error)
            return
        await self._writings.done_with(self)
        for pause_s in (*_STORE_PAUSES_S, None):
            try:
                self._answer = await in_thread(self._stored, complete)
                break
            except DatabaseError:
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
        if self.broken_off and self._error is None and self._answer and self._answer.state == "broken":
            self._error = broken_off()

    def _stored(self, complete: bool) -> Answer | None:
        write_answer(self.turn, self.text, self.model, complete=complete)
        message = message_of(self.turn.user, self.turn.answer_id)
        return answer_of(self.turn.user, message) if message.quota is not None else None


class Writings:
    """The answers that this event loop writes, and what stores them as they grow."""

    def __init__(self) -> None:
        self._open: dict[str, Writing] = {}
        # How much of each is stored, and since when.
        self._saved: dict[str, tuple[int, float]] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()

    def begin(self, turn: Turn) -> Writing:
        """Have a question answered, whatever becomes of who asked."""
        writing = self._open[turn.answer_id] = Writing(turn, self)
        self._saved[turn.answer_id] = (0, asyncio.get_running_loop().time())
        self._idle.clear()
        engine().in_background(self._write(writing))
        if self._keeping is None:
            self._keeping = engine().in_background(self._keep())
        return writing

    def find(self, answer_id: str) -> Writing | None:
        return self._open.get(answer_id)

    def break_off(self) -> None:
        """The process ends: charge and keep what came so far."""
        for writing in self._open.values():
            writing.broken_off = True
            engine().stop(writing.turn.request_id)

    async def done_with(self, writing: Writing) -> None:
        """From now on nobody but its own writer stores it."""
        self._saved.pop(writing.message_id, None)
        if self._saving is not None:
            await asyncio.wait({self._saving})

    async def _write(self, writing: Writing) -> None:
        try:
            await writing.write()
        finally:
            self._saved.pop(writing.message_id, None)
            del self._open[writing.message_id]
            if not self._open:
                self._idle.set()

    async def _keep(self) -> None:
        """Store what has grown, until nothing is written any more."""
        try:
            while self._open:
                with suppress(TimeoutError):
                    async with asyncio.timeout(SAVE_EVERY_S):
                        await self._idle.wait()
                self._saving = asyncio.ensure_future(self._save())
                await asyncio.wait({self._saving})
                self._saving = None
        finally:
            self._keeping = None

    async def _save(self) -> None:
        now = asyncio.get_running_loop().time()
        written: dict[str, tuple[str, str]] = {}
        silent = []
        for answer_id, (length, since) in self._saved.items():
            writing = self._open[answer_id]
            if writing.length > length:
                written[answer_id] = writing.text, writing.model
            elif now - since > _ALIVE_EVERY_S:
                silent.append(answer_id)
            else:
                continue
            self._saved[answer_id] = writing.length, now
        if not (written or silent):
            return
        try:
            unwanted = await in_thread(under_way, written, silent)
        except DatabaseError as error:
            # The text is here yet, and stored with the next of it.
            log.warning("Answers under way are stored again in a while: %s", error)
            return
        for answer_id in unwanted & self._open.keys():
            # The notice did not get here.
            engine().stop(self._open[answer_id].turn.request_id)


async def settle_orphans() -> int:
    """Of answers whose processes died: charge what came, and say that they broke off. Returns how many there were."""
    found = await in_thread(orphans)
    for answer, body in found:
        user, model = answer.session.user, answer.model_name
        try:
            quota = await services.settle_for_dead(
                user, body, answer.content, request_id=answer.request_id, model=model
            )
        except LedgerAway as error:
            log.warning("%s is settled with the next round: %s", answer.public_id, error)
            continue
        await in_thread(bury, answer, quota)
    return len(found)


def _said(chunk: Chunk) -> str:
    choices = orjson.loads(chunk.data).get("choices")
    content = choices[0].get("delta", {}).get("content") if choices else None
    return content if isinstance(content, str) else ""


_all: "WeakKeyDictionary[asyncio.AbstractEventLoop, Writings]" = WeakKeyDictionary()


def writings() -> Writings:
    """Those of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _all.get(loop)
    if found is None:
        found = _all[loop] = Writings()
    return found


async def reading(user: User, message_id: str) -> Writing | StoredAnswer:
    """An answer to read from, wherever it is written. Raises NotFound."""
    message = await in_thread(message_of, user, message_id)
    return writings().find(message_id) or StoredAnswer(user, message)
