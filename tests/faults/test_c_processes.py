"""C: the same payment told many times at once, to several server processes, and a payment that nobody tells."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import pytest
from django.db import connection
from django.db.models.functions import Now

from sandbox.models import Delivery
from tests.conftest import full
from tests.crashpoints import Forge
from tests.merchants import ALIPAY, WECHAT, AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from tests.processes import Answering, Reply, open_sandbox_accounts
from topup import services
from topup.models import Notice, Order
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token
from voicehelper.wallet.models import Wallet

from .workers import Workers, credited_once

pytestmark = pytest.mark.django_db(transaction=True)

NOTICES = 100
SENDERS = 20
KINDS = {"wechat": "text/xml", "alipay": "application/x-www-form-urlencoded"}


class Forked(Answering):
    """Two processes that answer on one port."""

    def __init__(self, forge: Forge, listener: socket.socket) -> None:
        self._forge, self._listener = forge, listener
        self.port = listener.getsockname()[1]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def start(self) -> None:
        self._processes = [self._forge.serve(self._listener) for _ in range(2)]

    def kill(self) -> None:
        for process in self._processes:
            self._forge.end(process)


@dataclass(frozen=True)
class Cluster:
    """Two servers of two processes each on one database."""

    servers: tuple[Forked, Forked]

    def post_at_once(self, path: str, kind: str, bodies: list[bytes]) -> list[bytes]:
        """All of them sent but for their last byte, then the last bytes from SENDERS threads at one moment."""
        start = threading.Barrier(SENDERS)

        def send(mine: list[tuple[int, bytes]]) -> list[bytes]:
            sockets = []
            for number, body in mine:
                sock = socket.create_connection(("127.0.0.1", self.servers[number % 2].port), timeout=30)
                head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {kind}\r\n"
                sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1])
                sockets.append((sock, body[-1:]))
            start.wait(30)
            for sock, last in sockets:
                sock.sendall(last)
            return [_to_the_end(sock) for sock, _ in sockets]

        work = list(enumerate(bodies))
        with ThreadPoolExecutor(SENDERS) as pool:
            answers = list(pool.map(send, [work[number::SENDERS] for number in range(SENDERS)]))
        return [answers[number % SENDERS][number // SENDERS] for number in range(len(bodies))]

    def tell(self, gateway: str, notices: list[bytes]) -> int:
        """All at once; on a busy machine some are not through in time, and are sent again. How many were sent."""
        sent, left = 0, notices
        for _ in range(3):
            answers = self.post_at_once(f"/api/{gateway}/notify", KINDS[gateway], left)
            assert len(answers) == len(left)
            sent += len(left)
            late = [not is_acknowledged(answer) for answer in answers]
            assert all(b" 503 " in answer[:20] for answer, is_late in zip(answers, late, strict=True) if is_late)
            left = list(itertools.compress(left, late))
            if not left:
                break
        assert not left
        return sent


def _to_the_end(sock: socket.socket) -> bytes:
    answer = b""
    with sock:
        while part := sock.recv(65536):
            answer += part
    return answer


@pytest.fixture(scope="module")
def _cluster(_workers: Workers) -> Iterator[Cluster]:
    with ExitStack() as stack:
        first, second = (stack.enter_context(Forked(_workers.forge, listener)) for listener in _workers.spare)
        yield Cluster((first, second))


@pytest.fixture
def cluster(_cluster: Cluster, workers: Workers) -> Cluster:
    return _cluster


def is_acknowledged(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.startswith(b"HTTP/1.1 200") and (b"<return_code><![CDATA[SUCCESS]]>" in body or body == b"success")


@pytest.mark.rare
@pytest.mark.parametrize("merchant", [WECHAT, ALIPAY], ids=["wechat", "alipay"])
def test_C2_a_hundred_notices_at_once_to_four_processes_credit_once(
    cluster: Cluster, buyer: User, books_agree: Callable[[], None], merchant: WeChatMerchant | AlipayMerchant
) -> None:
    merchant.configure()
    gateway = "wechat" if merchant is WECHAT else "alipay"
    for _ in range(full(20, 1)):
        order = pending_order(buyer, merchant)
        sent = cluster.tell(gateway, [merchant.notice(order)] * NOTICES)
        assert credited_once(order)
        verdicts = Notice.objects.filter(order=order).values_list("verdict", flat=True)
        assert sorted(verdicts) == ["credited"] + ["duplicate"] * (len(verdicts) - 1)
        # One that was answered "send it again" may have left its row before.
        assert NOTICES <= len(verdicts) <= sent
    books_agree()


@pytest.mark.rare
def test_C2_notices_of_a_hundred_orders_of_one_user_at_once_add_up(
    cluster: Cluster, buyer: User, books_agree: Callable[[], None]
) -> None:
    """A hot wallet: `balance += amount; save()` anywhere would lose most of it."""
    WECHAT.configure()
    orders = [pending_order(buyer, WECHAT) for _ in range(NOTICES)]
    cluster.tell("wechat", [WECHAT.notice(order) for order in orders])
    for order in orders:
        assert credited_once(order)
    assert Wallet.objects.get(user=buyer).balance == sum(order.quota for order in orders)
    books_agree()


def place(cluster: Cluster, token: str, gateway: str) -> Order:
    ask = {"amount": 10, "payment_method": gateway}
    headers = {"Authorization": f"Bearer {token}"}
    reply = cluster.servers[0].post_json(f"/api/user/{gateway}/pay", ask, headers=headers)
    assert reply.status == 200, reply
    return Order.objects.get(order_no=reply.json["data"]["order_id"])


def pay_with_lost_notice(cluster: Cluster, order: Order) -> bytes:
    """Pay by phone; the notice that the provider signed, and that never arrives."""
    reply = cluster.servers[0].post_json("/sandbox/phone/pay", {"code": order.pay_url, "fault": "drop"})
    assert reply.status == 200, reply
    body: str = Delivery.objects.get(trade__out_trade_no=order.order_no).body
    return body.encode()


def poll(server: Forked, token: str, order: Order) -> Reply:
    return server.get(f"/api/user/topup/orders/{order.order_no}", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.rare
@pytest.mark.parametrize("gateway", KINDS)
def test_C3_notices_polls_and_sweeps_that_all_find_it_paid_credit_once(
    cluster: Cluster, buyer: User, books_agree: Callable[[], None], gateway: str
) -> None:
    open_sandbox_accounts()
    token = issue_token(buyer)
    for _ in range(full(10, 1)):
        order = place(cluster, token, gateway)
        notice = pay_with_lost_notice(cluster, order)
        Order.objects.filter(pk=order.pk).update(created=Now() - services.POLL_AFTER * 2, next_ask_at=Now())
        start = threading.Barrier(30)

        def tell(n: int, order: Order = order, notice: bytes = notice, start: threading.Barrier = start) -> bool:
            server = cluster.servers[n % 2]
            start.wait(30)
            if n < 18:
                reply = server.post(f"/api/{gateway}/notify", notice, KINDS[gateway])
                return reply.status == 200 and (b"SUCCESS" in reply.body or reply.body == b"success")
            if n < 26:
                return poll(server, token, order).status == 200
            try:
                services.follow_orders()
            finally:
                connection.close()
            return True

        with ThreadPoolExecutor(30) as pool:
            assert all(pool.map(tell, range(30)))
        assert credited_once(order)
    books_agree()


@pytest.mark.rare
def test_C3_while_a_server_is_killed_and_started_again_every_payment_is_credited_once(
    cluster: Cluster, buyer: User, books_agree: Callable[[], None]
) -> None:
    WECHAT.configure()
    orders = [pending_order(buyer, WECHAT) for _ in range(full(2000, 60))]
    victim, survivor = cluster.servers

    def kill_and_restart() -> None:
        for _ in range(full(10, 1)):
            time.sleep(0.3)
            victim.kill()
            victim.start()

    def deliver(order: Order) -> bool:
        """As a provider does: again, until it is acknowledged."""
        notice = WECHAT.notice(order)
        return any(
            b"SUCCESS" in server.post("/api/wechat/notify", notice, timeout_s=2).body
            for server in (victim, victim, survivor, survivor, survivor)
        )

    killer = threading.Thread(target=kill_and_restart)
    killer.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(deliver, orders))
    finally:
        killer.join()
    for order in orders:
        assert credited_once(order)
    assert Wallet.objects.get(user=buyer).balance == sum(order.quota for order in orders)
    books_agree()
