"""Asks the word list and the moderator, and says no. One guard for each process's engine, one watch for each answer.

A question is checked before anything is held. A streamed answer is checked in windows: each piece by the words before
it passes, and the moderator's windows overlap a little, so that nothing hides between two of them.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from voicehelper.net.http_async import AsyncHTTP

from ..providers.base import Recovery, StreamBroke
from ..relay.catalogue import SafetyPolicy
from ..relay.errors import CallRefused
from ..relay.threads import in_thread
from . import aliyun, tencent, texts
from .base import ANSWER, QUESTION, Found, Moderator, ModeratorAway
from .verdicts import note
from .words import WordList, normalised, word_list

log = logging.getLogger(__name__)

CONTENT_FILTER = "content_filter"
# How many characters of an answer the moderator is shown at once, and again with the next ones.
WINDOW, OVERLAP = 600, 60
# Longer texts take long enough to be read elsewhere.
_QUICK = 20_000
# So much of a question it is shown at the most, in so many pieces.
_MOST_PIECES = 8
# A moderator that does not answer is left alone for so long.
_PAUSE_S = 5.0
WORDS = "words"


class ContentRefused(CallRefused):
    """The question must not be put to a model. Nothing was held or charged."""

    def __init__(self) -> None:
        super().__init__("The question was refused by the content filter.", code=CONTENT_FILTER, param="messages")


class CannotBeChecked(CallRefused):
    """Nobody could check the question, and what is not checked is not asked."""

    def __init__(self) -> None:
        text = "The content filter does not answer at the moment."
        super().__init__(text, status=503, code="content_filter_away", retry_after_s=5)


class ContentCut(StreamBroke):
    """The answer must not go on, or be given at all. What was produced of it is charged."""

    def __init__(self) -> None:
        super().__init__("The answer was cut by the content filter.", recovery=Recovery.FAIL, code=CONTENT_FILTER)


class Guard:
    """What one process keeps of it: connections, and when the moderator was last away."""

    def __init__(self) -> None:
        self._http: dict[bool, AsyncHTTP] = {}
        self._paused_until = 0.0

    async def close(self) -> None:
        for http in self._http.values():
            await http.close()

    async def watch(
        self, policy: SafetyPolicy, user_id: int, request_id: str, body: Mapping[str, Any]
    ) -> "AnswerWatch | None":
        """Check a question, and say who looks at its answer. Raises ContentRefused, CannotBeChecked."""
        if policy.questions:
            await self._admit(policy, user_id, request_id, body)
        return AnswerWatch(self, policy, user_id, request_id) if policy.answers else None

    async def _admit(self, policy: SafetyPolicy, user_id: int, request_id: str, body: Mapping[str, Any]) -> None:
        whole = "\n".join(texts.said(body))
        words = word_list(policy.words)
        # A long one is read beside the event loop.
        find = partial(_first_word, words, whole)
        if words and (word := find() if len(whole) < _QUICK else await asyncio.to_thread(find)):
            await _noted(user_id, request_id, QUESTION, WORDS, word, "refused")
            raise ContentRefused
        if not policy.moderator:
            return
        text = "\n".join(texts.newest(body))
        found, away = await self.judge(policy, text, QUESTION)
        if found:
            await _noted(user_id, request_id, QUESTION, policy.moderator, found.label, "refused")
            raise ContentRefused
        if away:
            await _noted(user_id, request_id, QUESTION, policy.moderator, away, _unchecked(policy))
            if not policy.fail_open:
                raise CannotBeChecked

    async def judge(self, policy: SafetyPolicy, text: str, direction: str) -> tuple[Found, str]:
        """What the moderator says of a text, and why it said nothing."""
        moderator = self._moderator(policy)
        if moderator is None or not text.strip():
            return Found(), ""
        if time.monotonic() < self._paused_until:
            return Found(), "It did not answer a moment ago."
        pieces = [text[at : at + moderator.most] for at in range(0, len(text), moderator.most)][-_MOST_PIECES:]
        try:
            verdicts = await asyncio.gather(*(moderator.judge(piece, direction) for piece in pieces))
        except ModeratorAway as error:
            log.warning("The content moderator is away: %s", error)
            self._paused_until = time.monotonic() + _PAUSE_S
            return Found(), str(error)
        return next(filter(None, verdicts), Found()), ""

    def _moderator(self, policy: SafetyPolicy) -> Moderator | None:
        kind: type[Moderator]
        if policy.moderator == "aliyun":
            kind, ours, theirs = aliyun.AliyunModerator, settings.ALIYUN_GREEN_URL, aliyun.BASE_URL
        elif policy.moderator == "tencent":
            kind, ours, theirs = tencent.TencentModerator, settings.TENCENT_TMS_URL, tencent.BASE_URL
        else:
            return None
        # What the deployer names is trusted, loopback included.
        trusted = bool(ours)
        http = self._http.setdefault(trusted, AsyncHTTP(trusted=trusted))
        return kind(policy.key_id, policy.key_secret, ours or theirs, http, policy.service)


class AnswerWatch:
    """Looks on while an answer passes."""

    def __init__(self, guard: Guard, policy: SafetyPolicy, user_id: int, request_id: str) -> None:
        self._guard = guard
        self._policy = policy
        self._whose = user_id, request_id
        self._words = word_list(policy.words)
        # The end of what passed, in which a word may have begun; and what the moderator has not seen.
        self._tail = ""
        self._unseen = ""
        self._looked = self._told_away = False

    async def read(self, text: str) -> None:
        """A piece that is about to pass. Raises ContentCut."""
        if not text:
            return
        if self._words:
            plain = self._tail + normalised(text)
            if word := self._words.first(plain):
                await self._cut(WORDS, word)
            self._tail = plain[-(self._words.longest - 1) :] if self._words.longest > 1 else ""
        if self._policy.moderator:
            self._unseen += text
            if len(self._unseen) >= WINDOW:
                await self._look()

    async def whole(self, text: str) -> ContentCut | None:
        """Why a whole answer must not be given."""
        try:
            await self.read(text)
            await self.end()
        except ContentCut as cut:
            return cut
        return None

    async def end(self) -> None:
        """The answer is complete. Raises ContentCut."""
        if self._unseen and (not self._looked or len(self._unseen) > OVERLAP):
            await self._look()

    async def _look(self) -> None:
        seen, self._unseen, self._looked = self._unseen, self._unseen[-OVERLAP:], True
        found, away = await self._guard.judge(self._policy, seen, ANSWER)
        if found:
            await self._cut(self._policy.moderator, found.label)
        if away:
            if not self._told_away or not self._policy.fail_open:
                self._told_away = True
                await _noted(*self._whose, ANSWER, self._policy.moderator, away, _unchecked(self._policy))
            if not self._policy.fail_open:
                raise ContentCut

    async def _cut(self, source: str, rule: str) -> None:
        await _noted(*self._whose, ANSWER, source, rule, "cut")
        raise ContentCut


def _first_word(words: WordList, text: str) -> str:
    return words.first(normalised(text))


def _unchecked(policy: SafetyPolicy) -> str:
    return "passed" if policy.fail_open else "closed"


async def _noted(user_id: int, request_id: str, direction: str, source: str, rule: str, outcome: str) -> None:
    try:
        await in_thread(
            lambda: note(user_id, request_id, direction=direction, source=source, rule=rule, outcome=outcome)
        )
    except DatabaseError as error:
        # It is refused all the same.
        log.warning("A verdict of the content filter could not be stored: %s", error)
