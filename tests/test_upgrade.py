"""The release before this one runs on the tables of this one: while nodes are replaced, and after going back.

Its code comes out of the repository, from the newest tag that this checkout descends from. What it depends on is what
is installed here.
"""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from llm.models import Model, Usage
from llm.seeds import plant
from sandbox import buyer as sandbox_buyer
from tests.image import ROOT
from tests.llm.conftest import ASK, STREAM
from tests.llm.upstream import Upstream, in_a_thread
from tests.processes import Server, open_sandbox_accounts
from tests.refunds import given_back, trade_of
from topup.models import Notice, Order, Refund
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key, issue_token
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit, wallet_of

pytestmark = [pytest.mark.rare, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

# Run by the old code: half of an order's money goes back, and its open ends are followed.
GIVE_BACK = """
import sys, django
django.setup()
from topup import services, tasks
from topup.models import Order
from voicehelper.accounts.models import User
order, staff = Order.objects.get(order_no=sys.argv[1]), User.objects.get(username="operator")
services.submit_refund(services.request_refund(order, order.amount_fen // 2, reason="upgrade", actor=staff, number=1))
tasks.close_expired_orders()
tasks.settle_unknown_refunds()
"""

AUDIT = "import django; django.setup(); from voicehelper.wallet import audit; print(audit.run(full=True).findings)"


def git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the release before: the last tag that is not this very commit's. PREVIOUS_RELEASE names another."""
    tagged = git("describe", "--tags", "--abbrev=0", "HEAD^").stdout.decode().strip()
    named = os.environ.get("PREVIOUS_RELEASE") or tagged
    if not named:
        pytest.skip("There is no release before this one: no tag can be reached from here.")
    archive = git("archive", named)
    assert archive.returncode == 0, archive.stderr
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(before: Path, transactional_db: None) -> Iterator[Server]:
    """A server of the release before on the tables of this one. It is its own payment provider."""
    with in_a_thread(Upstream()) as upstream:
        changes = {"ARK_API_KEY": "ark-key", "ARK_BASE_URL": upstream.url}
        start = ["uvicorn", "voicehelper.asgi:application", "--http", "voicehelper.protocol:Bounded"]
        start += ["--no-proxy-headers", "--no-access-log", "--log-level", "warning", "--fd"]
        # Celery looks for modules in the working directory first.
        with Server(command=start, cwd=before, **changes) as server:
            open_sandbox_accounts()
            write_options({"ServerAddress": server.address, "WechatEnabled": True})
            yield server


def by_old_code(before: Path, server: Server, script: str, *arguments: str) -> str:
    environment = server.environment | {"PYTHONPATH": str(before)}
    run = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=before, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_release_before_sells_chats_and_gives_back_on_the_tables_of_this_one(
    old: Server, before: Path, books_agree: Callable[[], None]
) -> None:
    plant(Model)
    user = User.objects.create_user("buyer")
    User.objects.create_superuser("operator", password="a long operator password")
    credit(user, 1_000_000, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    said = by_old_code(before, old, "import voicehelper.asgi as it; print(it.__file__)")
    assert said.startswith(str(before)), "the code that runs is not the release before"
    # The worker's work, and the books, by its own reckoning.
    by_old_code(
        before, old, "import sys, django; django.setup(); from voicehelper.wallet import audit; audit.run(full=True)"
    )

    orders = []
    signed_in = {"Authorization": f"Bearer {issue_token(user)}"}
    for gateway in ("wechat", "alipay"):
        asked: dict[str, Any] = {"amount": 10, "payment_method": gateway}
        reply = old.post_json(f"/api/user/{gateway}/pay", asked, headers=signed_in)
        assert reply.status == 200, reply.body
        order = Order.objects.get(order_no=reply.json["data"]["order_id"])
        sandbox_buyer.pay(trade_of(order), wait=True)
        order.refresh_from_db()
        assert order.state == Order.State.PAID
        orders.append(order)
    assert Notice.objects.count() == len(orders)

    headers = {"Authorization": f"Bearer {create_api_key(user, 'test')[1]}"}
    for body in (ASK, STREAM):
        reply = old.post_json("/v1/chat/completions", body, headers=headers)
        assert reply.status == 200, reply.body
    assert Usage.objects.filter(outcome="ok").count() == 2
    chat = old.post_json("/api/chat/message", {"content": "Hello", "contentType": "text"}, headers=signed_in)
    assert chat.status == 200, chat.body

    for order in orders:
        by_old_code(before, old, GIVE_BACK, order.order_no)
        assert given_back(order) == [order.amount_fen // 2]
    assert set(Refund.objects.values_list("state", flat=True)) == {"succeeded"}
    spent = sum(Usage.objects.values_list("quota", flat=True))
    credited = sum(order.quota - order.quota // 2 for order in orders)
    assert wallet_of(user).balance == 1_000_000 + credited - spent
    # Pages and the admin, which read every column they know.
    for path in ("/accounts/sign-in", "/recharge", "/api/schema"):
        assert old.get(path).status in {200, 302}, path
    books_agree()
    assert json.loads(old.get("/healthz").body)["database"] == "ok"
