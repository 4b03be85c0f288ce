"""Servers that may be told to die (tests/crashpoints.py), and one that lives, for the tests of crashes."""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pytest
from django.conf import settings as django_settings
from django.db.models.functions import Now
from django.test import Client

from tests.conftest import full
from tests.crashpoints import End, Forge, forge
from tests.processes import NO_ANSWER, Reply, environment, request
from topup import services
from topup.models import Order
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry


@dataclass
class Workers:
    """Servers that may be told to die, and one that lives: the other worker of a deployment, or the next start."""

    forge: Forge
    mortal: socket.socket
    immortal: socket.socket

    def post(self, listener: socket.socket, path: str, body: bytes, **headers: str) -> Reply:
        kind = "application/json" if body.startswith(b"{") else "text/xml"
        return request(
            listener.getsockname()[1], "POST", path, body=body, headers={"Content-Type": kind, **headers}, timeout_s=20
        )

    def post_to_mortal(self, kill_at: int | str, path: str, body: bytes, **headers: str) -> tuple[Reply, End]:
        """One request to a server that dies on the way. The last lines are run when the answer is out already."""
        pid = self.forge.serve(self.mortal, kill_at=kill_at)
        try:
            reply = self.post(self.mortal, path, body, **headers)
        finally:
            end = self.forge.end(pid)
        assert end.where or reply != NO_ANSWER, "the server gave no answer, and was not killed"
        return reply, end


@pytest.fixture(scope="session")
def _workers(django_db_setup: None) -> Iterator[Workers]:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as mortal,
        closing(socket.create_server(("127.0.0.1", 0))) as immortal,
    ):
        address = f"http://127.0.0.1:{immortal.getsockname()[1]}"
        with forge(environment(address), [mortal, immortal]) as the_forge:
            pid = the_forge.serve(immortal)
            yield Workers(the_forge, mortal, immortal)
            the_forge.end(pid)


@pytest.fixture
def workers(_workers: Workers, settings: Any, db: None) -> Workers:
    address = f"http://127.0.0.1:{_workers.immortal.getsockname()[1]}"
    settings.WECHAT_PAY_BASE_URL = f"{address}/sandbox/wechat"
    settings.ALIPAY_GATEWAY_URL = f"{address}/sandbox/alipay/gateway.do"
    return _workers


def lines(total: int, sample: int) -> Sequence[int]:
    """Every line in soak; else some, spread over all of them: the same ones in each run of the same test."""
    step = max(1, total // full(total, min(sample, total)))
    start = 1 + crc32(os.environ["PYTEST_CURRENT_TEST"].encode()) % step
    return range(start, total + 1, step)


def credited_once(order: Order) -> bool:
    order.refresh_from_db()
    entries = Entry.objects.filter(kind=Entry.Kind.TOPUP, ref=order.order_no)
    return order.state == Order.State.PAID and [entry.amount for entry in entries] == [order.quota]


def pay_by_phone(workers: Workers, code: str, **faults: Any) -> None:
    reply = workers.post(workers.immortal, "/sandbox/phone/pay", json.dumps({"code": code} | faults).encode())
    assert reply.status == 200, reply


def sweep_now(**which: Any) -> None:
    """The sweep, at the time when it is due."""
    Order.objects.filter(next_ask_at__isnull=False, **which).update(next_ask_at=Now())
    services.follow_orders()


@pytest.fixture
def operator(staff: User) -> dict[str, str]:
    """The headers of an operator's browser."""
    client = Client()
    client.force_login(staff)
    session = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    token = "a" * 32
    cookies = f"{django_settings.SESSION_COOKIE_NAME}={session}; {django_settings.CSRF_COOKIE_NAME}={token}"
    return {"Cookie": cookies, "X-CSRFToken": token, "Content-Type": "application/x-www-form-urlencoded"}
