"""The ledger for many at once: holds and settlements by group commit. The rules are those of services.py.

One statement serves everybody who waits, and is one transaction: it locks the wallets in the order of their ids,
decides from what it locked, and writes. Whoever asked goes on when *their* rows are committed. Each statement may be
repeated: a hold that exists is held, one that is settled says what was charged. So a lost connection is answered by
asking again.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import psycopg

from voicehelper.postgres import Batch, Connection, Statement

from .services import MAX_QUOTA, InsufficientQuota, Settled

log = logging.getLogger(__name__)

# Both statements write sums of the row as it was locked (`wallet`), not of the row they update: PostgreSQL first tries
# an update on the version its snapshot shows, and a CHECK would refuse what is right only for the newest one.

# Within one statement, asks of one wallet are admitted in the order in which they came, as far as it covers them.
HOLD = Statement(
    "wallet_hold",
    """
    WITH asked AS (
        SELECT * FROM json_to_recordset($1::json) AS r(n int, user_id bigint, ref text, amount bigint, life_s int)
    ), known AS (
        SELECT n FROM asked WHERE ref IN (SELECT ref FROM wallet_hold WHERE ref = ANY(ARRAY(SELECT ref FROM asked)))
    ), wallet AS MATERIALIZED (
        SELECT id, user_id, held, balance - held AS available FROM wallet_wallet
        WHERE user_id = ANY(ARRAY(SELECT user_id FROM asked)) ORDER BY id FOR NO KEY UPDATE
    ), judged AS (
        SELECT a.*, w.id AS wallet_id, w.available,
               sum(a.amount) OVER (PARTITION BY w.id ORDER BY a.n) <= w.available AS admitted
        FROM asked a JOIN wallet w USING (user_id) WHERE a.n NOT IN (SELECT n FROM known)
    ), taken AS (
        SELECT wallet_id, sum(amount)::bigint AS total FROM judged WHERE admitted GROUP BY wallet_id
    ), moved AS (
        UPDATE wallet_wallet w SET held = l.held + t.total
        FROM taken t JOIN wallet l ON l.id = t.wallet_id WHERE w.id = l.id
    ), made AS (
        INSERT INTO wallet_hold (wallet_id, ref, amount, state, expires_at)
        SELECT wallet_id, ref, amount, 'open', clock_timestamp() + life_s * interval '1 second'
        FROM judged WHERE admitted ORDER BY n
    )
    SELECT json_agg(json_build_array(n, admitted, remaining)) FROM (
        SELECT n, TRUE AS admitted, 0 AS remaining FROM known
        UNION ALL
        SELECT j.n, j.admitted, j.available - COALESCE(t.total, 0) FROM judged j LEFT JOIN taken t USING (wallet_id)
    ) answer
    """,
)

# What a wallet has available after each settlement is a sum that stops at zero; where it would have gone below is what
# cannot be collected. Such a sum is S - min(0, the least S so far), which window functions can say.
_SETTLE = """
    WITH asked AS (
        SELECT * FROM json_to_recordset($1::json)
            AS r(n int, ref text, amount bigint, actor text, reason text, note json)
    ), ended AS (
        UPDATE wallet_hold h SET state = CASE WHEN a.amount > 0 THEN 'captured' ELSE 'released' END
        FROM asked a WHERE h.ref = a.ref AND h.state = 'open'
        RETURNING a.n, a.ref, a.amount, a.actor, a.reason, h.wallet_id, h.amount AS held
    ), wallet AS MATERIALIZED (
        SELECT id, balance, held, used, balance - held AS available FROM wallet_wallet
        WHERE id = ANY(ARRAY(SELECT wallet_id FROM ended)) ORDER BY id FOR NO KEY UPDATE
    ), summed AS (
        SELECT e.*, w.balance,
               w.available + sum(e.held - e.amount) OVER (PARTITION BY e.wallet_id ORDER BY e.n) AS after
        FROM ended e JOIN wallet w ON w.id = e.wallet_id
    ), floored AS (
        SELECT *, LEAST(0, min(after) OVER (PARTITION BY wallet_id ORDER BY n)) AS missing FROM summed
    ), priced AS (
        SELECT *,
               (LAG(missing, 1, 0::numeric) OVER (PARTITION BY wallet_id ORDER BY n) - missing)::bigint AS uncollected
        FROM floored
    ), charged AS (
        SELECT *, amount - uncollected AS charge,
               (balance - sum(amount - uncollected) OVER (PARTITION BY wallet_id ORDER BY n))::bigint AS balance_after
        FROM priced
    ), moved AS (
        UPDATE wallet_wallet w SET balance = l.balance - t.charge, held = l.held - t.held, used = l.used + t.charge
        FROM (
            SELECT wallet_id, sum(charge)::bigint AS charge, sum(held)::bigint AS held FROM charged GROUP BY wallet_id
        ) t JOIN wallet l ON l.id = t.wallet_id
        WHERE w.id = l.id
    ), written AS (
        INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason)
        SELECT wallet_id, 'spend', -charge, balance_after, ref, actor, reason FROM charged WHERE charge > 0 ORDER BY n
    ), settled AS (
        SELECT a.n, a.ref, a.note, c.n IS NOT NULL AS fresh,
               COALESCE(c.charge, -e.amount, 0) AS charge,
               COALESCE(c.uncollected, a.amount + COALESCE(e.amount, 0)) AS uncollected
        FROM asked a LEFT JOIN charged c USING (n) LEFT JOIN wallet_entry e ON e.kind = 'spend' AND e.ref = a.ref
    ){record}
    SELECT json_agg(json_build_array(n, charge, uncollected, fresh)) FROM settled
