"""Orders and entries in the admin, and a user's own history: the same pages with a thousand rows and with a million.

Each user has a hundred rows, so there are more users when there are more rows; a page of the list is full either way.
"""

import re
from collections.abc import Callable
from typing import Any

from .pages import FEW, MANY, REPEATS, took_ms

EACH = 100

# Of ten orders six are paid, three closed, one waits; one in fifteen or so is late, in need of review, a sandbox's:
# each page is full with a thousand rows, too.
_ORDERS = """
    INSERT INTO topup_order ({columns}) SELECT {values} FROM topup_order, generate_series(1, %(rows)s) n
    WHERE topup_order.id = %(like)s
"""
_NEW = {
    "order_no": "'20261122' || lpad(to_hex(n), 24, '0')",
    "user_id": "%(first_user)s + (n - 1) / %(each)s",
    "state": "CASE WHEN n %% 10 < 6 THEN 'paid' WHEN n %% 10 < 9 THEN 'closed' ELSE 'pending' END",
    "gateway": "CASE WHEN n %% 3 = 0 THEN 'alipay' ELSE 'wechat' END",
    "transaction_id": "CASE WHEN n %% 10 < 6 THEN '42000' || n END",
    "credited_at": "CASE WHEN n %% 10 < 6 THEN now() END",
    "closed_at": "NULL",
    "idempotency_key": "NULL",
    "paid_late": "n %% 17 = 0",
    "review": "CASE WHEN n %% 16 = 0 THEN 'look' ELSE '' END",
    "live": "n %% 15 > 0",
    "next_ask_at": "NULL",
    "created": "now() - (%(rows)s - n) * interval '30 days' / %(rows)s",
}
_ENTRIES = """
    INSERT INTO wallet_entry (wallet_id, kind, amount, balance_after, ref, actor, reason, created)
    SELECT %(first_wallet)s + (n - 1) / %(each)s,
        CASE WHEN n %% 15 = 0 THEN 'refund' WHEN n %% 10 = 0 THEN 'topup' ELSE 'spend' END,
        CASE WHEN n %% 10 = 0 AND n %% 15 > 0 THEN n ELSE -n END, n, 'bench' || n, 'bench', '',
        now() - (%(rows)s - n) * interval '30 days' / %(rows)s
    FROM generate_series(1, %(rows)s) n
"""


def measure() -> dict[str, dict[str, float]]:
    """CPU milliseconds per page (the best), with few rows and with many, and their ratio. Empties both tables
    before and afterwards."""
    found: dict[str, dict[str, float]] = {}
    for rows, name in ((FEW, "few_ms"), (MANY, "many_ms")):
        empty()
        fill(rows)
        for page, ask in pages().items():
            found.setdefault(page, {})[name] = round(took_ms(ask), 1)
    empty()
    for times in found.values():
        times["ratio"] = round(times["many_ms"] / times["few_ms"], 2)
    return found


def empty() -> None:
    from django.db import connection

    from voicehelper.accounts.models import User

    with connection.cursor() as cursor:
        # The books refuse it otherwise.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("TRUNCATE topup_order, wallet_entry CASCADE")
        cursor.execute("RESET session_replication_role")
        cursor.execute(
            "DELETE FROM wallet_wallet WHERE user_id IN (SELECT id FROM accounts_user WHERE email = 'bench')"
        )
    User.objects.filter(email="bench")._raw_delete("default")


def fill(rows: int) -> None:
    from django.db import connection

    from tests.merchants import WECHAT
    from tests.orders import pending_order
    from voicehelper.accounts.models import User
    from voicehelper.wallet.models import Wallet

    people = [User(username=f"payer{number:06}", email="bench") for number in range(rows // EACH)]
    users = User.objects.bulk_create(people)
    wallets = Wallet.objects.bulk_create([Wallet(user=user) for user in users])
    like = pending_order(users[0], WECHAT)
    with connection.cursor() as cursor:
        table = connection.introspection.get_table_description(cursor, "topup_order")
        names = [column.name for column in table if column.name != "id"]
        sql = _ORDERS.format(columns=", ".join(names), values=", ".join(_NEW.get(name, name) for name in names))
        facts = {"rows": rows, "each": EACH}
        cursor.execute(sql, facts | {"first_user": users[0].pk, "like": like.pk})
        cursor.execute(_ENTRIES, facts | {"first_wallet": wallets[0].pk})
        cursor.execute("VACUUM ANALYZE topup_order, wallet_entry, wallet_wallet, accounts_user")
        cursor.execute("CHECKPOINT")


def pages() -> dict[str, Callable[[], Any]]:
    """What operators and users click."""
    from datetime import timedelta

    from django.test import Client
    from django.utils import timezone

    from topup.models import Order
    from voicehelper.accounts.models import User
    from voicehelper.wallet.models import Entry

    operator, buyer = Client(SERVER_NAME="127.0.0.1"), Client(SERVER_NAME="127.0.0.1")
    operator.force_login(User.objects.get_or_create(username="bench-boss", is_staff=True, is_superuser=True)[0])
    buyer.force_login(User.objects.get(username="payer000005"))
    last = timezone.localtime() - timedelta(days=5)
    days = f"created_from={last - timedelta(days=2):%Y-%m-%d}&created_to={last:%Y-%m-%d}"
    order = Order.objects.filter(transaction_id__isnull=False).order_by("id")[700 // 2]
    entry = Entry.objects.order_by("id")[700]
    orders = {
        "state": "?state=pending",
        "gateway": "?gateway=alipay",
        "needs review": "?mark=review",
        "paid late": "?mark=late",
        "sandbox": "?mark=sandbox",
        "one user": "?username=payer000007",
        "three days": f"?{days}",
        "paid, three days": f"?state=paid&{days}",
        "by order number": f"?q={order.order_no}",
        "by transaction": f"?q={order.transaction_id}",
        "by user": "?q=payer000007",
    }
    entries = {
        "kind": "?kind=refund",
        "one user": "?username=payer000007",
        "three days": f"?{days}",
        "kind, three days": f"?kind=topup&{days}",
        "by reference": f"?q={entry.ref}",
        "by user": "?q=payer000007",
    }
    found: dict[str, Callable[[], Any]] = {}
    for title, address, queries in (
        ("orders", "/admin/topup/order/", orders),
        ("entries", "/admin/wallet/entry/", entries),
    ):
        text = operator.get(address).text
        around = dict(reversed(link) for link in re.findall(r'href="(\?(before|after)=\d+)"', text))
        some = {"list": "", "next page": around["before"], "last page": around["after"]} | queries
        for name, query in some.items():
            found[f"{title}: {name}"] = lambda url=address + query: operator.get(url)  # type: ignore[misc]
    found["one order"] = lambda: operator.get(f"/admin/topup/order/{order.pk}/change/")
    for number in (1, 3):
        found[f"history: page {number}"] = lambda n=number: buyer.get(f"/recharge/orders?page={n}")  # type: ignore[misc]
    return found


def show(figures: dict[str, dict[str, float]]) -> None:
    print(f"\nOrders, entries and a user's history, {FEW:,} rows and {MANY:,} (CPU, best of {REPEATS} requests).\n")
    print(f"{'':28}{'few, ms':>12}{'many, ms':>12}{'ratio':>10}")
    for page, times in figures.items():
        print(f"{page:28}{times['few_ms']:>12}{times['many_ms']:>12}{times['ratio']:>10}")
