"""What operators and users click, over the rows of filling.py: lists and their filters, searches, statistics, files."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from .filling import DAYS

REPEATS = 9

Ask = Callable[[], Any]


def pages() -> dict[str, Ask]:
    """By what they are. A stretch of days is a tenth of all, so that the fewest rows fill a page, too."""
    from django.test import Client

    from voicehelper.accounts.models import User

    operator, user = Client(SERVER_NAME="127.0.0.1"), Client(SERVER_NAME="127.0.0.1")
    operator.force_login(User.objects.get_or_create(username="bench-boss", is_staff=True, is_superuser=True)[0])
    user.force_login(User.objects.get(username="payer5"))
    found: dict[str, Ask] = {}
    for title, address, queries in _lists():
        for name, query in (_positions(operator, address) | queries).items():
            found[f"{title}: {name}"] = _asking(operator, address + query)
    for title, address in _figures().items():
        found[title] = _asking(operator, address)
    for title, address in _own().items():
        found[f"a user: {title}"] = _asking(user, address)
    return found


def _asking(client: Any, address: str) -> Ask:
    def ask() -> Any:
        response = client.get(address)
        if response.streaming:
            # A file: all of it.
            b"".join(response.streaming_content)
        return response

    return ask


def _positions(operator: Any, address: str) -> dict[str, str]:
    around = dict(reversed(link) for link in re.findall(r'href="(\?(before|after)=\d+)"', operator.get(address).text))
    return {"first page": "", "next page": around["before"], "last page": around["after"]}


def _lists() -> Iterator[tuple[str, str, dict[str, str]]]:
    from llm.models import Usage
    from topup.models import Order
    from voicehelper.wallet.models import Entry

    # Of the middle, which no cache has seen lately.
    order = Order.objects.filter(transaction_id__isnull=False).order_by("id")[350]
    call, entry = Usage.objects.order_by("id")[700], Entry.objects.order_by("id")[700]
    days = _days(DAYS // 10)
    whose = {"one user": "?username=payer7", "a stretch of days": f"?{days}", "by user": "?q=payer7"}
    orders = {
        "state": "?state=pending",
        "gateway": "?gateway=alipay",
        "needs review": "?mark=review",
        "paid late": "?mark=late",
        "sandbox": "?mark=sandbox",
        "state, days": f"?state=paid&{days}",
        "by order number": f"?q={order.order_no}",
        "by transaction": f"?q={order.transaction_id}",
        "file of one user": "export.csv?username=payer7",
    }
    yield "orders", "/admin/topup/order/", whose | orders
    entries = {
        "kind": "?kind=topup",
        "kind, days": f"?kind=topup&{days}",
        "by reference": f"?q={entry.ref}",
        "file of one user": "export.csv?username=payer7",
    }
    yield "entries", "/admin/wallet/entry/", whose | entries
    usage = {
        "failed": "?outcome=failed",
        "one model": f"?model_name={call.model_name}",
        "failed, days": f"?outcome=failed&{days}",
        "by request id": f"?q={call.request_id}",
        "file of one user": "export.csv?username=payer7",
    }
    yield "calls", "/admin/llm/usage/", whose | usage


def _days(many: int, back: int = 5) -> str:
    from voicehelper import clock

    last = clock.today() - timedelta(days=back)
    return f"created_from={last - timedelta(days=many - 1)}&created_to={last}"


def _figures() -> dict[str, str]:
    from topup.models import Order
    from voicehelper import clock
    from voicehelper.accounts.models import User

    order = Order.objects.order_by("-id")[350]
    month = _span(clock.today() - timedelta(days=60), clock.today() - timedelta(days=31))
    return {
        "front page": "/admin/",
        "one order": f"/admin/topup/order/{order.pk}/change/",
        "one customer": f"/admin/accounts/user/{User.objects.get(username='payer7').pk}/change/",
        "finding anything": f"/admin/find/?q={order.order_no}",
        "income, 30 days": "/admin/topup/order/statistics/?days=30",
        "income, a month": f"/admin/topup/order/statistics/?{month}",
        "income by gateway": "/admin/topup/order/statistics/?days=30&by=gateway",
        "income by group": "/admin/topup/order/statistics/?days=30&by=group",
        "income, file": "/admin/topup/order/statistics.csv?days=30",
        "models, 30 days": "/admin/llm/usage/statistics/",
        "models, last hour": "/admin/llm/usage/statistics/?span=hour",
        "who spent, yesterday": "/admin/llm/usage/spenders/",
        "who spent, 30 days": "/admin/llm/usage/spenders/?days=30",
        "wallets": "/admin/wallet/wallet/",
        "users": "/admin/accounts/user/",
        "closed periods": "/admin/wallet/closedperiod/",
    }


def _span(first: date, last: date) -> str:
    return f"from={first}&to={last}"


def _own() -> dict[str, str]:
    return {
        "orders": "/recharge/orders",
        "orders, page 3": "/recharge/orders?page=3",
        "usage": "/usage",
        "usage, file": "/usage.csv",
        "statement": "/statement",
        "statement, file": "/statement.csv",
    }


def took_ms(ask: Ask, repeats: int = REPEATS) -> float:
    """CPU milliseconds of this process and of PostgreSQL's for it, the best: others may be busy on this machine. One
    that takes seconds is asked twice."""
    from django.db import connection

    with connection.cursor() as cursor:
        # All of its work in that one process, where it can be counted.
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute("SELECT pg_backend_pid()")
        theirs = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")
    took: list[float] = []
    while len(took) < (2 if took and took[0] > 2000 else repeats):
        before = time.process_time_ns() + _on_cpu_ns(theirs)
        response = ask()
        took.append((time.process_time_ns() + _on_cpu_ns(theirs) - before) / 1_000_000)
        if response.status_code != 200:
            raise RuntimeError(f"{response.request['PATH_INFO']}: {response.status_code}")
    return min(took)


def _on_cpu_ns(schedstat: Path) -> int:
    return int(schedstat.read_text().split()[0])
