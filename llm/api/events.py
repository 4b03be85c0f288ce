"""An answer as server-sent events: start, delta …, then done, stopped or error; comments while nothing is said."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from django.utils import translation

from voicehelper.api.errors import answer_to

from ..chat.conversations import Answer
from ..chat.stored_answers import StoredAnswer
from ..chat.writings import Writing
from . import shapes

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # Or nginx would collect it first.
    "X-Accel-Buffering": "no",
}
# Proxies give up connections that are silent for a minute, some much sooner.
HEARTBEAT_S = 10.0
_HEARTBEAT = b": keep-alive\n\n"


class AnswerEvents:
    """What follows the first `after` characters of an answer. Django iterates over it; the answer does not mind when
    nobody does any more."""

    def __init__(self, answer: Writing | StoredAnswer, after: int = 0) -> None:
        self._answer = answer
        self._at = after
        self._language = translation.get_language()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        answer, begun = self._answer, False
        if not answer.model:
            # Who got here has waited long enough for a first byte.
            yield _HEARTBEAT
        try:
            while True:
                if answer.model and not begun:
                    begun = True
                    yield _start(answer.session_id, answer.message_id, answer.model, answer.failed)
                piece = await answer.read(self._at, HEARTBEAT_S)
                if answer.model and not begun:
                    continue
                if piece:
                    self._at += len(piece)
                    yield _delta(piece, self._at)
                elif answer.over:
                    break
                else:
                    yield _HEARTBEAT
            yield _end(await answer.end())
        except Exception as error:  # noqa: BLE001  # the edge: every error has an answer
            with translation.override(self._language):
                told = answer_to(error)
            yield _event("error", {"message": told.text, "code": told.code, **told.more})


async def again(answer: Answer) -> AsyncIterator[bytes]:
    """The events of an answer that was given before."""
    yield _start(answer.session_id, answer.message_id, answer.model)
    yield _delta(answer.content, len(answer.content))
    yield _end(answer)


def _start(session_id: str, message_id: str, model: str, failed: Sequence[str] = ()) -> bytes:
    more = {"failed": list(failed)} if failed else {}
    return _event("start", {"sessionId": session_id, "messageId": message_id, "model": model} | more)


def _delta(content: str, at: int) -> bytes:
    """`at`: how much of the answer there is with it, in characters. It is the id a reader goes on behind, in a block
    of its own, which is no event."""
    return _event("delta", {"content": content}) + b"id: %d\n\n" % at


def _end(answer: Answer) -> bytes:
    more = {"balance": answer.balance, "usageSource": answer.usage_source, "latencyMs": answer.latency_ms}
    name = "stopped" if answer.state == "stopped" else "done"
    return _event(name, shapes.answer_json(answer) | more)


def _event(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
