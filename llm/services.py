"""Asking models on a user's account, for everything that is not /v1: `await chat(…)`, `await stream(…)`.

Each raises before anything is charged: CallRefused, InsufficientQuota, CallFailed (with every try in its text),
LedgerAway. What they return is settled: `Completed` says what was charged, for which model, and how that is known.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

from django.db.models.functions import Now

from voicehelper.accounts.models import User
from voicehelper.wallet.services import MAX_QUOTA

from .dialects.chat_completions import needs
from .labels.answers import label_of
from .labels.sounds import label_sound
from .models import Credential, KeptResponse
from .providers import open_provider
from .providers.base import Account, Chunk, Completion, Speech, Transcript
from .relay import loops
from .relay.attempts import Attempts
from .relay.audio import Recording
from .relay.billing import Charge, Rate, rates_of, tariff_of
from .relay.call import Call, Caller
from .relay.catalogue import ModelSpec, Tariff
from .relay.engine import engine
from .relay.meter import Meter
from .relay.operations import CHAT, EMBED, SPEAK, TRANSCRIBE, Operation
from .relay.questions import Question, max_tokens_of
from .relay.router import Priority, RoutingRequest
from .relay.settling import CallSettlement, Completed
from .relay.snapshot import provider_account
from .safety.base import QUESTION
from .safety.guard import Guard


class ModelOffer(NamedTuple):
    """A model, and its prices in quota for one user: those of a short request, and all there are."""

    model: ModelSpec
    tariff: Tariff
    rates: list[Rate]


def _call(
    user: User,
    operation: Operation,
    body: Mapping[str, Any],
    *,
    models: tuple[str, ...],
    priority: Priority,
    provider: str = "",
    recording: Recording | None = None,
    streamed: bool = False,
    conversation: str = "",
    request_id: str = "",
    times: int | None = None,
) -> Call:
    able = frozenset({operation.capability, *(() if models else needs(body))})
    asked_for = RoutingRequest(able, max_tokens_of(body), priority, models, provider, times=times)
    question = Question(body, recording.weight if recording else operation.weigh(body), recording)
    caller = Caller(user.pk, user.group, minor=user.minor)
    return Call(
        engine(),
        caller,
        operation,
        question,
        asked_for,
        streamed=streamed,
        conversation=conversation,
        request_id=request_id,
    )


async def chat(
    user: User,
    body: Mapping[str, Any],
    *,
    models: tuple[str, ...] = (),
    priority: Priority = Priority.BALANCED,
    provider: str = "",
    conversation: str = "",
) -> Completed[Completion]:
    """One answer. `body` is OpenAI's chat request; `models` are asked in order, without any the best by `priority`. A
    `conversation` stays with its credential."""
    call = _call(user, CHAT, body, models=models, priority=priority, provider=provider, conversation=conversation)
    return await call.complete()


async def embed(
    user: User, body: Mapping[str, Any], *, models: tuple[str, ...] = (), priority: Priority = Priority.BALANCED
) -> Completed[Completion]:
    """Vectors. `body` is OpenAI's request."""
    return await _call(user, EMBED, body, models=models, priority=priority).complete()


async def speak(
    user: User, body: Mapping[str, Any], *, models: tuple[str, ...] = (), priority: Priority = Priority.BALANCED
) -> Completed[Speech]:
    """Spoken text. `body` is OpenAI's request (input, voice, response_format)."""
    return await _call(user, SPEAK, body, models=models, priority=priority).complete()


async def transcribe(
    user: User,
    recording: Recording,
    fields: Mapping[str, str] | None = None,
    *,
    models: tuple[str, ...] = (),
    priority: Priority = Priority.BALANCED,
) -> Completed[Transcript]:
    """What was said. `fields` are the form's others: language, prompt, response_format."""
    return await _call(user, TRANSCRIBE, fields or {}, models=models, priority=priority, recording=recording).complete()


async def labelled(spoken: Completed[Speech]) -> bytes:
    """Spoken text that says in its metadata that a model made it, whatever /v1 passes on."""
    policy = (await engine().catalogue()).safety
    return label_sound(spoken.result.content, label_of(policy, spoken.request_id))


