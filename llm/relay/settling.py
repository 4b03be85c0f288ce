"""How a call ends: once, with what was used charged, its usage row in the same statement, and the hold given back."""

import logging
import time
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import psycopg

from voicehelper.net.deadlines import Deadline
from voicehelper.wallet.services import as_actor

from .attempts import Attempts
from .billing import Amount, Charge, charge, cost, tariff_for, tokens_of
from .catalogue import Catalogue, ModelSpec
from .engine import Engine
from .errors import CallFailed, LedgerAway

log = logging.getLogger(__name__)

# How long an answer may wait for the database to take its settlement. It goes on in the background after that.
SETTLE_S = 10.0

T = TypeVar("T")


class Completed(NamedTuple, Generic[T]):
    """A call that was answered and settled. `result` is None for streams, whose chunks have been passed on."""

    result: T
    request_id: str
    model: str
    used: Amount
    usage_source: str
    quota: int
    uncollected: int
    # Who answered: the account, and whose it is.
    credential_id: int = 0
    provider: str = ""


@dataclass(slots=True)
class CallSettlement:
    """What a call that was admitted has to account for: `held` quota, by the prices of `catalogue`."""

    engine: Engine
    bill: Charge
    group: str
    catalogue: Catalogue
    attempts: Attempts
    held: int
    started: float
    # Used, as far as a limit of tokens counts them.
    tokens: int = 0

    async def charge(
        self, result: T, model: ModelSpec, used: Amount, source: str, *, outcome: str, counted: bool, problem: str = ""
    ) -> Completed[T]:
        """Charge what was used; `counted`: among the model's tokens of today. Raises LedgerAway."""
        bill = self.bill
        tariff = tariff_for(self.catalogue, model, self.group, used)
        quota = charge(tariff, used)
        bill.input_tokens, bill.output_tokens, bill.usage_source = used.input, used.output, source
        bill.kinds = used.noted
        self.tokens = tokens_of(model, used)
        bill.service_tier, bill.cost = used.service_tier, cost(tariff, used)
        if counted:
            self.engine.statistics.note_tokens(model.name, bill.input_tokens + bill.output_tokens)
        if not model.prices.knows(used.service_tier):
            log.warning("%s was served as %r, which has no factor", bill.request_id, used.service_tier)
        if quota > self.held:
            self.engine.doubts.above_hold(model.name, bill.request_id, quota, self.held)
        charged, uncollected = await self._end(model, quota, outcome, problem)
        answered = self.attempts.last.credential.id if self.attempts.last else 0
        return Completed(result, bill.request_id, model.name, used, source, charged, uncollected, answered)

    async def release(self, error: BaseException) -> BaseException:
        """Give everything back; the error to raise."""
        if isinstance(error, TimeoutError):
            error = CallFailed(self.attempts.tries, timed_out=True)
        bill = self.bill
        bill.input_tokens, bill.output_tokens, bill.usage_source = 0, 0, "none"
        try:
            last = self.attempts.last.model if self.attempts.last else None
            await self._end(last, 0, "failed", "" if isinstance(error, CallFailed) else repr(error))
        except LedgerAway as away:
            log.warning("%s: %s", bill.request_id, away)
        return error

    async def _end(self, model: ModelSpec | None, quota: int, outcome: str, problem: str = "") -> tuple[int, int]:
        """Settle, once; returns what was charged and what could not be collected."""
        bill, attempts = self.bill, self.attempts
        bill.outcome, bill.tries = outcome, min(attempts.count, 32_000)
        bill.latency_ms = int((time.monotonic() - self.started) * 1000)
        bill.error = problem or "; ".join(map(str, attempts.tries))
        if model is not None:
            bill.model_name, bill.provider = model.name, model.provider
        self.engine.under_way.pop(bill.request_id, None)
        try:
            # When this gives up waiting, the ledger goes on trying.
            with Deadline(SETTLE_S):
                settled = await self.engine.ledger.settle(
                    bill.request_id,
                    quota,
                    actor=as_actor(bill.user_id),
                    reason=bill.model_name,
                    note=bill.note(),
                    tokens=self.tokens,
                )
        except TimeoutError:
            raise LedgerAway(f"{quota} quota for {bill.request_id} are not settled yet") from None
        except psycopg.Error as error:
            log.exception("%d quota for %s could not be settled", quota, bill.request_id)
            raise LedgerAway(str(error)) from error
        return settled.charged, settled.uncollected
