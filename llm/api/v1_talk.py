"""The doors where programs talk with models: one for each dialect, and what they have in common."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from voicehelper.api.errors import ErrorAnswer

from ..dialects import messages
from ..dialects.base import Dialect, Translator, renamed
from ..dialects.chat_completions import routing_request, said, text, unrouted
from ..providers.base import CHAT, Chunk, Completion, Unsupported
from ..relay.call import Call, new_request_id
from ..relay.catalogue import ModelSpec
from ..relay.engine import Engine
from ..relay.operations import CHAT as CHAT_CALL
from ..relay.operations import COMPLETE
from ..relay.questions import Addressee, Question
from ..relay.settling import Completed
from .v1_request import Message, V1Request


def door(dialect: Dialect) -> Callable[[V1Request, Engine], Awaitable[None]]:
    """Answers requests of one dialect: passed through where the provider speaks it, else translated."""

    async def act(exchange: V1Request, relay: Engine) -> None:
        given = await exchange.read_object()
        body = said(given) if None in given.values() else given
        dialect.check(body)
        await Talk(exchange, relay, dialect, given, body).answer()

    return act


class Talk:
    """One request in a dialect, checked, and its answer. `given` is what goes up to whoever speaks the dialect, `body`
    the same without nulls."""

    def __init__(
        self, exchange: V1Request, relay: Engine, dialect: Dialect, given: Mapping[str, Any], body: dict[str, Any]
    ) -> None:
        self.exchange = exchange
        self.dialect = dialect
        self.body = body
        asked_for = routing_request(body, dialect.capability, dialect.needs, dialect.name)
        self._upward = unrouted(given)
        question = Question(
            self._upward,
            dialect.weigh(body),
            dialect=dialect.name,
            headers=exchange.headers_of(dialect.headers),
            in_chat=self._translation(),
            upward=self._passed if dialect.upward else None,
        )
        self.streamed = body.get("stream") is True
        operation = COMPLETE if dialect.capability == "completion" else CHAT_CALL
        self.call = Call(relay, exchange.caller, operation, question, asked_for, streamed=self.streamed)
        exchange.request_id = self.call.request_id
        about = body, self.call.request_id
        self._translator = dialect.translator(*about) if dialect.translator else None
        self._follower = dialect.follower(*about) if dialect.follower else None

    @property
    def telling(self) -> Translator | None:
        """Who writes the answer; None: it passes as it is."""
        return self._follower if self.call.native else self._translator

    async def answer(self) -> None:
        if self.streamed:
            await _Streaming(self).run()
            return
        completed = await self.call.complete()
        if (telling := self.telling) is None:
            await self.exchange.answer(passed_on(completed))
            return
        answer = telling.whole(completed)
        await self.finished(telling)
        await self.exchange.answer(answer)

    async def finished(self, telling: Translator) -> None:
        """The answer is written and settled, and about to leave."""

    def put(self, to: Addressee, *, translated: bool) -> None:
        """The question is about to be put to a provider."""

    def _translation(self) -> Callable[[Addressee], Mapping[str, Any]] | None:
        """How the question is put to providers that do not speak the dialect; None: they all take it as it is."""
        if self.dialect.name == CHAT:
            return None
        translate = self.dialect.to_chat

        def in_chat(to: Addressee) -> Mapping[str, Any]:
            if translate is None:
                raise Unsupported("This model", f"/{self.dialect.name}")
            self.put(to, translated=True)
            return translate(unrouted(self.body), to)

        return in_chat

    def _passed(self, to: Addressee) -> Mapping[str, Any]:
        self.put(to, translated=False)
        return self.dialect.upward(self._upward, to) if self.dialect.upward else self._upward


def passed_on(completed: Completed[Completion]) -> bytes:
    """An answer as it came, which calls the model by the name users know."""
    answer = completed.result
    was = answer.body.get("model")
    if not answer.content:
        if was is not None:
            answer.body["model"] = completed.model
        return orjson.dumps(answer.body)
    return renamed(answer.content, was, completed.model) if type(was) is str else answer.content


class _Streaming:
    """One answer on its way to a client: what is the last of it leaves when the call is settled."""

    def __init__(self, talk: Talk) -> None:
        options = talk.body.get("stream_options", {})
        self._talk = talk
        self._exchange = talk.exchange
        self._call = talk.call
        self._include_usage = type(options) is dict and options.get("include_usage") is True
        self._last = talk.dialect.end
        talk.exchange.broken = self._broken

    async def run(self) -> None:
        with Watch(self._exchange, self._call):
            completed = await self._call.stream(self._emit)
        if (telling := self._talk.telling) is not None:
            self._last = telling.end(completed)
            await self._talk.finished(telling)
        await self._exchange.end_events(self._last)

    def _broken(self, answer: ErrorAnswer) -> bytes:
        telling = self._talk.telling
        if telling is not None:
            return telling.fail(answer, self._call.settled)
        return self._talk.dialect.broken(answer, self._call.request_id)

    def _emit(self, chunk: Chunk, model: ModelSpec) -> Awaitable[None]:
        telling = self._talk.telling
        if telling is not None:
            return self._exchange.event(telling.feed(chunk, model, self._call.credential_id), more=chunk.more)
        if chunk.usage_only and not self._include_usage:
            return self._exchange.event(b"", more=chunk.more)
        block = chunk.block or b"data: %b\n\n" % chunk.data
        if chunk.model and chunk.model != model.name:
            block = renamed(block, chunk.model, model.name)
        if chunk.last:
            self._last = block
            return _nothing()
        return self._exchange.event(block, more=chunk.more)


async def _nothing() -> None:
    """Nothing is sent."""


class Watch:
    """Tells a call when its client hangs up, and a client that waits that somebody is there."""

    def __init__(self, exchange: V1Request, call: Call) -> None:
        self._exchange = exchange
        self._call = call

    def __enter__(self) -> None:
        self._task = asyncio.ensure_future(self._exchange.receive())
        self._task.add_done_callback(self._heard)
        self._exchange.keep_alive()

    def __exit__(self, *_error: object) -> None:
        self._task.remove_done_callback(self._heard)
        self._task.cancel()
        self._exchange.leave_alone()

    def _heard(self, task: "asyncio.Future[Message]") -> None:
        if not task.cancelled() and task.exception() is None and task.result()["type"] == "http.disconnect":
            self._call.hang_up()
            self._exchange.leave_alone()


async def count_tokens(exchange: V1Request, relay: Engine) -> None:
    """An estimate: nobody is asked, nothing is charged."""
    given = {"max_tokens": 1, **said(await exchange.read_object())}
    messages.check(given)
    name = text(given, "model", longest=128)
    exchange.request_id = new_request_id()
    count = relay.calibration.tokens(name, messages.weigh_request(given))
    await exchange.answer(orjson.dumps({"input_tokens": count}))
