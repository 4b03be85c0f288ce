"""The ledger: every move of quota is one of these statements, and nothing else writes wallets, entries and holds.

Each takes one JSON value and answers with one, and is whole by itself: it locks the wallets (in the order of their ids,
as everybody does, so that nobody waits in a circle; their budgets after them), decides from the rows it locked, and
writes. The relay sends HOLD and SETTLE for all who wait (batch.py); everybody else sends what he asks alone (`run`), in
the transaction he is in: the lock is his until that ends. A refusal is an answer and changes nothing.

Amounts are quota, bigint; `n` numbers the asks of one statement. A reference is used once: asked again, a statement
does nothing and says what it did then. So a lost connection is answered by asking again.
"""

from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import orjson
from django.db import connection, transaction

from voicehelper.postgres import Statement

# All write sums of the row as it was locked (`wallet`), not of the row they update: PostgreSQL first tries an update on
# the version its snapshot shows, and a CHECK would refuse what is right only for the newest one.

# What several statements say of budgets. A period begins at Beijing's midnight, a week on Monday. Calls and tokens are
# counted by the second: what began in the last 61 of them is all that began within a minute, and a little more.
_WORDS = {
    "{begins}": """CASE period WHEN 'total' THEN '-infinity'
                   ELSE date_trunc(period, now() AT TIME ZONE 'Asia/Shanghai') AT TIME ZONE 'Asia/Shanghai' END""",
    "{ends}": """CASE period WHEN 'total' THEN NULL
                 ELSE (date_trunc(period, now() AT TIME ZONE 'Asia/Shanghai') + ('1 ' || period)::interval)
                      AT TIME ZONE 'Asia/Shanghai' END""",
    "{second}": "floor(extract(epoch FROM now()))::bigint",
    "{lately}": "AS r(s bigint, c bigint, t bigint)",
}


def _spelled(sql: str) -> str:
    for name, words in _WORDS.items():
        sql = sql.replace(name, words)
    return sql


