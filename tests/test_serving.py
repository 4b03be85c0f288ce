"""How a server ends: first it says so, then its port refuses at once, then what is under way comes to its end."""

import http.client
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.nodes import Node


@pytest.fixture(params=[pytest.param(1, marks=pytest.mark.rare), 2])
def node(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[Node]:
    with Node(workers=request.param, STOP_LEAD_SECONDS="1.5", STOP_DRAIN_SECONDS="20") as node:
        yield node


def connect(port: int) -> socket.socket | None:
    """None when the port refuses."""
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=5)
    except ConnectionRefusedError:
        return None


def asked(there: socket.socket) -> int:
    """What `/readyz` is answered on this connection; 0 when it breaks."""
    with there:
        try:
            there.sendall(b"GET /readyz HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n")
            return int(there.recv(4096).split()[1])
        except (OSError, IndexError):
            return 0


def test_a_server_that_stops_says_so_then_refuses_at_once_and_swallows_nothing(node: Node) -> None:
    slow = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
    slow.putrequest("POST", "/api/auth/login")
    slow.putheader("Content-Type", "application/json")
    slow.putheader("Content-Length", "2")
    slow.endheaders()
    assert node.get("/readyz").status == 200
    node.tell(signal.SIGTERM)
    until, answers = time.monotonic() + 30, []
    while (opened := connect(node.port)) is not None:
        assert time.monotonic() < until
        answers.append((time.monotonic(), asked(opened)))
    closed = time.monotonic()
    said = next(at for at, status in answers if status == 503)
    # Of the last one the kernel may have taken the connection, and nobody else did.
    assert {status for _at, status in answers[:-1]} <= {200, 503}
    assert 1.0 < closed - said < 10.0
    # Whoever had begun is served, long after the port has closed.
    slow.send(b"{}")
    assert slow.getresponse().status == 400
    slow.close()
    assert node.ended() in {0, 128 + signal.SIGTERM}
