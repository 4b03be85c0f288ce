"""Answers that another process writes, or that are over, told as they are stored."""

import asyncio

from voicehelper.accounts.models import User

from ..models import ChatMessage
from ..providers.base import Recovery, StreamBroke
from ..relay.errors import LedgerAway
from ..relay.threads import in_thread
from .conversations import Answer, answer_of, message_of
from .failures import AnswerFailed

# How often a reader looks, and how long it waits for the price when all is written.
POLL_S = 1.0
_SETTLED_WITHIN_S = 15.0


def broken_off() -> StreamBroke:
    return StreamBroke("The answer was broken off.", recovery=Recovery.FAIL)


class StoredAnswer:
    """One of them: what writings.Writing is to its readers."""

    def __init__(self, user: User, message: ChatMessage) -> None:
        self._user = user
        self._message = message
        self.failed: tuple[str, ...] = ()
        # As of the last look.
        self._state = "writing"

    @property
    def session_id(self) -> str:
        return self._message.session.public_id

    @property
    def message_id(self) -> str:
        return self._message.public_id

    @property
    def model(self) -> str:
        return self._message.model_name

    @property
    def over(self) -> bool:
        return self._state != "writing"

    async def read(self, at: int, within_s: float) -> str:
        """As Writing's. Raises NotFound when it was taken back, or its session deleted."""
        until = asyncio.get_running_loop().time() + within_s
        while True:
            await self._look()
            if self.over or len(self._message.content) > at or asyncio.get_running_loop().time() >= until:
                return self._message.content[at:]
            await asyncio.sleep(min(POLL_S, within_s))

    async def end(self) -> Answer:
        """As Writing's, but for what went wrong: then only that it broke off is known."""
        until = asyncio.get_running_loop().time() + _SETTLED_WITHIN_S
        while self._state != "broken" and self._message.quota is None:
            if asyncio.get_running_loop().time() >= until:
                raise LedgerAway(f"{self._message.request_id} is not settled yet")
            await asyncio.sleep(POLL_S)
            await self._look()
        if self._state == "broken":
            raise broken_off()
        if self._state == "failed":
            raise AnswerFailed(broken_off(), self.session_id, self.message_id)
        return await in_thread(answer_of, self._user, self._message)

    async def _look(self) -> None:
        def look() -> tuple[ChatMessage, str]:
            message = message_of(self._user, self.message_id)
            return message, message.state

        self._message, self._state = await in_thread(look)
