"""C, between processes: several real servers, one PostgreSQL, everything at the same moment."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import full
from tests.orders import pending_order
from tests.processes import Server
from topup.models import Notice, Order
from voicehelper.accounts.models import User

from .conftest import credited_once
from .scripted import Merchant, gateway_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

KINDS = {"wechat": "text/xml", "alipay": "application/x-www-form-urlencoded"}
ACKNOWLEDGED = {"wechat": b"<return_code><![CDATA[SUCCESS]]></return_code>", "alipay": b"success"}
SENDERS = 20
# Every server process is its own uvicorn with its own connections.
SERVERS = 3


@pytest.fixture
def servers(db: None) -> Iterator[list[Server]]:
    addresses = {"WECHAT_PAY_BASE_URL": "http://127.0.0.1:9", "ALIPAY_GATEWAY_URL": "http://127.0.0.1:9/gateway.do"}
    started = [Server(**addresses) for _ in range(SERVERS)]
    try:
        for server in started:
            server.start(wait=False)
        for server in started:
            server.wait()
        yield started
    finally:
        for server in started:
            server.stop()


def deliver_at_once(servers: list[Server], path: str, kind: str, each: list[list[bytes]]) -> list[bytes]:
    """One sender for each list of bodies, spread over the servers, all from the same moment; every answer."""
    together = threading.Barrier(len(each))

    def send(number: int) -> list[bytes]:
        server = servers[number % len(servers)]
        together.wait(60)
        replies = [server.post(path, body, kind) for body in each[number]]
        return [reply.body if reply.status == 200 else b"" for reply in replies]

    with ThreadPoolExecutor(len(each)) as senders:
        return [answer for answers in senders.map(send, range(len(each))) for answer in answers]


def test_C2_a_hundred_identical_notices_at_once_credit_once(
    servers: list[Server], buyer: User, merchant: Merchant, books_agree: Callable[[], None]
) -> None:
    gateway = gateway_of(merchant)
    for _ in range(full(5, 1)):
        order = pending_order(buyer, merchant)
        notice = merchant.notice(order)
        answers = deliver_at_once(
            servers, f"/api/{gateway}/notify", KINDS[gateway], [[notice] * (100 // SENDERS)] * SENDERS
        )
        assert len(answers) == 100
        assert all(ACKNOWLEDGED[gateway] in answer for answer in answers), Counter(answers)
        credited_once(order)
        verdicts = Counter(Notice.objects.filter(order=order).values_list("verdict", flat=True))
        assert verdicts == {Notice.Verdict.CREDITED: 1, Notice.Verdict.DUPLICATE: 99}
    books_agree()


def test_C2_a_hot_wallet_loses_no_payment_between_processes(
    servers: list[Server], buyer: User, merchant: Merchant, books_agree: Callable[[], None]
) -> None:
    """Many different orders of one user at once: each is counted by itself, an excess cannot hide a loss."""
    gateway = gateway_of(merchant)
    orders = [pending_order(buyer, merchant) for _ in range(full(400, 60))]
    each = [[merchant.notice(order) for order in orders[number::SENDERS]] for number in range(SENDERS)]
    answers = deliver_at_once(servers, f"/api/{gateway}/notify", KINDS[gateway], each)
    assert all(ACKNOWLEDGED[gateway] in answer for answer in answers), Counter(answers)
    for order in orders:
        credited_once(order)
    assert Order.objects.get(pk=orders[0].pk).user.wallet.balance == sum(order.quota for order in orders)
    books_agree()
