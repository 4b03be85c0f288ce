"""One call, from the hold to the settlement; streams and hang-ups.

Whatever happens in between, a call that was admitted is settled exactly once, with its usage row in the same statement,
and before its last byte leaves.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from django.conf import settings

from voicehelper.net.deadlines import Deadline
from voicehelper.wallet.services import KeyRoom

from ..providers.base import Chunk, Completion, ProviderError, Recovery, StreamBroke
from ..providers.errors import refuses_streams
from ..safety.guard import AnswerWatch, ContentCut
from .attempts import Attempts, Candidate, candidates
from .billing import Amount, Charge, ceiling, tokens_of
from .catalogue import Catalogue, ModelSpec
from .engine import Engine, Lease
from .errors import CallFailed
from .gathering import gathered
from .meter import Meter
from .opening import Opened, begin
from .operations import CHAT, GENERATING, Operation, written_in
from .pools import conversation_of
from .priced import priced
from .questions import Question
from .router import RoutingRequest
from .settling import CallSettlement, Completed

log = logging.getLogger(__name__)

T = TypeVar("T")
# Passes a chunk on to the client; raises OSError when the client has left.
Emit = Callable[[Chunk, ModelSpec], Awaitable[None]]


def new_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


class Caller(NamedTuple):
    """On whose account: the user, the group that chooses the price ratio; with a key, its budget and
    the models it is good for (none: all). `told` is told what the budget's limits leave, once it is admitted."""

    user_id: int
    group: str
    budget_id: int | None = None
    models: tuple[str, ...] = ()
    told: Callable[[KeyRoom], None] | None = None
    minor: bool = False


