"""The contract of a moderator: a text in, a verdict out, or an error. It knows its protocol and nothing of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from voicehelper.net.http import HTTPAnswer, NoAnswer
from voicehelper.net.http_async import AsyncHTTP

# Who waits for an answer of a model does not wait longer than this for whether it may be asked.
PATIENCE_S = 3.0
QUESTION, ANSWER = "question", "answer"


class ModeratorAway(Exception):
    """It did not answer, or not with a verdict: nobody knows."""


@dataclass(frozen=True)
class Found:
    """What a moderator says of a text. `label` is its own word for what it found; empty: nothing."""

    label: str = ""

    def __bool__(self) -> bool:
        return bool(self.label)


@dataclass(frozen=True)
class Moderator:
    """An account at a moderator. `most` is how many characters it takes at a time."""

    key_id: str
    key_secret: str
    base_url: str
    http: AsyncHTTP
    service: str = ""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    most = 2000

    async def judge(self, text: str, direction: str) -> Found:
        """Of a text of at most `most` characters, a QUESTION or an ANSWER. Raises ModeratorAway."""
        raise NotImplementedError

    async def _post(self, body: bytes, headers: dict[str, str]) -> HTTPAnswer:
        url = f"{self.base_url.rstrip('/')}/"
        try:
            return await self.http.send(
                "POST", url, body=body, headers=headers, first_s=PATIENCE_S, idle_s=PATIENCE_S, max_bytes=65_536
            )
        except NoAnswer as error:
            raise ModeratorAway(str(error)) from error
