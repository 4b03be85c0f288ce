"""Servers that may be told to die (tests/crashpoints.py), and one that lives, for the tests of crashes."""

import json
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pytest
from django.conf import settings as django_settings
from django.db.models.functions import Now
from django.test import Client

from tests.conftest import full
from tests.crashpoints import End, Forge, forge
from tests.processes import NO_ANSWER, Reply, environment, listen, request
from topup import services
from topup.models import Order
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry


@dataclass
class Workers:
    """Servers that may be told to die, and one that lives: the other worker of a deployment, or the next start. It is
    also the payment provider of all of them."""

    forge: Forge
    mortal: socket.socket
    immortal: socket.socket
    spare: tuple[socket.socket, socket.socket]

    @property
    def provider(self) -> str:
        return f"http://127.0.0.1:{self.immortal.getsockname()[1]}"

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
    with ExitStack() as stack:
        mortal, immortal, *spare = (stack.enter_context(closing(listen())) for _ in range(4))
        address = f"http://127.0.0.1:{immortal.getsockname()[1]}"
        with forge(environment(address), [mortal, immortal, *spare]) as the_forge:
            pid = the_forge.serve(immortal)
            yield Workers(the_forge, mortal, immortal, (spare[0], spare[1]))
            the_forge.end(pid)


@pytest.fixture
def workers(_workers: Workers, settings: Any, db: None) -> Workers:
    settings.WECHAT_PAY_BASE_URL = f"{_workers.provider}/sandbox/wechat"
    settings.ALIPAY_GATEWAY_URL = f"{_workers.provider}/sandbox/alipay/gateway.do"
    return _workers


def lines(total: int, sample: int) -> Sequence[int]:
    """Every line in soak; else some, spread over all of them: the same ones in each run of the same test."""
    step = max(1, total // full(total, min(sample, total)))
    test = re.sub(r"@\w+ ", " ", os.environ["PYTEST_CURRENT_TEST"])  # without its group
    start = 1 + crc32(test.encode()) % step
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
