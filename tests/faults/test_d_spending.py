"""D11: `kill -9` between any two lines on the way of a call, from its hold to its settlement."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

from llm.models import Model, Usage
from llm.seeds import plant
from tests.crashpoints import End, Forge, forge
from tests.llm.conftest import ASK, STREAM
from tests.llm.upstream import Upstream, in_a_thread, stream
from tests.processes import NO_ANSWER, Reply, Server, environment, request
from voicehelper.accounts.models import User
from voicehelper.accounts.services import create_api_key
from voicehelper.wallet import audit
from voicehelper.wallet.models import Entry, Hold
from voicehelper.wallet.services import credit, reap_holds, wallet_of

from .workers import lines

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = "/v1/chat/completions"
# doubao-pro: 30 tokens of 50 quota.
PRICE = 1500


@dataclass
class Caller:
    """A user with a key, and servers that may be told to die while they answer him."""

    user: User
    key: str
    forge: Forge
    listener: socket.socket

    def ask(self, body: Any, kill_at: int | str = 0) -> tuple[Reply, End]:
        pid = self.forge.serve(self.listener, kill_at=kill_at)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        port = self.listener.getsockname()[1]
        try:
            reply = request(port, "POST", CHAT, body=json.dumps(body).encode(), headers=headers, timeout_s=20)
        finally:
            end = self.forge.end(pid)
        assert end.where or reply != NO_ANSWER, "the server gave no answer, and was not killed"
        return reply, end


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with in_a_thread(Upstream()) as found:
        yield found


@pytest.fixture
def caller(transactional_db: None, upstream: Upstream) -> Iterator[Caller]:
    plant(Model)
    user = User.objects.create_user("speaker")
    credit(user, 10_000_000, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        changes = {"ARK_API_KEY": "ark-key", "ARK_BASE_URL": upstream.url, "PGAPPNAME": SESSIONS}
        with forge(environment("http://127.0.0.1:1") | changes, [listener]) as the_forge:
            yield Caller(user, create_api_key(user, "test")[1], the_forge, listener)


# What PostgreSQL calls the sessions of servers that are to be killed.
SESSIONS = "killed-servers"


def balance(user: User) -> int:
    return wallet_of(user).balance


def after_the_hold_is_over(user: User) -> int:
    """The balance once everything that a dead server left behind is over, and nothing is held."""
    deadline = time.monotonic() + 10
    with connection.cursor() as cursor:
        # What it had sent is carried out; its sessions end when PostgreSQL notices.
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
        while True:
            cursor.execute(left, [SESSIONS])
            if cursor.fetchone() == (0,):
                break
            assert time.monotonic() < deadline, "sessions of a dead server live on"
            time.sleep(0.01)
    assert reap_holds() == 0, "a hold was reaped before its time"
    Hold.objects.filter(state="open").update(expires_at="2020-01-01T00:00Z")
    reap_holds()
    wallet = wallet_of(user)
    assert wallet.held == 0
    return wallet.balance


@pytest.mark.rare
@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
def test_D11_a_server_may_be_killed_before_any_line_of_a_call(
    caller: Caller, books_agree: Callable[[], None], body: dict[str, Any]
) -> None:
    """Settled or not: then it is charged exactly, or it costs nothing. Whoever got the whole answer was charged."""
    reply, end = caller.ask(body)
    assert (reply.status, balance(caller.user)) == (200, 10_000_000 - PRICE)
    assert end.lines > 150
    died, outcomes = set(), []
    for line in lines(end.lines, 10):
        before, rows = balance(caller.user), Usage.objects.count()
        reply, end = caller.ask(body, kill_at=line)
        charged = before - after_the_hold_is_over(caller.user)
        complete = reply.status == 200 and (b"[DONE]" in reply.body or not body.get("stream"))
        assert charged in (0, PRICE), end
        assert charged == PRICE or not complete, end
        assert Usage.objects.count() - rows == charged // PRICE, end
        died.add(end.where)
        outcomes.append(charged)
    # Lines before the settlement, and after it.
    assert set(outcomes) == {0, PRICE}
    assert len(died - {""}) > 5
    books_agree()
    assert caller.ask(body)[0].status == 200
    print(f"\nKilled before {len(died - {''})} different lines of a call.")


POINTS = {
    "before the hold": ("voicehelper/wallet/batch.py:_hold_all", 0),
    "after the hold, before the provider is asked": ("llm/relay/attempts.py:run", 0),
    "after the provider's answer, before the settlement": ("llm/relay/settling.py:charge", 0),
    "as the settlement is sent": ("voicehelper/wallet/batch.py:_settle_all", 0),
    "after the settlement, before the answer": ("llm/api/v1_request.py:answer", PRICE),
}


def test_D11_a_killed_call_is_charged_if_it_was_settled_and_gives_its_hold_back(
    caller: Caller, upstream: Upstream, books_agree: Callable[[], None]
) -> None:
    for point, (where, charged) in POINTS.items():
        before = balance(caller.user)
        upstream.asked.clear()
        reply, end = caller.ask(ASK, kill_at=where)
        assert (reply, end.where.split()[-1]) == (NO_ANSWER, where.partition(":")[2])
        assert len(upstream.asked) == (0 if "before the hold" in point or "is asked" in point else 1)
        held = wallet_of(caller.user).held
        assert (held > 0) == (charged == 0 and point != "before the hold"), point
        assert audit.run(full=True).findings == [], "a hold under way is nothing to report"
        assert after_the_hold_is_over(caller.user) == before - charged, point
    books_agree()


@pytest.mark.rare
def test_D11_O3_a_server_that_is_told_to_stop_charges_what_its_streams_have_written(
    transactional_db: None, upstream: Upstream, books_agree: Callable[[], None]
) -> None:
    """SIGTERM in the middle of answers: nothing is left held, and what came is paid for."""
    plant(Model)
    user = User.objects.create_user("speaker")
    credit(user, 10_000_000, kind=Entry.Kind.GIFT, ref="welcome", actor="test")
    upstream.otherwise = stream(["word"] * 3000, (10, 3000), pause_s=0.01)
    headers = {"Authorization": f"Bearer {create_api_key(user, 'test')[1]}", "Content-Type": "application/json"}
    with Server(ARK_API_KEY="ark-key", ARK_BASE_URL=upstream.url) as server:
        streams = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
        content = json.dumps(STREAM).encode()
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        for sock in streams:
            sock.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: a\r\n{head}Content-Length: {len(content)}\r\n\r\n".encode())
            sock.sendall(content)
        for sock in streams:
            assert b"200" in sock.recv(100)
        os.kill(server.pid, signal.SIGTERM)
        deadline = time.monotonic() + 15
        while Usage.objects.count() < 5 and time.monotonic() < deadline:
            time.sleep(0.1)
        for sock in streams:
            sock.close()
        log = server.log
    assert wallet_of(user).held == 0, log
    for usage in Usage.objects.all():
        assert (usage.outcome, usage.usage_source) == ("abandoned", "estimate")
        assert 0 < usage.output_tokens < 2000
        assert usage.quota == 50 * (usage.input_tokens + usage.output_tokens)
    assert Usage.objects.count() == 5
    books_agree()
