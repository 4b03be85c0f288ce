"""Candidates × tries: the only loop that retries. It ends with the first answer, or with a list of what went wrong.

RETRY: the same account again, after the time it asked for (20 s at the most) or an exponential back-off with jitter;
but whom we stopped waiting for may be at work, and nothing is asked twice then.
FAILOVER: the next candidate. FAIL: the request is at fault. A model that keeps failing at an account, or has reached
its limit there, cools down: it is then asked last, and once only. So do all models of an account that is not accepted.
What has cooled down is probed by one call before others follow. What may have begun is not repeated: a model that says
nothing for longer than its own patience ends the call.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from django.utils.translation import gettext_noop

from notifications.texts import Text
from voicehelper import traces

from ..providers.base import ProviderError, Recovery, Unsupported
from .catalogue import Catalogue, CredentialSpec, ModelSpec
from .engine import Engine, Lease
from .errors import CallFailed, Try, nothing_fits
from .opening import Opened
from .pools import in_order
from .router import RoutingRequest, route
from .statistics import PROBE_S, Statistics

log = logging.getLogger(__name__)

# A provider that asks for more patience than this is left alone, and another one asked.
LONGEST_WAIT_S = 20.0
# How long an account that cannot work now (wrong key, overdue) is left alone when it did not say.
COOLDOWN_S = 30.0

# How often a call that has nobody else to ask looks whether another one's probe is over.
_PROBE_POLL_S = 0.1

T = TypeVar("T")


class Candidate(NamedTuple):
    model: ModelSpec
    credential: CredentialSpec


def candidates(
    catalogue: Catalogue, engine: Engine, asked_for: RoutingRequest, conversation: str = ""
) -> list[Candidate]:
    """Whom to ask, in order: each model at each of its accounts, the conversation's own first, those that cool down
    last. Raises CallRefused."""
    meant = tuple(dict.fromkeys(model.name if (model := catalogue.named(n)) else n for n in asked_for.names))
    if meant != asked_for.names or asked_for.allowed:
        asked_for = asked_for._replace(names=meant, allowed=catalogue.patterns(asked_for.allowed))
    models = route(catalogue.models, engine.seen(catalogue), asked_for)
    if not models:
        raise nothing_fits(catalogue, asked_for)
    found = [
        Candidate(model, credential)
        for model in models
        for credential in in_order((catalogue.credentials[number] for number in model.credentials), conversation)
    ]
    if len(found) > 1:
        found.sort(key=lambda each: _rests(engine.statistics, each))
    return found


def _rests(statistics: Statistics, candidate: Candidate) -> bool:
    place = candidate.credential.id, candidate.model.name
    return statistics.cooldown_of(*place)[0] > 0 or statistics.probed(*place)


class _Turn(NamedTuple):
    """Whether to ask a candidate now; and what the call then finds out whether it works again."""

    now: bool
    probing: tuple[int, str] | None = None


_NOW, _LATER, _NEVER = _Turn(True), _Turn(False), _Turn(False)


class Attempts:
    """The tries of one call. `asked` is who is answering, or may be: None between two tries."""

    def __init__(self, engine: Engine, possible: Sequence[Candidate]) -> None:
        self.tries: list[Try] = []
        self.count = 0
        self.asked: Candidate | None = None
        self.last: Candidate | None = None
        self._engine = engine
        self._possible = possible

    async def run(
        self, act: Callable[[Lease, Candidate], Awaitable[T]], gone: Callable[[], bool]
    ) -> tuple[T, Candidate]:
        """The first answer and who gave it; nothing is tried again once the client is `gone`. Raises CallFailed."""
        queue, statistics = list(self._possible), self._engine.statistics
        for candidate in queue:
            turn, once = _NOW, False
            if not statistics.all_well:
                patient = candidate is queue[-1] or queue.count(candidate) > 1
                turn = await self._turn(candidate, patient=patient)
                cooldown_s, _said_so = statistics.cooldown_of(candidate.credential.id, candidate.model.name)
                once = bool(cooldown_s or turn.probing)
            if turn is _LATER:
                queue.append(candidate)
            if not turn.now:
                continue
            try:
                result = await self._tries(act, candidate, gone, once=once)
            finally:
                if turn.probing is not None:
                    await statistics.end_probe(turn.probing)
            if result is not None:
                return result, candidate
        raise CallFailed(self.tries, refusal=self._impossible())

    def _impossible(self) -> ProviderError | None:
        """What none of those asked has room for; None when one of them failed otherwise."""
        errors = [each.error for each in self.tries]
        return errors[0] if errors and all(isinstance(error, Unsupported) for error in errors) else None

    async def _tries(
        self,
        act: Callable[[Lease, Candidate], Awaitable[T]],
        candidate: Candidate,
        gone: Callable[[], bool],
        *,
        once: bool,
    ) -> T | None:
        """What one account answers; None: another one has to be asked."""
        tries = 1 if once else candidate.credential.tries
        for number in range(tries):
            if gone():
                # Nobody waits for an answer, and nobody is generating one.
                raise CallFailed(self.tries)
            self.last = candidate
            try:
                return await self._try(act, candidate)
            except ProviderError as error:
                wait_s = self._wait_after(error, candidate, number)
                self.asked = None
                if error.given_up:
                    # It may be generating, and will be paid for that: nobody is asked again.
                    raise CallFailed(self.tries) from error
                if wait_s is None or number + 1 >= tries:
                    break
                if not gone():
                    await asyncio.sleep(wait_s)
        return None

    async def _turn(self, candidate: Candidate, *, patient: bool) -> "_Turn":
        """Whether the candidate may be asked: not before it has had the time it asked for, nor while another call finds
        out whether it works again; a `patient` call waits for both."""
        statistics, place = self._engine.statistics, (candidate.credential.id, candidate.model.name)
        until = time.monotonic() + PROBE_S
        while time.monotonic() < until:
            cooldown_s, said_so = statistics.cooldown_of(*place)
            if said_so and not await self._wait_out(candidate, cooldown_s):
                return _NEVER
            probing = statistics.half_open(*place)
            if probing is None or await statistics.begin_probe(probing):
                return _Turn(True, probing)
            if not patient:
                return _LATER
            await asyncio.sleep(_PROBE_POLL_S)
        return _Turn(True)

    def note_failure(self, candidate: Candidate, error: ProviderError) -> None:
        """Write a failure down: for the caller, for the operator, for the statistics."""
        engine, credential, model = self._engine, candidate.credential, candidate.model.name
        self.tries.append(Try(model, candidate.model.provider, credential.name, error))
        log.warning("%s", self.tries[-1])
        if error.recovery is Recovery.FAIL or isinstance(error, Unsupported):
            # What was at fault, or never sent, says nothing about the model.
            return
        engine.statistics.note(model, failed=True)
        if error.cool_down:
            # Limits are a model's own; a wrong key or an unpaid bill is every model's.
            cooled, said_so = "" if error.account_at_fault else model, bool(error.retry_after_s)
            engine.statistics.cool_down(credential.id, error.retry_after_s or COOLDOWN_S, said_so=said_so, model=cooled)
            if error.account_at_fault and error.unpaid:
                engine.alert(
                    "provider_low_balance",
                    level="warning",
                    title=Text(gettext_noop("%(account)s has no credit at its provider"), account=credential.name),
                    content=Text(
                        gettext_noop("Recharge it there; other accounts are asked meanwhile. It said: %(error)s"),
                        error=error.text[:500],
                    ),
                    key=f"unpaid:{credential.id}",
                    about=f"llm.credential:{credential.id}",
                    platform=credential.account.provider,
                )
        elif error.recovery is Recovery.RETRY and engine.statistics.failed(credential.id, model):
            engine.alert(
                "provider_circuit_open",
                level="critical",
                title=Text(gettext_noop("%(account)s keeps failing"), account=credential.name),
                content=Text(
                    gettext_noop("For %(model)s it is asked last for a while. The last error: %(error)s"),
                    model=model,
                    error=error.text[:500],
                ),
                key=f"circuit:{credential.id}",
                about=f"llm.credential:{credential.id}",
                platform=credential.account.provider,
            )

    async def _try(self, act: Callable[[Lease, Candidate], Awaitable[T]], candidate: Candidate) -> T:
        engine, started = self._engine, time.monotonic()
        lease = engine.providers.lease(candidate.credential)
        self.asked = candidate
        self.count += 1
        try:
            with traces.call("model", model=candidate.model.name, credential=candidate.credential.name):
                result = await act(lease, candidate)
        finally:
            engine.providers.done(lease)
        is_well = engine.statistics.begun if isinstance(result, Opened) else engine.well
        is_well(candidate.credential.id, candidate.model.name)
        engine.statistics.note(candidate.model.name, failed=False, latency_ms=int((time.monotonic() - started) * 1000))
        return result

    def _wait_after(self, error: ProviderError, candidate: Candidate, number: int) -> float | None:
        """Seconds until this account may be tried again; None: not at all."""
        self.note_failure(candidate, error)
        if error.recovery is Recovery.FAIL:
            raise CallFailed(self.tries, refusal=error) from error
        if error.recovery is not Recovery.RETRY:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= LONGEST_WAIT_S else None
        jitter = random.uniform(0.5, 1.0)  # noqa: S311  # nothing secret
        return float(candidate.credential.retry_delay_s * 2**number * jitter)

    async def _wait_out(self, candidate: Candidate, cooldown_s: float) -> bool:
        """Until an account that asked for time has had it. False: that is too long."""
        if cooldown_s <= LONGEST_WAIT_S:
            await asyncio.sleep(cooldown_s)
            return True
        text = f"It asked to be left alone for another {cooldown_s:.0f} s."
        error = ProviderError(text, recovery=Recovery.FAILOVER, status=429, retry_after_s=cooldown_s)
        self.tries.append(Try(candidate.model.name, candidate.model.provider, candidate.credential.name, error))
        self.last = candidate
        return False
