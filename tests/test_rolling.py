"""Everything is replaced while people pay and chat, behind the proxies that deploy/ sets up: nobody notices."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llm.models import Model
from llm.seeds import plant
from tests.conftest import SOAK, full
from tests.llm.conftest import STREAM
from tests.llm.upstream import Asked, Upstream, in_a_thread, stream
from tests.nodes import Node, free_port
from tests.processes import Reply, Server, open_sandbox_accounts, request
from tests.proxies import PROXIES, asks_again_with_body, here, in_front
from topup.models import Order
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key, issue_token
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit, reap_holds

pytestmark = [pytest.mark.rare, pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]

CHATS = 20
ORDERS_PER_SECOND = 5.0
# A stream's length; the drain is longer.
WORDS, PAUSE_S = 30, 0.1


@dataclass
class Crowd:
    """Twenty who chat and some who pay, one after the other without end, through the proxy."""

    port: int
    token: str
    key: str
    over: threading.Event = field(default_factory=threading.Event)
    chats: list[Reply] = field(default_factory=list)
    orders: list[Reply] = field(default_factory=list)

    def chat(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        while not self.over.is_set():
            body = json.dumps(STREAM).encode()
            self.chats.append(
                request(self.port, "POST", "/v1/chat/completions", body=body, headers=headers, timeout_s=120)
            )

    def order(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = json.dumps({"amount": 10, "payment_method": "wechat"}).encode()
        while not self.over.wait(1 / ORDERS_PER_SECOND * 4):
            path = "/api/user/wechat/pay"
            self.orders.append(request(self.port, "POST", path, body=body, headers=headers, timeout_s=120))

    def failed(self) -> dict[str, int]:
        """What went wrong, counted: status 0 is a connection that broke."""
        found: dict[str, int] = {}
        for kind, replies in (("chat", self.chats), ("order", self.orders)):
            for reply in replies:
                if reply.status != 200:
                    what = f"{kind} {reply.status} {reply.body[:60]!r}"
                elif kind == "chat" and not reply.body.rstrip().endswith(b"[DONE]"):
                    what = "chat cut"
                else:
                    continue
                found[what] = found.get(what, 0) + 1
        return found


@dataclass
class Deployment:
    nodes: list[Node]
    crowd: Crowd
    upstream: Upstream
    proxy: str

    def busy(self, seconds: float) -> None:
        """As long as it takes until everybody has been served again."""
        done = len(self.crowd.orders)
        time.sleep(seconds)
        while len(self.crowd.orders) < done + 3:
            time.sleep(0.1)


@pytest.fixture(params=PROXIES)
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """Two nodes behind a real proxy, with stand-ins for the providers that nobody stops."""
    if not here(request.param):
        pytest.skip(f"There is no {request.param} here.")
    plant(Model)
    user = User.objects.create_user("buyer")
    credit(user, 10**12, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    upstream = Upstream(otherwise=slowly)
    with ExitStack() as stack:
        stack.enter_context(in_a_thread(upstream))
        providers = stack.enter_context(Server())
        open_sandbox_accounts()
        port = free_port()
        write_options({"ServerAddress": f"http://127.0.0.1:{port}"})
        changes = {
            "WECHAT_PAY_BASE_URL": f"{providers.address}/sandbox/wechat",
            "ARK_API_KEY": "ark-key",
            "ARK_BASE_URL": upstream.url,
            "STOP_LEAD_SECONDS": "5",
            "STOP_DRAIN_SECONDS": "60",
            "TRUSTED_PROXIES": "1",
        }
        nodes = [Node(address=f"http://127.0.0.1:{port}", **changes) for _ in range(2)]
        for node in nodes:
            stack.enter_context(node)
        stack.enter_context(in_front(request.param, tmp_path, port, [node.port for node in nodes]))
        crowd = Crowd(port, issue_token(user), create_api_key(user, "test")[1])
        pool = stack.enter_context(ThreadPoolExecutor(CHATS + 4))
        stack.callback(crowd.over.set)
        for work in [crowd.chat] * CHATS + [crowd.order] * 4:
            pool.submit(work)
        yield Deployment(nodes, crowd, upstream, request.param)


async def slowly(asked: Asked) -> Any:
    return await stream(["word"] * WORDS, (10, WORDS), pause_s=PAUSE_S)(asked)


def test_a_rolling_restart_loses_no_request_and_cuts_no_stream(
    deployment: Deployment, books_agree: Callable[[], None]
) -> None:
    deployment.busy(3)
    for _ in range(full(5, 1)):
        for node in deployment.nodes:
            node.tell(signal.SIGTERM)
            assert node.ended() in {0, 128 + signal.SIGTERM}
            deployment.busy(1)
            node.start()
            node.wait()
            deployment.busy(3)
    deployment.crowd.over.set()
    wait_for_all(deployment)
    crowd = deployment.crowd
    print(f"{len(crowd.chats)} chats, {len(crowd.orders)} orders: {crowd.failed() or 'none failed'}")
    assert crowd.failed() == {}
    assert len(crowd.chats) >= CHATS
    assert Order.objects.filter(state=Order.State.PENDING).count() == len(crowd.orders)
    books_agree()


@pytest.mark.skipif(not SOAK, reason="make soak: while connections are counted a busy machine makes more")
def test_a_node_that_is_killed_takes_only_its_own_streams_with_it(deployment: Deployment) -> None:
    deployment.busy(3)
    doomed = deployment.nodes[0]
    assert doomed.process
    assert doomed.process.pid
    own = connections(doomed.port)
    os.kill(doomed.process.pid, signal.SIGKILL)
    deployment.busy(3)
    deployment.crowd.over.set()
    wait_for_all(deployment)
    failed = deployment.crowd.failed()
    print(f"{own} connections to the node that was killed: {failed}")
    if not asks_again_with_body(deployment.proxy):
        failed = {what: count for what, count in failed.items() if " 502 " not in what}
    assert 0 < sum(failed.values()) <= own
    reap_holds()


def connections(port: int) -> int:
    """How many there are to a port of loopback now, counted at its end; one more may be on its way."""
    ours = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1] == ours and row[3] == "01" for row in rows) + 1


def wait_for_all(deployment: Deployment) -> None:
    """Until those who chat and pay have had their last answers."""
    crowd, before = deployment.crowd, -1
    while before != (before := len(crowd.chats) + len(crowd.orders)):
        time.sleep(WORDS * PAUSE_S + 5)