# Set quota aside: [{n, user_id, ref, amount, life_s, up_to, budget_id, tokens}] → [[n, amount set aside, available
# afterwards, fresh]], with a budget also what of it does not cover the ask (quota, rpm, tpm) and what room it has when
# all of them are counted: of asks that are covered only where calls or tokens are limited, and not since when. Asks
# of one wallet are admitted in the order in which they came, as far as it and their budgets cover them; amount 0: not
# covered. With `up_to` it is what is available, at most `amount`. A user without a wallet has no line in the answer.
HOLD = Statement(
    "wallet_hold",
    _spelled("""
    WITH asked AS (
        SELECT * FROM json_to_recordset($1::json) AS r(
            n int, user_id bigint, ref text, amount bigint, life_s int, up_to boolean, budget_id bigint, tokens bigint
        )
    ), made_before AS MATERIALIZED (
        SELECT ref, amount FROM wallet_hold WHERE ref = ANY(ARRAY(SELECT ref FROM asked))
    ), known AS (
        SELECT a.n, h.amount FROM asked a JOIN made_before h USING (ref)
    ), wallet AS MATERIALIZED (
        SELECT id, user_id, held, balance - held AS available FROM wallet_wallet
        WHERE user_id = ANY(ARRAY(SELECT user_id FROM asked)) ORDER BY id FOR NO KEY UPDATE
    ), budget AS MATERIALIZED (
        SELECT * FROM wallet_budget
        WHERE id = ANY(ARRAY(SELECT budget_id FROM asked)) AND (SELECT count(*) FROM wallet) > 0
        ORDER BY id FOR NO KEY UPDATE
    ), room AS (
        SELECT b.id, quota, rpm, tpm, GREATEST(counted_since, {begins}) AS since, {ends} AS ends,
               CASE WHEN counted_since < {begins} THEN 0 ELSE held END AS held,
               CASE WHEN counted_since < {begins} THEN 0 ELSE used END AS used,
               lately.kept, lately.calls, lately.tokens
        FROM budget b CROSS JOIN LATERAL (
            SELECT COALESCE(jsonb_agg(r ORDER BY s), '[]') AS kept, COALESCE(sum(c), 0) AS calls,
                   COALESCE(sum(t), 0) AS tokens
            FROM jsonb_to_recordset(b.lately) {lately} WHERE s > {second} - 61
        ) lately
    ), wanted AS (
        SELECT a.n, a.ref, a.life_s, a.budget_id, COALESCE(a.tokens, 0) AS tokens, w.id AS wallet_id, w.available,
               CASE WHEN a.up_to THEN LEAST(a.amount, w.available) ELSE a.amount END AS amount,
               r.quota - r.used - r.held AS quota_left, r.rpm - r.calls AS calls_left, r.tpm - r.tokens AS tokens_left
        FROM asked a JOIN wallet w USING (user_id) LEFT JOIN room r ON r.id = a.budget_id
        WHERE a.n NOT IN (SELECT n FROM known)
    ), judged AS (
        SELECT *, amount > 0 AND sum(amount) OVER (PARTITION BY wallet_id ORDER BY n) <= available
               AND COALESCE(sum(amount) OVER mine <= quota_left, TRUE)
               AND COALESCE(count(*) OVER mine <= calls_left, TRUE)
               AND COALESCE(sum(tokens) OVER mine <= tokens_left, TRUE) AS admitted
        FROM wanted WINDOW mine AS (PARTITION BY budget_id ORDER BY n)
    ), taken AS (
        SELECT wallet_id, sum(amount)::bigint AS total FROM judged WHERE admitted GROUP BY wallet_id
    ), budgeted AS (
        SELECT budget_id, sum(amount)::bigint AS total, count(*) AS calls, sum(tokens)::bigint AS tokens
        FROM judged WHERE admitted AND budget_id IS NOT NULL GROUP BY budget_id
    ), moved AS (
        UPDATE wallet_wallet w SET held = l.held + t.total
        FROM taken t JOIN wallet l ON l.id = t.wallet_id WHERE w.id = l.id
    ), counted AS (
        UPDATE wallet_budget b SET counted_since = l.since, held = l.held + t.total, used = l.used,
            lately = CASE WHEN l.rpm IS NULL AND l.tpm IS NULL THEN '[]' ELSE (
                SELECT jsonb_agg(r ORDER BY s) FROM (
                    SELECT s, sum(c) AS c, sum(t) AS t FROM (
                        SELECT * FROM jsonb_to_recordset(l.kept) {lately} UNION ALL SELECT {second}, t.calls, t.tokens
                    ) each GROUP BY s
                ) r
            ) END
        FROM budgeted t JOIN room l ON l.id = t.budget_id WHERE b.id = l.id
    ), made AS (
        INSERT INTO wallet_hold
            (wallet_id, ref, amount, state, created, expires_at, budget_id, counted_since, tokens)
        SELECT wallet_id, ref, amount, 'open', now(), clock_timestamp() + life_s * interval '1 second',
               r.id, r.since, CASE WHEN r.id IS NOT NULL THEN j.tokens END
        FROM judged j LEFT JOIN room r ON r.id = j.budget_id WHERE admitted ORDER BY n
    )
    SELECT json_agg(CASE WHEN budget_id IS NULL THEN json_build_array(n, amount, remaining, fresh)
                         ELSE json_build_array(n, amount, remaining, fresh, why_not, room) END)
    FROM (
        SELECT n, amount, 0 AS remaining, FALSE AS fresh, NULL::bigint AS budget_id, NULL AS why_not,
               NULL::json AS room
        FROM known
        UNION ALL
        SELECT j.n, CASE WHEN j.admitted THEN j.amount ELSE 0 END, j.available - COALESCE(t.total, 0), TRUE,
               r.id,
               CASE WHEN j.admitted THEN NULL
                    WHEN j.amount > j.quota_left - COALESCE(b.total, 0) THEN 'quota'
                    WHEN 1 > j.calls_left - COALESCE(b.calls, 0) THEN 'rpm'
                    WHEN j.tokens > j.tokens_left - COALESCE(b.tokens, 0) THEN 'tpm' END,
               CASE WHEN NOT j.admitted THEN json_build_object(
                   'rpm', r.rpm, 'tpm', r.tpm, 'calls_left', j.calls_left - COALESCE(b.calls, 0),
                   'tokens_left', j.tokens_left - COALESCE(b.tokens, 0), 'lately', r.kept, 'now_s', {second},
                   'ends_s', ceil(extract(epoch FROM r.ends))::bigint
               ) WHEN r.rpm IS NOT NULL OR r.tpm IS NOT NULL THEN json_build_object(
                   'rpm', r.rpm, 'tpm', r.tpm, 'calls_left', j.calls_left - COALESCE(b.calls, 0),
                   'tokens_left', j.tokens_left - COALESCE(b.tokens, 0)
               ) END
        FROM judged j LEFT JOIN taken t USING (wallet_id) LEFT JOIN budgeted b USING (budget_id)
             LEFT JOIN room r ON r.id = j.budget_id
    ) answer
    """),
)