class AnswerStream:
    """An answer as it comes: iterate, then look at `completed`. Leaving it early, or `hang_up`, ends it: what the model
    has written is charged, in the background. `stop` ends it at once, and the iteration with it; so does a notice
    of another process (relay/engine.py)."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.request_id = call.request_id
        self.completed: Completed[None] | None = None
        # The relay never waits long for a slow reader; it is as far ahead as this.
        self._queue: asyncio.Queue[Chunk | Exception | None] = asyncio.Queue(256)
        self._first: Chunk | Exception | None = None
        self._left = False
        self.model: str = ""
        call.engine.stops[call.request_id] = call.stop
        self._relaying = call.engine.in_background(self._pump())

    async def begin(self) -> None:
        """Until the first output is there; raises what `chat` raises."""
        try:
            self._first = await self._queue.get()
        except asyncio.CancelledError:
            self.hang_up()
            raise
        if isinstance(self._first, Exception):
            raise self._first

    def hang_up(self) -> None:
        """Nobody reads any more."""
        self._left = True
        self.call.hang_up()
        while not self._queue.empty():
            self._queue.get_nowait()

    async def settled(self) -> None:
        """Until all is charged that will be."""
        await asyncio.wait({self._relaying})

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        item, self._first = self._first, None
        try:
            while item is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
                item = await self._queue.get()
        finally:
            if self.completed is None:
                self.hang_up()

    async def _pump(self) -> None:
        end: Exception | None = None
        try:
            self.completed = await self.call.stream(self._put)
        except Exception as error:  # noqa: BLE001  # whoever reads is told
            end = error
        finally:
            self.call.engine.stops.pop(self.request_id, None)
        if not self._left:
            await self._queue.put(end)

    async def _put(self, chunk: Chunk, model: ModelSpec) -> None:
        self.model = model.name
        await self._queue.put(chunk)


async def stream(
    user: User,
    body: Mapping[str, Any],
    *,
    models: tuple[str, ...] = (),
    priority: Priority = Priority.BALANCED,
    provider: str = "",
    conversation: str = "",
    request_id: str = "",
    times: int | None = None,
) -> AnswerStream:
    """One answer, streamed: returns when its first output is there. Chunks are OpenAI's, see providers/base.py. With a
    `request_id` of the caller's it can be stopped, and its price found, by that. Without `models`, one is chosen that
    costs at most so many `times` what the cheapest does."""
    call = _call(
        user,
        CHAT,
        body,
        models=models,
        priority=priority,
        provider=provider,
        streamed=True,
        conversation=conversation,
        request_id=request_id,
        times=times,
    )
    opened = AnswerStream(call)
    await opened.begin()
    return opened


async def settle_for_dead(user: User, body: Mapping[str, Any], text: str, *, request_id: str, model: str) -> int:
    """End a streamed chat whose process died: charge what came of it, by an estimate. Returns how much that was; a call
    that is settled stays as it is."""
    relay = engine()
    catalogue = await relay.catalogue()
    bill = Charge(request_id=request_id, user_id=user.pk, asked_model=model, operation=CHAT.name, streamed=True)
    settlement = CallSettlement(relay, bill, user.group, catalogue, Attempts(relay, ()), MAX_QUOTA, time.monotonic())
    dead, spec = "The process that relayed it died.", catalogue.named(model)
    if spec is None or not text:
        await settlement.release(RuntimeError(dead))
        return 0
    meter = Meter()
    meter.read(text, None)
    used, source = meter.used(Question(body, CHAT.weigh(body)), spec, relay.calibration)
    done = await settlement.charge(None, spec, used, source, outcome="failed", counted=True, problem=dead)
    return done.quota


async def models_for(capability: str) -> list[ModelSpec]:
    """The models that can do something now, by name."""
    catalogue = await engine().catalogue()
    return [model for model in catalogue.models.values() if capability in model.capabilities]


async def offers_for(user: User, capability: str) -> list[ModelOffer]:
    """The same with what they cost this user."""
    return [offer for offer in await offers_to(user.group) if capability in offer.model.capabilities]


async def offers_to(group: str) -> list[ModelOffer]:
    """All models there are now, whatever they can do, with what they cost users of a group."""
    catalogue = await engine().catalogue()
    return [
        ModelOffer(model, tariff_of(catalogue, model, group), rates_of(model, catalogue.pricing, group))
        for model in catalogue.models.values()
    ]


# --- Without an event loop -------------------------------------------------------------------------------------------
def models_now(capability: str) -> list[ModelSpec]:
    """`models_for`, for synchronous callers."""
    return loops.run(models_for(capability))


def offers_now(user: User, capability: str) -> list[ModelOffer]:
    """`offers_for`, for synchronous callers."""
    return loops.run(offers_for(user, capability))


def price_list_now(group: str) -> list[ModelOffer]:
    """`offers_to`, for synchronous callers."""
    return loops.run(offers_to(group))


# --- For the admin ---------------------------------------------------------------------------------------------------
def probe(credential: Credential, model_id: str) -> str:
    """One cheap call with a credential, saved or not; returns what answered. Raises ProviderError with a hint."""
    account = provider_account(vars(credential), credential.api_key.reveal())
    return loops.run(_probe(account, model_id))


async def _probe(account: Account, model_id: str) -> str:
    provider = open_provider(account)
    try:
        return await provider.probe(model_id)
    finally:
        await provider.close()


def moderator_problem() -> str:
    """Why the content moderator that is set up does not judge a harmless text; empty: it does."""
    return loops.run(_moderator_problem())


async def _moderator_problem() -> str:
    policy, guard = (await engine().catalogue()).safety, Guard()
    try:
        return (await guard.judge(policy, "Hello", QUESTION))[1]
    finally:
        await guard.close()


def forget_expired_responses() -> int:
    """Delete what was kept of /v1/responses for long enough; how many answers."""
    return KeptResponse.objects.filter(expires__lt=Now()).delete()[0]