"""

RENEW = Statement(
    "wallet_renew",
    """
    WITH renewed AS (
        UPDATE wallet_hold SET expires_at = clock_timestamp() + ($1::json->>'life_s')::int * interval '1 second'
        WHERE state = 'open' AND ref IN (SELECT json_array_elements_text($1::json->'refs')) RETURNING 1
    )
    SELECT to_json(count(*)) FROM renewed
    """,
)

# The database is away, full or shutting down (no SQLSTATE: the session was lost); or a lock was in the way.
_AWAY = ("08", "53", "57P")
_IN_THE_WAY = ("40", "55P03", "57014", "23505")
_TRIES = 6
# A settlement is money owed: while the database is away it is tried for about as long as the hold lives.
_SETTLE_TRIES = 200
_LONGEST_WAIT_S = 5


@dataclass(frozen=True, slots=True)
class _Ask:
    user_id: int
    ref: str
    amount: int


@dataclass(frozen=True, slots=True)
class _Settlement:
    ref: str
    amount: int
    actor: str
    reason: str
    note: Any


class Ledger:
    """Holds and settlements of one process. `record` is SQL that keeps a row of the caller's per settlement, in the
    same transaction: an INSERT from `settled (n, ref, note, charge, uncollected)`; it must bear being repeated."""

    def __init__(self, life: timedelta, record: str = "") -> None:
        self._life_s = int(life.total_seconds())
        # One session each: holds never wait for settlements.
        self._holding, self._settling = Connection(), Connection()
        self._holds: Batch[_Ask, None] = Batch(self._hold_all)
        self._settlements: Batch[_Settlement, Settled] = Batch(self._settle_all)
        text = _SETTLE.replace("{record}", f", recorded AS ({record})" if record else "")
        self._settle = Statement("wallet_settle", text)

    async def hold(self, user_id: int, amount: int, *, ref: str) -> None:
        """Set quota aside; returns when it is committed. Raises InsufficientQuota, ValueError, psycopg.Error."""
        if not 0 < amount <= MAX_QUOTA:
            raise ValueError(f"A hold is between 1 and {MAX_QUOTA} quota, not {amount}.")
        await self._holds.do(_Ask(user_id, ref, amount))

    async def settle(self, ref: str, amount: int, *, actor: str, reason: str = "", note: Any = None) -> Settled:
        """End a hold by charging `amount` (0: release it), as `services.settle` does; returns when it is committed.

        Goes on while the database is away. A hold that is no longer open is not charged again.
        """
        if not 0 <= amount <= MAX_QUOTA:
            raise ValueError(f"A charge is between 0 and {MAX_QUOTA} quota, not {amount}.")
        return await self._settlements.do(_Settlement(ref, amount, actor[:150], reason[:200], note))

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
    async def _hold_all(self, asks: Sequence[_Ask]) -> Sequence[Exception | None]:
        """Admit what is covered. An ask that was behind one too large for the wallet is tried again without it."""
        results: list[Exception | None] = [None] * len(asks)
        open_asks = dict(enumerate(asks))
        while open_asks:
            rows = [
                {"n": n, "user_id": ask.user_id, "ref": ask.ref, "amount": ask.amount, "life_s": self._life_s}
                for n, ask in open_asks.items()
            ]
            answers = await _run(self._holding, HOLD, rows, _TRIES)
            if isinstance(answers, Exception):
                if len(open_asks) == 1 or _is_away(answers):
                    return _all_but(results, open_asks, answers)
                return [await self._alone(self._hold_all, ask) for ask in asks]
            judged = {n: (admitted, remaining) for n, admitted, remaining in answers}
            for n, ask in list(open_asks.items()):
                admitted, remaining = judged.get(n, (False, 0))
                if not admitted and ask.amount <= remaining:
                    continue
                results[n] = None if admitted else InsufficientQuota()
                del open_asks[n]
        return results

    # --- Settlements -----------------------------------------------------------------------------------------------
    async def _settle_all(self, items: Sequence[_Settlement]) -> Sequence[Settled | Exception]:
        rows = [
            {"n": n, "ref": i.ref, "amount": i.amount, "actor": i.actor, "reason": i.reason, "note": i.note}
            for n, i in enumerate(items)
        ]
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


def _all_but(results: list[Exception | None], asks: dict[int, _Ask], error: Exception) -> list[Exception | None]:
    return [error if n in asks else result for n, result in enumerate(results)]


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