# End holds by taking what was used, 0 included (that releases them): [{n, ref, amount, kind, actor, reason, within,
# note, tokens}] → [[n, charged, uncollected, fresh]]. What was used beyond the hold is charged as far as the wallet
# goes, whatever a budget says; the rest is `uncollected`. With `within`, a hold smaller than `amount` stays open. Not
# fresh: the hold was not open.
#
# What a wallet has available after each settlement is a sum that stops at zero; where it would have gone below is what
# cannot be collected. Such a sum is S - min(0, the least S so far), which window functions can say.
_SETTLE = _spelled("""
    WITH asked AS (
        SELECT * FROM json_to_recordset($1::json)
            AS r(n int, ref text, amount bigint, kind text, actor text, reason text, within boolean, note json,
                 tokens bigint)
    ), ended AS (
        UPDATE wallet_hold h SET state = CASE WHEN a.amount > 0 THEN 'captured' ELSE 'released' END
        FROM asked a WHERE h.ref = a.ref AND h.state = 'open' AND (a.amount <= h.amount OR a.within IS NOT TRUE)
        RETURNING a.n, a.ref, a.amount, a.kind, a.actor, a.reason, h.wallet_id, h.amount AS held, h.budget_id,
                  h.counted_since, floor(extract(epoch FROM h.created))::bigint AS s,
                  COALESCE(a.tokens, h.tokens) - h.tokens AS more_tokens
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
        UPDATE wallet_wallet w SET balance = l.balance - t.charge, held = l.held - t.held, used = l.used + t.spent
        FROM (
            SELECT wallet_id, sum(charge)::bigint AS charge, sum(held)::bigint AS held,
                   sum(CASE WHEN kind = 'spend' THEN charge ELSE 0 END)::bigint AS spent
            FROM charged GROUP BY wallet_id
        ) t JOIN wallet l ON l.id = t.wallet_id
        WHERE w.id = l.id
    ), budget AS MATERIALIZED (
        SELECT id, counted_since, held, used, lately FROM wallet_budget
        WHERE id = ANY(ARRAY(SELECT budget_id FROM ended)) AND (SELECT count(*) FROM wallet) > 0
        ORDER BY id FOR NO KEY UPDATE
    ), counted AS (
        UPDATE wallet_budget b SET held = l.held - t.held, used = l.used + t.charge, lately = (
            SELECT COALESCE(jsonb_agg(r ORDER BY s), '[]') FROM (
                SELECT s, c, GREATEST(0, r.t + COALESCE(sum(more_tokens), 0)) AS t
                FROM jsonb_to_recordset(l.lately) {lately} LEFT JOIN (
                    SELECT s, more_tokens FROM ended WHERE budget_id = l.id
                ) e USING (s) GROUP BY s, c, r.t
            ) r
        )
        FROM (
            SELECT l.id, COALESCE(sum(c.held) FILTER (WHERE c.counted_since = l.counted_since), 0)::bigint AS held,
                   COALESCE(sum(c.charge) FILTER (WHERE c.counted_since = l.counted_since), 0)::bigint AS charge
            FROM charged c JOIN budget l ON l.id = c.budget_id GROUP BY l.id
        ) t JOIN budget l USING (id) WHERE b.id = l.id
    ), written AS (
        INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason)
        SELECT wallet_id, kind, -charge, balance_after, ref, actor, reason FROM charged WHERE charge > 0 ORDER BY n
    ), settled AS (
        SELECT a.n, a.ref, a.note, c.n IS NOT NULL AS fresh,
               COALESCE(c.charge, -e.amount, 0) AS charge,
               COALESCE(c.uncollected, a.amount + COALESCE(e.amount, 0)) AS uncollected
        FROM asked a LEFT JOIN charged c USING (n) LEFT JOIN wallet_entry e ON e.kind = a.kind AND e.ref = a.ref
    ){record}
    SELECT json_agg(json_build_array(n, charge, uncollected, fresh)) FROM settled
""")


def settle_keeping(record: str) -> Statement:
    """SETTLE that keeps a row of the caller's per settlement, in the same transaction. `record` is a constant INSERT
    from `settled (n, ref, note, charge, uncollected)`; it must bear being repeated."""
    return Statement("wallet_settle", _SETTLE.replace("{record}", f", recorded AS ({record})" if record else ""))


SETTLE = settle_keeping("")

# Give open holds their whole life again: {life_s, refs} → how many there were.
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

