"""PgBouncer lends sessions for a transaction: web nodes work through it, with a few sessions for many threads."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection

from llm.models import Credential, Model
from llm.seeds import plant
from sandbox import buyer as sandbox_buyer
from tests.llm.conftest import ASK, STREAM
from tests.llm.upstream import Upstream, in_a_thread
from tests.nodes import Node, free_port
from tests.processes import open_sandbox_accounts
from tests.proxies import here
from tests.refunds import trade_of
from topup.models import Order
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key, issue_token
from voicehelper.embedded.process import Process
from voicehelper.embedded.unprivileged import server_user
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

pytestmark = [
    pytest.mark.rare,
    pytest.mark.timeout(600),
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not here("pgbouncer"), reason="There is no pgbouncer here."),
]
LENT = 4
_CONFIG = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {lent}
max_client_conn = 500
application_name_add_host = 0
"""


@pytest.fixture
def node(tmp_path: Path, transactional_db: None) -> Iterator[Node]:
    at, port = connection.settings_dict, free_port()
    facts = {"host": at["HOST"], "port": at["PORT"] or 5432, "user": at["USER"]}
    (tmp_path / "pgbouncer.ini").write_text(_CONFIG.format(**facts, listen=port, lent=LENT))
    command = [*map(str, server_user().prefix), "/usr/sbin/pgbouncer", "-q", str(tmp_path / "pgbouncer.ini")]
    changes = {
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": str(port),
        "DATABASE_NAME": at["NAME"],
        "DATABASE_USER": at["USER"],
        "DATABASE_DIRECT_HOST": at["HOST"],
        "DATABASE_DIRECT_PORT": str(facts["port"]),
        "ARK_API_KEY": "ark-key",
    }
    data = Path(os.environ["VOICEHELPER_DATA"])
    with (
        Process("pgbouncer", command, data, grace_s=3),
        in_a_thread(Upstream()) as upstream,
        Node(**changes, ARK_BASE_URL=upstream.url) as node,
    ):
        yield node


def test_orders_notices_and_calls_go_through_a_transaction_pooler(node: Node, books_agree: Callable[[], None]) -> None:
    plant(Model)
    user = User.objects.create_user("buyer")
    credit(user, 1_000_000, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    open_sandbox_accounts()
    write_options({"ServerAddress": f"http://127.0.0.1:{node.port}"})
    signed_in = {"Authorization": f"Bearer {issue_token(user)}", "Content-Type": "application/json"}

    def buy(_number: int) -> int:
        body = json.dumps({"amount": 10, "payment_method": "wechat"}).encode()
        return node.request("POST", "/api/user/wechat/pay", body=body, headers=signed_in, timeout_s=100).status

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(buy, range(12))) == {200}
    for order in Order.objects.all():
        sandbox_buyer.pay(trade_of(order), wait=True)
    assert Order.objects.filter(state=Order.State.PAID).count() == 12
    headers = {"Authorization": f"Bearer {create_api_key(user, 'test')[1]}"}
    for body in (ASK, STREAM):
        assert node.post_json("/v1/chat/completions", body, headers=headers).status == 200
    # A change is heard through the session of its own: the model is gone from the next call on.
    Model.objects.update(enabled=False)
    Credential.objects.update(enabled=False)
    assert node.post_json("/v1/chat/completions", ASK, headers=headers).status != 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        # The test's own, and the relay's.
        assert cursor.fetchone()[0] <= LENT + 1 + 4
    books_agree()
