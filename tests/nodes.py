"""Web nodes as they are deployed: `voicehelper.serving` with a port of its own, which is gone when it stops."""

import itertools
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Self

from tests.processes import Answering, environment
from voicehelper.embedded.process import Process

_numbers = itertools.count(1)


def free_port() -> int:
    """One that nobody has at this moment."""
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        port: int = there.getsockname()[1]
    return port


class Node(Answering):
    """Started on entering; `address` is the one that its users know, its own or that of a proxy in front. `start` after
    `stop` is a restart at the same port."""

    def __init__(self, *, address: str = "", workers: int = 1, **changes: str) -> None:
        self.port = free_port()
        self._workers = workers
        self.environment = environment(address or f"http://127.0.0.1:{self.port}") | changes
        self.process: Process | None = None

    def __enter__(self) -> Self:
        self.start()
        self.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process:
            self.process.stop()

    def start(self) -> None:
        command = [sys.executable, "-m", "voicehelper.serving", "--port", self.port, "--workers", self._workers]
        name = f"node-{os.getpid()}-{next(_numbers)}"
        self.process = Process(
            name, list(map(str, command)), Path(os.environ["VOICEHELPER_DATA"]), env=self.environment, grace_s=3
        )

    def wait(self) -> None:
        """Until it may be sent requests."""
        assert self.process
        self.process.wait_until(lambda: self.get("/readyz", timeout_s=10).status == 200)

    def tell(self, number: signal.Signals) -> None:
        """To the server alone, as its supervisor does."""
        assert self.process
        assert self.process.pid
        os.kill(self.process.pid, number)

    def ended(self) -> int:
        """Its exit code, when it has ended by itself."""
        assert self.process
        return self.process.wait()