# Release holds whose time is over: {limit} → how many. One that somebody is just ending or renewing is left to him; the
# lock shows the hold as it is now, not as it was when we looked.
REAP = Statement(
    "wallet_reap",
    """
    WITH expired AS MATERIALIZED (
        SELECT id FROM wallet_hold WHERE state = 'open' AND expires_at < now()
        ORDER BY expires_at LIMIT ($1::json->>'limit')::int FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE wallet_hold h SET state = 'released' FROM expired e WHERE h.id = e.id
        RETURNING h.wallet_id, h.amount, h.budget_id, h.counted_since
    ), wallet AS MATERIALIZED (
        SELECT id, held FROM wallet_wallet
        WHERE id = ANY(ARRAY(SELECT wallet_id FROM ended)) ORDER BY id FOR NO KEY UPDATE
    ), moved AS (
        UPDATE wallet_wallet w SET held = l.held - t.total
        FROM (SELECT wallet_id, sum(amount)::bigint AS total FROM ended GROUP BY wallet_id) t
        JOIN wallet l ON l.id = t.wallet_id WHERE w.id = l.id
    ), budget AS MATERIALIZED (
        SELECT id, counted_since, held FROM wallet_budget
        WHERE id = ANY(ARRAY(SELECT budget_id FROM ended)) AND (SELECT count(*) FROM wallet) > 0
        ORDER BY id FOR NO KEY UPDATE
    ), counted AS (
        UPDATE wallet_budget b SET held = t.held
        FROM (
            SELECT l.id, l.held - sum(e.amount)::bigint AS held FROM ended e
            JOIN budget l ON l.id = e.budget_id AND l.counted_since = e.counted_since GROUP BY l.id, l.held
        ) t WHERE b.id = t.id
    )
    SELECT to_json(count(*)) FROM ended
    """,
)

# Give quota, or take what is available (amount < 0): {user_id, amount, kind, ref, actor, reason} → {entry, known}.
# `entry` is the id of the line written, null when what is available does not cover it; `known`: (kind, ref) was written
# before, and is not again. One at a time: nobody does this in groups.
_POST = """
    WITH {asked}, known AS (
        SELECT e.id FROM wallet_entry e JOIN asked a ON e.kind = a.kind AND e.ref = a.ref
    ), wallet AS MATERIALIZED (
        SELECT id, balance, balance - held AS available FROM wallet_wallet
        WHERE user_id = (SELECT user_id FROM asked) FOR NO KEY UPDATE
    ), moved AS (
        UPDATE wallet_wallet w SET balance = l.balance + a.amount FROM wallet l CROSS JOIN asked a
        WHERE w.id = l.id AND (a.amount > 0 OR l.available >= -a.amount){unless}
        RETURNING w.id, w.balance
    ), written AS (
        INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason)
        SELECT m.id, a.kind, a.amount, m.balance, a.ref, a.actor, a.reason FROM moved m CROSS JOIN asked a
        RETURNING id
    ){record}
    SELECT json_build_object('entry', (SELECT id FROM written), 'known', EXISTS (SELECT FROM known))
"""


def _post(asked: str, unless: str = "", record: str = "") -> str:
    return _POST.replace("{asked}", asked).replace("{unless}", unless).replace("{record}", record)


POST = Statement(
    "wallet_post",
    _post(
        """asked AS (
        SELECT * FROM json_to_record($1::json)
            AS r(user_id bigint, amount bigint, kind text, ref text, actor text, reason text)
    )""",
        unless=" AND NOT EXISTS (SELECT FROM known)",
    ),
)


def post_because(name: str, cause: str, record: str) -> Statement:
    """POST as a part of what causes it, with a row of the caller's that is changed, and another that says so
    (`record`), all in one transaction: a reference that is used is an IntegrityError here, and nothing is changed.

    `cause` are constant subqueries that end in `asked (user_id, amount, kind, ref, actor, reason)`, one row of somebody
    who has a wallet, or none: then nothing is posted. `record` is a constant statement that may look at `written`.
    """
    return Statement(name, _post(cause, record=f", recorded AS ({record})"))


@lru_cache(maxsize=16)
def _for_a_cursor(statement: Statement) -> str:
    return statement.sql.replace("$1", "%(asked)s")


def run(statement: Statement, asked: object) -> Any:
    """The statement's answer, in the transaction of Django's that is under way, else in one of its own."""
    sql = _for_a_cursor(statement)
    # Outside of one, a statement is a transaction by itself; inside, its failure must not end what is under way.
    whole = transaction.atomic() if connection.in_atomic_block else nullcontext()
    with whole, connection.cursor() as cursor:
        cursor.execute(sql, {"asked": orjson.dumps(asked).decode()})
        return cursor.fetchone()[0]