class Call:
    """One call under way. `hang_up` tells it that nobody reads the answer any more, `stop` that nobody wants it."""

    def __init__(
        self,
        engine: Engine,
        caller: Caller,
        operation: Operation,
        question: Question,
        asked_for: RoutingRequest,
        *,
        streamed: bool,
        conversation: str = "",
        request_id: str = "",
    ) -> None:
        self.engine = engine
        self.caller = caller
        self.operation = operation
        self.question = question
        self.asked_for = asked_for
        # What marks it, where its request does not.
        self.conversation = conversation
        self.gone = False
        self.stopped = False
        # Whether the answer comes in the dialect of the question, or in OpenAI's shape; None: nobody was asked yet.
        self.native: bool | None = None
        # What a stream came to, also one that broke.
        self.settled: Completed[None] | None = None
        self.bill = Charge(
            # The hold, the entry and the usage row carry it.
            request_id=request_id or new_request_id(),
            user_id=caller.user_id,
            asked_model=",".join(asked_for.names) or f"auto:{asked_for.priority}",
            operation=operation.name,
            streamed=streamed,
        )
        self._meter = Meter()
        self._started = time.monotonic()
        self._limit: Deadline | None = None
        self._attempts: Attempts
        self._catalogue: Catalogue
        self._settlement: CallSettlement
        # Looks on while the answer passes, where the operator wants that.
        self._watch: AnswerWatch | None = None

    @property
    def request_id(self) -> str:
        return self.bill.request_id

    @property
    def credential_id(self) -> int:
        """The account that answers, or may be."""
        return self._attempts.asked.credential.id if self._attempts.asked else 0

    @property
    def failed_models(self) -> tuple[str, ...]:
        """Who was asked before the one that answers, and did not."""
        answers = self._attempts.asked.model.name if self._attempts.asked else ""
        return tuple(dict.fromkeys(each.model for each in self._attempts.tries if each.model != answers))

    def hang_up(self) -> None:
        """The client left: read on for a while to learn what was used, then stop."""
        self.gone = True
        if self._limit is not None:
            soon = asyncio.get_running_loop().time() + settings.LLM_DRAIN_SECONDS
            when = self._limit.when()
            if when is None or soon < when:
                self._limit.reschedule(soon)

    def stop(self) -> None:
        """Hang up on the provider at once: what came is what is charged."""
        self.gone = self.stopped = True
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def complete(self) -> Completed[Any]:
        """Ask and settle. Raises CallRefused, InsufficientQuota, CallFailed, LedgerAway, psycopg.Error."""
        await self._begin()
        try:
            with Deadline(settings.LLM_TOTAL_SECONDS) as limit:
                result, candidate = await self._attempts.run(self._ask, self._is_gone)
                if isinstance(result, Opened):
                    result = await self._gather(result, candidate, limit)
                    used, source = self._metered(candidate.model)
                else:
                    used, source = self._used(candidate.model, result)
        except BaseException as error:  # noqa: BLE001  # also when we are being stopped
            raise await self._settlement.release(error) from None
        cut = await self._watch.whole(written_in(result)) if self._watch and isinstance(result, Completion) else None
        completed = await self._charge(result, candidate, used, source, "abandoned" if cut else "ok")
        if cut:
            raise cut
        return completed

    async def stream(self, emit: Emit) -> Completed[None]:
        """Pass chunks on as they come. Returns, or raises, when all is settled.

        Raises what `complete` raises before the first chunk, and StreamBroke after it.
        """
        await self._begin()
        broke: StreamBroke | None = None
        try:
            with Deadline(settings.LLM_TOTAL_SECONDS) as self._limit:
                if self.stopped:
                    self.stop()
                elif self.gone:
                    self.hang_up()
                await self._relay(emit, self._limit)
        except StreamBroke as error:
            broke = error
        except TimeoutError:
            # What was asked and has not answered yet may be generating; a client that left pays for that.
            if not self._begun and not self.gone:
                raise await self._settlement.release(CallFailed(self._attempts.tries, timed_out=True)) from None
            if not self.gone:
                broke = StreamBroke("The answer took too long.", recovery=Recovery.FAIL)
        except BaseException as error:
            if not self._begun:
                raise await self._settlement.release(error) from None
            # We are being stopped: what came so far is charged.
            self.gone = True
            await self._settle_stream(None)
            raise
        finally:
            self._limit = None
        completed = self.settled = await self._settle_stream(broke)
        if broke:
            raise broke
        return completed

    def _is_gone(self) -> bool:
        return self.gone

    # --- Asking ----------------------------------------------------------------------------------------------------
    async def _begin(self) -> None:
        """Find out who could answer, and hold what the dearest of them could cost."""
        engine = self.engine
        # What it costs is what it cost when it began.
        self._catalogue = await engine.catalogue()
        caller = self.caller
        asked_for = self.asked_for._replace(allowed=caller.models) if caller.models else self.asked_for
        possible = priced(candidates(self._catalogue, engine, asked_for, self._marker()), self.operation, self.question)
        self._attempts = Attempts(engine, possible)
        policy, whose = self._catalogue.safety, (caller.user_id, self.request_id)
        if self.operation.capability in GENERATING and (policy.questions or policy.answers):
            self._watch = await engine.guard.watch(policy, *whose, self.question.body)
        held = tokens = 0
        for model in {candidate.model.name: candidate.model for candidate in possible}.values():
            most = self.operation.most(self.question, model, engine.calibration)
            held = max(held, ceiling(self._catalogue, model, caller.group, most))
            tokens = max(tokens, tokens_of(model, most))
        room = await engine.ledger.hold(
            caller.user_id, held, ref=self.request_id, budget_id=caller.budget_id, tokens=tokens
        )
        if caller.minor:
            await engine.admit_minor(caller.user_id, self.request_id)
        if room is not None and caller.told is not None:
            caller.told(room)
        engine.under_way[self.request_id] = time.monotonic()
        self._settlement = CallSettlement(
            engine, self.bill, caller.group, self._catalogue, self._attempts, held, self._started
        )

    def _marker(self) -> str:
        """What marks the conversation, where there are credentials to choose from."""
        if len(self._catalogue.credentials) < 2:
            return ""
        return f"{self.caller.user_id}:{self.conversation or conversation_of(self.question.body) or self.request_id}"

    async def _ask(self, lease: Lease, candidate: Candidate) -> Any:
        """A whole answer; of one that is written anew here the stream it comes in, so that a model at work is heard,
        unless there are no streams to be had."""
        account, model = candidate.credential, candidate.model
        if self.operation is CHAT and self.question.is_translated(lease.account, model):
            unstreamed = self.engine.unstreamed
            if not unstreamed.known(account.id, model.name):
                try:
                    return await self._open_stream(lease, candidate)
                except ProviderError as error:
                    if not refuses_streams(error):
                        raise
                    log.info("%s has no streams of %s: it is asked for whole answers", account.name, model.name)
                    unstreamed.note(account.id, model.name)
        return await self.operation.ask(lease.provider, self._put_to(lease, candidate), model)

    async def _gather(self, opened: Opened, candidate: Candidate, limit: Deadline) -> Completion:
        """The whole answer that a stream is. Raises CallFailed when it breaks: what there is of it is nobody's."""
        limit.reschedule(asyncio.get_running_loop().time() + settings.LLM_STREAM_SECONDS)
        try:
            answer = await gathered(opened, self._meter)
            self.engine.well(candidate.credential.id, candidate.model.name)
            return answer
        except StreamBroke as broke:
            self._attempts.note_failure(candidate, broke)
            refusal = broke if broke.recovery is Recovery.FAIL else None
            raise CallFailed(self._attempts.tries, refusal=refusal) from broke
        finally:
            await opened.chunks.aclose()
            self.engine.providers.done(opened.lease)

    def _put_to(self, lease: Lease, candidate: Candidate) -> Question:
        self.native = self.question.native_to(lease.account, candidate.model)
        return self.question.at(candidate.credential.id, self.caller.user_id)

    async def _open_stream(self, lease: Lease, candidate: Candidate) -> Opened:
        self._meter = Meter()
        chunks = self._put_to(lease, candidate).put_stream(lease.provider, candidate.model)
        return await begin(chunks, self._meter, candidate.model.patience_s, lease)

    async def _relay(self, emit: Emit, limit: Deadline) -> None:
        opened, candidate = await self._attempts.run(self._open_stream, self._is_gone)
        self.bill.first_token_ms = int((time.monotonic() - self._started) * 1000)
        if not self.gone:
            limit.reschedule(asyncio.get_running_loop().time() + settings.LLM_STREAM_SECONDS)
        model = candidate.model
        meter, drained = self._meter, 0
        try:
            for chunk in opened.first:
                if not self.gone:
                    await self._emit(emit, chunk, model)
            async for chunk in opened.chunks:
                meter.read(chunk.text, chunk.usage)
                if not self.gone:
                    if self._watch is not None:
                        await self._watch.read(chunk.text)
                    # As `_emit` does; a coroutine more for every chunk would be felt.
                    try:
                        await emit(chunk, model)
                    except OSError:
                        self.hang_up()
                    continue
                drained += 1
                if drained > settings.LLM_DRAIN_CHUNKS:
                    break
            if self._watch is not None and not self.gone:
                await self._watch.end()
        finally:
            await opened.chunks.aclose()
            self.engine.providers.done(opened.lease)

    async def _emit(self, emit: Emit, chunk: Chunk, model: ModelSpec) -> None:
        if self._watch is not None:
            await self._watch.read(chunk.text)
        try:
            await emit(chunk, model)
        except OSError:
            self.hang_up()

    @property
    def _begun(self) -> bool:
        return self.bill.first_token_ms is not None

    # --- What was used ---------------------------------------------------------------------------------------------
    def _used(self, model: ModelSpec, result: Any) -> tuple[Amount, str]:
        operation, question, calibration = self.operation, self.question, self.engine.calibration
        used, source = operation.used(question, model, calibration, result)
        if operation.estimated is None or (used.input and used.output):
            return used, source
        estimate = operation.estimated(question, model, calibration, result)
        return self.engine.doubts.believed(model.name, used, source, estimate)

    def _metered(self, model: ModelSpec) -> tuple[Amount, str]:
        used, source = self._meter.used(self.question, model, self.engine.calibration)
        if used.input and used.output:
            return used, source
        estimate = self._meter.estimated(self.question, model, self.engine.calibration)
        return self.engine.doubts.believed(model.name, used, source, estimate)

    # --- Settling --------------------------------------------------------------------------------------------------
    async def _settle_stream(self, broke: StreamBroke | None) -> Completed[None]:
        candidate = self._attempts.asked
        if candidate is None:
            # Between two tries when the client left: nobody was generating.
            raise await self._settlement.release(CallFailed(self._attempts.tries))
        cut = isinstance(broke, ContentCut)
        if broke and not cut:
            self._attempts.note_failure(candidate, broke)
        elif not broke:
            self.engine.well(candidate.credential.id, candidate.model.name)
        outcome = "abandoned" if cut or (self.gone and not broke) else "failed" if broke else "ok"
        told = self.operation.told(self.question, candidate.model)
        used, source = self._metered(candidate.model) if told is None else (told, "estimate")
        return await self._charge(None, candidate, used, source, outcome)

    async def _charge(self, result: T, candidate: Candidate, used: Amount, source: str, outcome: str) -> Completed[T]:
        counted = self.operation.capability in ("chat", "embedding")
        return await self._settlement.charge(result, candidate.model, used, source, outcome=outcome, counted=counted)
