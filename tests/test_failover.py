"""The database's primary is lost while people pay and chat, and its standby takes over: nothing that somebody was told
is missing there, and no server is started anew."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llm.models import Model
from llm.seeds import plant
from tests import own_postgres
from tests.conftest import full
from tests.image import ROOT
from tests.llm.conftest import STREAM
from tests.llm.upstream import Upstream, in_a_thread
from tests.merchants import WECHAT
from tests.nodes import Node
from tests.orders import pending_order
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.embedded.postgres import DATABASE, SUPERUSER, Postgres
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = [pytest.mark.rare, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
CHATS = 4


@dataclass
class Crowd:
    """Notices that come until each is acknowledged, and people who chat without end."""

    nodes: list[Node]
    notices: dict[str, bytes]
    key: str
    over: threading.Event = field(default_factory=threading.Event)
    acknowledged: set[str] = field(default_factory=set)
    answered: int = 0
    refused: bytes = b""

    def deliver(self, number: int, order_no: str) -> None:
        """As the provider does: to any node, again until one says that it has it."""
        while order_no not in self.acknowledged and not self.over.is_set():
            reply = self.nodes[number % len(self.nodes)].post("/api/wechat/notify", self.notices[order_no])
            if b"SUCCESS" in reply.body:
                self.acknowledged.add(order_no)
            else:
                time.sleep(0.2)

    def chat(self, number: int) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        while not self.over.is_set():
            reply = self.nodes[number % len(self.nodes)].post_json("/v1/chat/completions", STREAM, headers=headers)
            if reply.status == 200 and reply.body.rstrip().endswith(b"[DONE]"):
                self.answered += 1
            else:
                self.refused = reply.body[:300]
                time.sleep(0.2)

    @contextmanager
    def busy(self) -> Iterator[None]:
        with ThreadPoolExecutor(8) as deliverers, ThreadPoolExecutor(CHATS) as people:
            try:
                work = [people.submit(self.chat, number) for number in range(CHATS)]
                self.until(acknowledged=0, answered=5)
                work += [deliverers.submit(self.deliver, *each) for each in enumerate(self.notices)]
                yield
            finally:
                self.over.set()
            for each in work:
                each.result()

    def until(self, *, acknowledged: int, answered: int) -> None:
        deadline = time.monotonic() + 120
        while len(self.acknowledged) < acknowledged or self.answered < answered:
            assert time.monotonic() < deadline, (len(self.acknowledged), self.answered, self.refused)
            time.sleep(0.02)


@pytest.fixture
def pair(buyer: User, wechat: Any, tmp_path: Path) -> Iterator[tuple[Postgres, Postgres, Crowd]]:
    """A primary, its synchronous standby, and two nodes that know both."""
    plant(Model)
    credit(buyer, 10**9, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    _, key = create_api_key(buyer, "crowd")
    orders = [pending_order(buyer, WECHAT) for _ in range(full(soak=2000, quick=300))]
    notices = {order.order_no: WECHAT.notice(order) for order in orders}
    with (
        in_a_thread(Upstream()) as upstream,
        own_postgres.primary(tmp_path / "a") as first,
        own_postgres.standby(first, tmp_path / "b") as second,
    ):
        changes = {
            "DATABASE_HOST": f"{first.sockets},{second.sockets}",
            "DATABASE_NAME": DATABASE,
            "DATABASE_USER": SUPERUSER,
            "ARK_API_KEY": "ark-key",
            "ARK_BASE_URL": upstream.url,
        }
        with Node(**changes) as one, Node(**changes) as other:
            yield first, second, Crowd([one, other], notices, key)


def test_what_was_acknowledged_is_on_the_standby_that_takes_over_from_a_killed_primary(
    pair: tuple[Postgres, Postgres, Crowd],
) -> None:
    first, second, crowd = pair
    with crowd.busy():
        crowd.until(acknowledged=len(crowd.notices) // 6, answered=10)
        own_postgres.kill(first)
        time.sleep(1)
        told, answered = frozenset(crowd.acknowledged), crowd.answered
        assert crowd.nodes[0].get("/readyz").status == 503
        lost_at = time.monotonic()
        own_postgres.ask(second, "SELECT pg_promote()")
        crowd.until(acknowledged=len(told) + 1, answered=answered + 1)
        back_after = time.monotonic() - lost_at
        crowd.until(acknowledged=len(crowd.notices), answered=answered + 20)
    print(
        f"\n{len(told)} payments and {answered} answers told before; both went on {back_after:.1f} s after promotion."
    )
    paid = {number for (number,) in own_postgres.ask(second, "SELECT order_no FROM topup_order WHERE state = 'paid'")}
    assert told < crowd.acknowledged == paid
    recharges = own_postgres.ask(second, "SELECT ref FROM wallet_entry WHERE kind = 'topup'")
    assert len(recharges) == len(set(recharges)) == len(paid)
    ((spent,),) = own_postgres.ask(second, "SELECT count(*) FROM wallet_entry WHERE kind = 'spend'")
    assert spent >= crowd.answered
    assert all(node.get("/readyz").status == 200 for node in crowd.nodes)
    audit = [sys.executable, "manage.py", "audit"]
    done = subprocess.run(audit, cwd=ROOT, env=crowd.nodes[0].environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
