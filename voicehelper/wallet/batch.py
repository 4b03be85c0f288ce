"""The ledger for many at once: holds and settlements by group commit.

One of statements.py serves everybody who waits, and is one transaction; whoever asked goes on when *their* rows are
committed. Each may be repeated: a hold that exists is held, one that is settled says what was charged. So a lost
connection is answered by asking again.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import orjson
import psycopg

from voicehelper.postgres import Batch, Connection, Statement

from .models import Entry
from .services import MAX_QUOTA, BudgetSpent, InsufficientQuota, KeyRoom, Settled
from .statements import HOLD, RENEW, settle_keeping

log = logging.getLogger(__name__)

# The database is away, full or shutting down (no SQLSTATE: the session was lost); or a lock was in the way.
_AWAY = ("08", "53", "57P")
_IN_THE_WAY = ("40", "55P03", "57014", "23505")
_TRIES = 6
# A settlement is money owed: while the database is away it is tried for about as long as the hold lives.
_SETTLE_TRIES = 200
_LONGEST_WAIT_S = 5
_SPEND = Entry.Kind.SPEND.value


class _Ask(NamedTuple):
    user_id: int
    ref: str
    amount: int
    budget_id: int | None
    tokens: int


class _Settlement(NamedTuple):
    ref: str
    amount: int
    actor: str
    reason: str
    note: Any
    tokens: int | None


class Ledger:
    """Holds and settlements of one process. `record` keeps a row of the caller's per settlement (`settle_keeping`)."""

    def __init__(self, life: timedelta, record: str = "") -> None:
        self._life_s = int(life.total_seconds())
        # One session each: holds never wait for settlements.
        self._holding, self._settling = Connection(), Connection()
        self._holds: Batch[_Ask, KeyRoom | None] = Batch(self._hold_all)
        self._settlements: Batch[_Settlement, Settled] = Batch(self._settle_all)
        self._settle = settle_keeping(record)

    async def hold(
        self, user_id: int, amount: int, *, ref: str, budget_id: int | None = None, tokens: int = 0
    ) -> KeyRoom | None:
        """Set quota aside, of a budget too; returns when it is committed what that leaves, where it limits calls or
        tokens. `tokens` is what a limit of tokens counts.

        Raises InsufficientQuota, BudgetSpent, ValueError, psycopg.Error.
        """
        if not 0 < amount <= MAX_QUOTA:
            raise ValueError(f"A hold is between 1 and {MAX_QUOTA} quota, not {amount}.")
        return await self._holds.do(_Ask(user_id, ref, amount, budget_id, tokens))

    async def settle(
        self, ref: str, amount: int, *, actor: str, reason: str = "", note: Any = None, tokens: int | None = None
    ) -> Settled:
        """End a hold by charging `amount` (0: release it), also when that is more than was held: then as far as the
        wallet goes. Returns when it is committed. `tokens` were used, of a budget that limits them.

        Goes on while the database is away. A hold that is no longer open is not charged again: then the answer says
        what was charged before.
        """
        if not 0 <= amount <= MAX_QUOTA:
            raise ValueError(f"A charge is between 0 and {MAX_QUOTA} quota, not {amount}.")
        return await self._settlements.do(_Settlement(ref, amount, actor[:150], reason[:200], note, tokens))

    async def renew(self, refs: Sequence[str]) -> int:
        """Give open holds their whole life again; returns how many."""
        count: int = await self._holding.run(RENEW, {"life_s": self._life_s, "refs": list(refs)})
        return count

    async def close(self) -> None:
        """Finish what waits, then hang up."""
        await self._holds.drain()
        await self._settlements.drain()
        await self._holding.close()
        await self._settling.close()

    # --- Holds -----------------------------------------------------------------------------------------------------
    async def _hold_all(self, asks: Sequence[_Ask]) -> Sequence[KeyRoom | Exception | None]:
        """Admit what is covered. An ask that was behind one too large for the wallet is tried again without it."""
        results: list[KeyRoom | Exception | None] = [None] * len(asks)
        open_asks = dict(enumerate(asks))
        while open_asks:
            rows = [{"n": n, "life_s": self._life_s, **ask._asdict()} for n, ask in open_asks.items()]
            answers = await _run(self._holding, HOLD, rows, _TRIES)
            if isinstance(answers, Exception):
                if len(open_asks) == 1 or _is_away(answers):
                    return _all_but(results, open_asks, answers)
                return [await self._alone(self._hold_all, ask) for ask in asks]
            judged = {n: (bool(amount), remaining, *budget) for n, amount, remaining, _fresh, *budget in answers}
            for n, ask in list(open_asks.items()):
                admitted, remaining, *budget = judged.get(n, (False, 0))
                result = _room(*budget) if admitted else _refusal(ask, remaining, *budget)
                if admitted or result is not None:
                    results[n] = result
                    del open_asks[n]
        return results

    # --- Settlements -----------------------------------------------------------------------------------------------
    async def _settle_all(self, items: Sequence[_Settlement]) -> Sequence[Settled | Exception]:
        rows = [{"n": n, "kind": _SPEND, **item._asdict()} for n, item in enumerate(items)]
        answers = await _run(self._settling, self._settle, rows, _SETTLE_TRIES)
        if isinstance(answers, Exception):
            if len(items) == 1 or _is_away(answers):
                return [answers] * len(items)
            return [await self._alone(self._settle_all, item) for item in items]
        found = {n: Settled(charge, uncollected, fresh) for n, charge, uncollected, fresh in answers}
        return [found[n] for n in range(len(items))]

    @staticmethod
    async def _alone(work: Any, item: Any) -> Any:
        """One of a batch that failed as a whole, so that it does not fail the others."""
        (result,) = await work([item])
        return result


def _all_but(
    results: list[KeyRoom | Exception | None], asks: dict[int, _Ask], error: Exception
) -> list[KeyRoom | Exception | None]:
    return [error if n in asks else result for n, result in enumerate(results)]


def _refusal(ask: _Ask, remaining: int, limit: str | None = None, room: Any = None) -> Exception | None:
    """None: it is covered, only not together with those before it."""
    if ask.amount > remaining:
        return InsufficientQuota()
    return BudgetSpent(limit, ask.tokens, room) if limit else None


def _room(_limit: str | None = None, room: Any = None) -> KeyRoom | None:
    """What an ask that was admitted leaves; None: nothing is limited."""
    return KeyRoom(**room) if room else None


def _is_away(error: Exception) -> bool:
    return isinstance(error, psycopg.Error) and (error.sqlstate is None or error.sqlstate.startswith(_AWAY))


async def _run(connection: Connection, statement: Statement, rows: list[Any], tries: int) -> Any:
    """The statement's answer, or the error when it is still there after `tries` (locks: six)."""
    failure: Exception = RuntimeError("no try")
    for number in range(tries):
        try:
            return await connection.run(statement, rows) or []
        except orjson.JSONEncodeError as error:
            # One of them cannot be written: not the others' fault.
            return error
        except psycopg.Error as error:
            failure = error
            passing = _is_away(error) or (number + 1 < _TRIES and (error.sqlstate or "").startswith(_IN_THE_WAY))
            if not passing:
                break
            log.warning("%s of %d is tried again: %s", statement.name, len(rows), error)
            await asyncio.sleep(min(_LONGEST_WAIT_S, number * number / 20))
    return failure
