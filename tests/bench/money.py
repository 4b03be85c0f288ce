"""Payments settled and orders placed through the whole HTTP stack, beside pgbench."""

import json
import os
import sys
from datetime import timedelta
from typing import Any

from .load import Measured

WALLETS = 100
WARM_UP = 200


def notices(orders: int, clients: int) -> dict[str, float]:
    from topup.models import Order
    from voicehelper.wallet.models import Wallet

    from . import pgbench

    ours, wallets, quota = settled(orders, clients)
    pending(orders, wallets)
    first = Order.objects.filter(state="pending").order_by("id")[0].pk
    # Wallet ids are consecutive, and orders took turns with them; pgbench reckons which belongs to which.
    first_wallet: int = Wallet.objects.order_by("id")[0].pk
    shift = (Order.objects.get(pk=first).user.wallet.pk - first_wallet - first) % WALLETS
    facts = {"base": first - 1, "first_wallet": first_wallet, "wallets": WALLETS, "quota": quota, "shift": shift}
    theirs = pgbench.settle(orders, clients=clients, **facts)
    return row(ours, theirs)


def settled(orders: int, clients: int) -> tuple[Measured, list[Any], int]:
    """Notices of so many new orders; whose wallets these were, and the quota of each."""
    from tests.merchants import WECHAT
    from tests.processes import Server
    from topup.models import Order

    from .load import drive, request

    WECHAT.configure()
    wallets = people()
    quota = pending(WARM_UP + orders, wallets)

    def bodies(some: Any) -> list[bytes]:
        return [request("/api/wechat/notify", WECHAT.notice(order), "text/xml") for order in some]

    new = Order.objects.filter(user__in=[wallet.user_id for wallet in wallets], state="pending")
    waiting = list(new.order_by("id"))
    with Server() as server:
        drive(server.port, server.pid, bodies(waiting[:WARM_UP]), clients=clients, wanted=b"SUCCESS")
        ours = drive(server.port, server.pid, bodies(waiting[WARM_UP:]), clients=clients, wanted=b"SUCCESS")
    if left := new.count():
        raise RuntimeError(f"{left} orders were not credited.")
    return ours, wallets, quota


def placed(orders: int, clients: int) -> dict[str, float]:
    from . import pgbench

    ours, like = asked(orders, clients)
    return row(ours, pgbench.place(orders, clients=clients, like=like))


def asked(orders: int, clients: int) -> tuple[Measured, int]:
    """So many orders placed; and one of them."""
    import socket
    from pathlib import Path

    from tests.merchants import WECHAT
    from tests.processes import Server
    from topup.models import Order
    from voicehelper.accounts.models import User
    from voicehelper.accounts.services import issue_token
    from voicehelper.embedded.process import Process

    from .load import drive, request

    tokens = [issue_token(user) for user in User.objects.filter(username__startswith="bench")[:20]]
    ask = json.dumps({"amount": 10, "payment_method": "wechat"}).encode()
    asks = [
        request("/api/user/wechat/pay", ask, "application/json", f"Authorization: Bearer {tokens[n % len(tokens)]}")
        for n in range(WARM_UP + orders)
    ]
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        account = [WECHAT.app_id, WECHAT.mch_id, WECHAT.key]
        command = [sys.executable, "-m", "tests.bench.provider", *account, str(listener.fileno())]
        data = Path(os.environ["VOICEHELPER_DATA"])
        with (
            Process("bench-provider", command, data, pass_fds=[listener.fileno()]),
            Server(WECHAT_PAY_BASE_URL=address) as server,
        ):
            drive(server.port, server.pid, asks[:WARM_UP], clients=clients, wanted=b"weixin://")
            ours = drive(server.port, server.pid, asks[WARM_UP:], clients=clients, wanted=b"weixin://")
    like: int = Order.objects.filter(state="pending").latest("id").pk
    return ours, like


def people() -> list[Any]:
    """Users with a wallet each, its ids consecutive."""
    from voicehelper.accounts.models import User
    from voicehelper.wallet.models import Wallet

    users = User.objects.bulk_create([User(username=f"bench{n}") for n in range(WALLETS)])
    return Wallet.objects.bulk_create([Wallet(user=user) for user in users])


def pending(orders: int, wallets: list[Any]) -> int:
    """That many orders that wait for payment, the users taking turns; the quota of each."""
    from tests.merchants import WECHAT
    from tests.orders import pending_order
    from topup.models import Order
    from voicehelper import clock

    like = pending_order(wallets[0].user, WECHAT)
    facts = {
        field.attname: getattr(like, field.attname) for field in Order._meta.concrete_fields if not field.primary_key
    }
    like.delete()
    now = clock.now()
    facts |= {"next_ask_at": now + timedelta(hours=1)}
    Order.objects.bulk_create(
        Order(**facts | {"order_no": Order.new_number(now), "user_id": wallets[n % WALLETS].user_id})
        for n in range(orders)
    )
    return like.quota


def row(ours: Any, pgbench: float) -> dict[str, float]:
    return {
        "per_second": round(ours.per_second, 1),
        "cpu_ms": round(ours.cpu_ms, 2),
        "database_cpu_ms": round(ours.database_cpu_ms, 2),
        "p50_ms": round(ours.p50_ms, 1),
        "p99_ms": round(ours.p99_ms, 1),
        "pgbench_per_second": round(pgbench, 1),
        "ratio": round(ours.per_second / pgbench, 3),
    }


def show(figures: dict[str, dict[str, float]], orders: int, clients: int) -> None:
    print(f"\n{orders} orders, {clients} clients, one server process, durable commits; pgbench does the same writes.\n")
    columns = ("per_second", "cpu_ms", "database_cpu_ms", "p50_ms", "p99_ms", "pgbench_per_second", "ratio")
    heads = ("per second", "CPU ms each", "PostgreSQL's", "p50 ms", "p99 ms", "pgbench per s", "ratio")
    print(f"{'':16}" + "".join(f"{head:>15}" for head in heads))
    for name, values in figures.items():
        print(f"{name:16}" + "".join(f"{values[column]:>15}" for column in columns))
