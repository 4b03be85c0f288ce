"""Years of a busy installation in minutes: users, wallets, orders, entries and usage rows that the audit finds good.

Everything of a row follows from its number, so that the server writes all of them by itself. A user has a hundred
orders, sixty of them paid, and five hundred entries: in every 25 three payments, and 22 calls that cost as much as an
eighth of a payment. Every tenth of the users is busy on every tenth of the days; the last day is today.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection

EACH, ENTRIES_EACH, DAYS = 100, 500, 200
# Who may still pay, and what somebody has to look at: of the last orders, however many there are.
LATEST = 500
TABLES = ("topup_order", "wallet_entry", "llm_usage")
_DAYS_AT_ONCE = 20

# Of entry n (from 0): whose it is, which of his, and when it was written.
_PLACE = """
    n / (25 * %(slice)s) AS day, n / (250 * %(slice)s) * 25 + n / %(slice)s %% 25 AS k,
    n / (25 * %(slice)s) %% 10 * %(slice)s + n %% %(slice)s AS who,
    %(begin)s::timestamptz + n / (25 * %(slice)s) * interval '1 day'
    + n %% (25 * %(slice)s) * CASE WHEN n < %(last)s THEN 86400000000 ELSE %(today_us)s END / (25 * %(slice)s)
    * interval '1 microsecond' AS moment
