"""What an operator hears when something breaks, and how soon: the whole product in processes of its own, one outage
after the other. `make soak` runs it and prints the table of docs/operations.md; it lasts minutes, mostly waiting."""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from llm.models import Credential, Model
from llm.seeds import plant
from notifications.models import Alert, Channel, Rule
from notifications.room import sessions as sessions_of_all
from notifications.services import raise_alert
from sandbox.upstream.catalogue import BASE_PATHS, CUSTOMERS
from tests.conftest import SOAK
from tests.far_side import closed_port
from tests.faults.proxy import Proxy
from tests.merchants import WECHAT
from tests.orders import pending_order
from tests.processes import Server, database_address, database_url, open_sandbox_accounts, redis_address, redis_url
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key, issue_token
from voicehelper.embedded.process import Process
from voicehelper.wallet import services as wallets
from voicehelper.wallet.models import Entry

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1800),
    pytest.mark.rare,
    pytest.mark.skipif(not SOAK, reason="make soak: it waits for alerts that take minutes"),
]
PATIENCE_S = 420
# Django's own cursors need more than a connection.
PLAIN: dict[str, Any] = {"cursor_factory": psycopg.Cursor}


@dataclass
class House:
    """The product, with a proxy before everything that it needs, and what was heard of each outage."""

    server: Server
    worker: Process
    database: Proxy
    redis: Proxy
    platform: Proxy
    model: Proxy
    buyer: User
    key: str
    heard: list[tuple[str, str, float]] = field(default_factory=list)

    def pay(self) -> int:
        headers = {"Authorization": f"Bearer {issue_token(self.buyer)}"}
        ask = {"amount": 10, "payment_method": "wechat"}
        return self.server.post_json("/api/user/wechat/pay", ask, headers=headers).status

    def chat(self) -> int:
        ask = {"model": "doubao-pro", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.server.post_json("/v1/chat/completions", ask, headers=headers).status

    def hears(self, outage: str, what: str, sign: Callable[[], bool], doing: Callable[[], Any] | None = None) -> None:
        """Wait for the sign, while somebody does something; note how long it took."""
        started = time.monotonic()
        while not sign():
            assert time.monotonic() - started < PATIENCE_S, (outage, what)
            if doing is not None:
                doing()
            time.sleep(0.2)
        self.heard.append((outage, what, time.monotonic() - started))

    def hears_alert(self, outage: str, event: str, doing: Callable[[], Any] | None = None) -> None:
        self.hears(outage, f"`{event}`", Alert.objects.filter(event=event, resolved_at=None).exists, doing)

    def is_over(self, event: str, doing: Callable[[], Any] | None = None) -> None:
        """The alert ends by itself."""
        until = time.monotonic() + PATIENCE_S
        while Alert.objects.filter(event=event, resolved_at=None).exists():
            assert time.monotonic() < until, event
            if doing is not None:
                doing()
            time.sleep(0.5)


def celery(variables: dict[str, str]) -> Process:
    """Worker and beat in one."""
    data = Path(os.environ["VOICEHELPER_DATA"])
    command = [sys.executable, "-m", "celery", "-A", "voicehelper", "worker", "-B", "-s", str(data / "outages-beat")]
    command += ["-c", "2", "-l", "WARNING", "--without-gossip", "--without-mingle"]
    return Process("outages-worker", command, data, env=variables, grace_s=2)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own of 8 MB, where we may mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = os.geteuid() == 0 and os.system(f"mount -t tmpfs -o size=8m none {folder} 2>/dev/null") == 0
    try:
        yield folder
    finally:
        if mounted:
            os.system(f"umount {folder}")


@pytest.fixture
def house(buyer: User, tmp_path: Path) -> Iterator[House]:
    open_sandbox_accounts()
    plant(Model)
    wallets.credit(buyer, 10**9, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    with ExitStack() as stack:
        enter = stack.enter_context
        stand_ins = enter(Server())
        far = ("127.0.0.1", stand_ins.port)
        database, redis = enter(Proxy(database_address())), enter(Proxy(redis_address()))
        platform, model = enter(Proxy(far)), enter(Proxy(far))
        disk = enter(small_disk(tmp_path / "disk"))
        variables = {
            "DATABASE_URL": database_url(database.address),
            "REDIS_URL": redis_url(redis.address),
            "WECHAT_PAY_BASE_URL": f"http://{platform.address}/sandbox/wechat",
            "FILES_DIR": str(disk / "files"),
            "DINGTALK_BASE_URL": f"http://127.0.0.1:{closed_port()}",
            "ARK_API_KEY": CUSTOMERS["ark"][0].key,
            "ARK_BASE_URL": f"http://{model.address}{BASE_PATHS['ark']}",
        }
        server = enter(Server(**variables))
        worker = celery(server.environment)
        key = create_api_key(buyer, "test")[1]
        found = House(server, worker, database, redis, platform, model, buyer, key)
        stack.callback(lambda: found.worker.stop())
        yield found


def test_each_outage_is_heard_of(house: House) -> None:
    # The jobs have run once; from then on silence is noticed.
    house.hears("a start", "all is well", lambda: house.chat() == 200)
    assert house.pay() == 200

    house.platform.mode = "down"
    house.hears_alert("a payment platform does not answer", "gateway_unreachable", house.pay)
    house.platform.heal()
    house.is_over("gateway_unreachable", house.pay)

    house.model.mode = "down"
    house.hears_alert("a model provider does not answer", "provider_circuit_open", house.chat)
    house.model.heal()
    house.is_over("provider_circuit_open", house.chat)

    Credential.objects.update(api_key=CUSTOMERS["ark"][-1].key)
    house.hears_alert("a model provider was not paid", "provider_low_balance", house.chat)
    Credential.objects.update(api_key=CUSTOMERS["ark"][0].key)
    house.is_over("provider_low_balance", house.chat)

    forged = WECHAT.notice(pending_order(house.buyer, WECHAT)).replace(b"<sign>", b"<sign>0")
    house.hears_alert("forged notices", "forged_notice", lambda: house.server.post("/api/wechat/notify", forged))

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; UPDATE wallet_wallet SET balance = balance + 1")
        cursor.execute("SET session_replication_role = DEFAULT")
    house.hears_alert("somebody changed a balance by hand", "audit_failed")
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; UPDATE wallet_wallet SET balance = balance - 1")
        cursor.execute("SET session_replication_role = DEFAULT")

    with ExitStack() as sessions:
        while (room := sessions_of_all()).share < 0.93:
            for _ in range(int(room.most * 0.93) - room.used + 1):
                sessions.enter_context(psycopg.connect(**connection.get_connection_params() | PLAIN))
        house.hears_alert("PostgreSQL has hardly a session left", "sessions_run_out")
    house.is_over("sessions_run_out")

    disk = Path(house.server.environment["FILES_DIR"]).parent
    if os.path.ismount(disk):
        (disk / "ballast").write_bytes(bytes(int(shutil.disk_usage(disk).free * 0.96)))
        house.hears_alert("the disk of users’ files fills up", "disk_fills")
        (disk / "ballast").unlink()
        house.is_over("disk_fills")

    webhook = "https://oapi.dingtalk.com/robot/send?access_token=none"
    dead = Channel.objects.create(name="dead", kind="dingtalk", webhook=webhook)
    Rule.objects.create(channel=dead, event=Rule.EVERY, least=Rule.Least.INFO)
    for _ in range(2):
        raise_alert("late_payment", title=f"Something to tell {secrets.token_hex(4)}")
    house.hears_alert("a channel of alerts does not work", "channel_failed")
    dead.delete()

    house.worker.stop()
    house.hears_alert("worker and beat are dead", "job_missed")
    house.worker = celery(house.server.environment)
    house.is_over("job_missed")

    house.redis.mode = "down"
    house.hears("Valkey is dead", "`/healthz` 503", lambda: house.server.get("/healthz").status == 503)
    assert house.server.get("/readyz").status == 200
    house.redis.heal()

    house.database.mode = "down"
    house.hears("PostgreSQL is dead", "`/readyz` 503", lambda: house.server.get("/readyz").status == 503)
    house.database.heal()
    house.hears("PostgreSQL is back", "`/readyz` 200", lambda: house.server.get("/readyz").status == 200)

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'llm' AND name >= '0017'")
    with Server() as newer:
        house.hears("an upgrade that failed", "`/readyz` 503", lambda: newer.get("/readyz").status == 503)
    call_command("migrate", "llm", fake=True, verbosity=0)

    print("\n| outage | heard by | after |\n|---|---|---|")
    for outage, what, seconds in house.heard:
        print(f"| {outage} | {what} | {seconds:.0f} s |")