"""
# A payment is the first, the ninth and the seventeenth of 25.
_PAYMENTS = "(3 * (k / 25) + 1 + (k %% 25 >= 8)::int + (k %% 25 >= 16)::int)"
_MODEL = "(%(models)s::text[])[1 + (who + k %% 3 / 2) %% 8]"
_ENTRIES = f"""
    INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason, created)
    SELECT %(first_wallet)s + who, CASE WHEN paid THEN 'topup' ELSE 'spend' END,
        CASE WHEN paid THEN %(quota)s ELSE -%(quota)s / 8 END,
        %(quota)s * {_PAYMENTS} - %(quota)s / 8 * (k + 1 - {_PAYMENTS}),
        CASE WHEN paid THEN to_char(moment AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDD') ELSE 'req_' END
            || lpad(to_hex(n), 24, '0'),
        CASE WHEN paid THEN 'notice' ELSE 'payer' || who END, CASE WHEN paid THEN '' ELSE {_MODEL} END, moment
    FROM (
        SELECT n, who, k, moment, k %% 25 IN (0, 8, 16) AS paid
        FROM (SELECT n, {_PLACE} FROM generate_series(%(from)s::bigint, %(to)s - 1) n) each
    ) each
"""
# A call that failed stands where a payment was.
_USAGE = f"""
    INSERT INTO llm_usage (request_id, user_id, model_name, asked_model, provider, operation, input_tokens,
        output_tokens, quota, uncollected, cost, usage_source, outcome, latency_ms, tries, streamed, error, created)
    SELECT 'req_' || lpad(to_hex(n), 24, '0'), %(first_user)s + who, {_MODEL}, '', 'ark', 'chat', n %% 900, n %% 700,
        CASE WHEN failed THEN 0 ELSE %(quota)s / 8 END, 0, CASE WHEN n %% 5 > 0 THEN %(quota)s / 10 END,
        CASE WHEN failed THEN 'none' ELSE 'provider' END, CASE WHEN failed THEN 'failed' ELSE 'ok' END,
        100 + n * 7 %% 3000, 1, false, '', moment
    FROM (
        SELECT n, who, k, moment, k %% 25 IN (0, 8, 16) AS failed
        FROM (SELECT n, {_PLACE} FROM generate_series(%(from)s::bigint, %(to)s - 1) n) each
    ) each
"""
# Of each 25 entries of a user three are his orders', and two more orders stand between them that nobody paid.
_ORDERS = f"""
    INSERT INTO topup_order ({{columns}}) SELECT {{values}}
    FROM (
        SELECT n, who, moment, k %% 25 %% 8 = 0 AS paid, n >= %(entries)s - 5 * %(latest)s AS late
        FROM (SELECT n, {_PLACE} FROM generate_series(%(from)s::bigint, %(to)s - 1) n) each
        WHERE k %% 25 IN (0, 4, 8, 12, 16)
    ) each, topup_order like_it WHERE like_it.id = %(like)s
"""
_OF_ORDER = {
    "order_no": "to_char(moment AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDD') || lpad(to_hex(n), 24, '0')",
    "user_id": "%(first_user)s + who",
    "state": "CASE WHEN paid THEN 'paid' WHEN late THEN 'pending' ELSE 'closed' END",
    "gateway": "CASE WHEN n %% 3 = 0 THEN 'alipay' ELSE 'wechat' END",
    "transaction_id": "CASE WHEN paid THEN '42000' || n END",
    "paid_at": "CASE WHEN paid THEN moment END",
    "credited_at": "CASE WHEN paid THEN moment END",
    "credited_by": "CASE WHEN paid THEN 'notice' ELSE '' END",
    "closed_at": "CASE WHEN NOT paid AND NOT late THEN moment END",
    "expires_at": "CASE WHEN late THEN now() + interval '1 day' ELSE moment + interval '30 minutes' END",
    "created": "moment - (5 + n %% 40) * interval '1 second'",
    "idempotency_key": "NULL",
    "paid_late": "n %% 17 = 0",
    "review": "CASE WHEN late AND n %% 16 = 0 THEN 'look' ELSE '' END",
    "live": "n %% 15 > 0",
    "next_ask_at": "NULL",
}
_WALLETS = f"""
    UPDATE wallet_wallet SET balance = %(quota)s * payments - %(quota)s / 8 * (%(each)s - payments),
        used = %(quota)s / 8 * (%(each)s - payments)
    FROM (SELECT {_PAYMENTS} AS payments FROM (SELECT %(each)s - 1 AS k) last) all_of_them
    WHERE id >= %(first_wallet)s
"""


def fill(orders: int, say: Callable[[str], object] = lambda line: None) -> dict[str, float]:
    """So many orders (a multiple of a thousand) and five times as many entries and usage rows, into a database without
    any. Users are called payer0, payer1, … Returns the seconds of each step."""
    from llm.models import Model
    from llm.seeds import plant
    from tests.merchants import WECHAT
    from tests.orders import pending_order
    from voicehelper import clock
    from voicehelper.accounts.models import User
    from voicehelper.wallet.models import Wallet

    if orders % 1000:
        raise ValueError("A multiple of a thousand.")
    plant(Model)
    WECHAT.configure()
    users = orders // EACH
    took: dict[str, float] = {}
    with taking(took, "users"):
        people = User.objects.bulk_create(
            # Two in a thousand are in another group than the rest.
            [User(username=f"payer{number}", group="default" if number % 500 else "vip") for number in range(users)],
            10_000,
        )
        wallets = Wallet.objects.bulk_create([Wallet(user=user) for user in people], 10_000)
    like = pending_order(people[0], WECHAT)
    today = clock.today()
    passed = clock.now() - clock.midnight(today)
    facts: dict[str, Any] = {
        "slice": users // 10,
        "entries": orders * 5,
        "latest": LATEST,
        "each": ENTRIES_EACH,
        "models": list(Model.objects.order_by("pk").values_list("name", flat=True)[:8]),
        "first_user": people[0].pk,
        "first_wallet": wallets[0].pk,
        "quota": like.quota,
        "like": like.pk,
        "begin": clock.midnight(today - timedelta(days=DAYS - 1)),
        "last": users // 10 * 25 * (DAYS - 1),
        "today_us": passed * 9 // 10 // timedelta(microseconds=1),
    }
    with _bare_tables(took):
        for day in range(0, DAYS, _DAYS_AT_ONCE):
            with taking(took, "rows"):
                _some_days(day, facts)
            say(f"{(day + _DAYS_AT_ONCE) * 100 // DAYS} % after {took['rows']:.0f} s")
        with connection.cursor() as cursor:
            cursor.execute(_WALLETS, facts)
            cursor.execute("DELETE FROM topup_order WHERE id = %s", [like.pk])
    say(f"indexes after {took['indexes']:.0f} s")
    with taking(took, "vacuum"), connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(f"VACUUM ANALYZE {', '.join(TABLES)}, wallet_wallet, accounts_user")
        cursor.execute("CHECKPOINT")
    return {step: round(seconds, 1) for step, seconds in took.items()}


def _some_days(first: int, facts: dict[str, Any]) -> None:
    some = {"from": first * facts["slice"] * 25, "to": (first + _DAYS_AT_ONCE) * facts["slice"] * 25}
    with connection.cursor() as cursor:
        table = connection.introspection.get_table_description(cursor, "topup_order")
        names = [column.name for column in table if column.name != "id"]
        values = [_OF_ORDER.get(name, f"like_it.{name}") for name in names]
        orders = _ORDERS.format(columns=", ".join(names), values=", ".join(values))
        for statement in (orders, _ENTRIES, _USAGE):
            cursor.execute(statement, facts | some)


@contextmanager
def _bare_tables(took: dict[str, float]) -> Iterator[None]:
    """Without triggers, references and indexes, but those that a row's number appends to; they are built afterwards."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET statement_timeout = 0; SET lock_timeout = 0")
        cursor.execute("SET maintenance_work_mem = '512MB'; SET max_parallel_maintenance_workers = 0")
        cursor.execute(
            """
            SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
            WHERE indrelid::regclass::text = ANY(%s) AND NOT indisunique
            """,
            [list(TABLES)],
        )
        indexes = cursor.fetchall()
        for name, _definition in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        with taking(took, "indexes"):
            for _name, definition in indexes:
                cursor.execute(definition)
        cursor.execute("RESET ALL")


@contextmanager
def taking(took: dict[str, float], step: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    took[step] = took.get(step, 0) + time.monotonic() - start
