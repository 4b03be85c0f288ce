"""The web server: `python -m voicehelper.serving --host 0.0.0.0 --port 8000 --workers 2`, uvicorn with an orderly end.

Told to stop (SIGTERM), a node first says so: `/readyz` is 503 and everything else goes on for STOP_LEAD_SECONDS, in
which a balancer stops sending. Then it takes no connection any more: its port refuses at once, and who is refused asks
another node. What is under way has STOP_DRAIN_SECONDS to end, and its settlement ten more; then it is cut off.

uvicorn alone leaves the port open in the parent of its workers until the last of them has ended: whoever connects
meanwhile is answered by nobody.
"""

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from types import FrameType

from django.conf import settings
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from voicehelper import leaving

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voicehelper.settings")


class Node(Server):
    """One process. A second signal ends the lead at once."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if leaving.begun() or not self.started:
            super().handle_exit(sig, frame)
        else:
            leaving.begin()
            self._loop.call_soon_threadsafe(self._leave, sig)

    def _leave(self, sig: int) -> None:
        self._loop.call_later(settings.STOP_LEAD_SECONDS, super().handle_exit, sig, None)


class Worker(multiprocess.Process):
    """A node in a process of its own."""

    @property
    def server(self) -> Server:
        if self._server is None:
            self._server = Node(config=self.config)
        return self._server


class Nodes(multiprocess.Multiprocess):
    """Several processes with one port, which is theirs alone once they were told to stop."""

    def terminate_all(self) -> None:
        super().terminate_all()
        for each in self.sockets:
            each.close()


# Where it looks for what to start.
multiprocess.Process = Worker  # type: ignore[misc]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop. Exits with 3 when the application does not start."""
    parser = argparse.ArgumentParser(prog="python -m voicehelper.serving", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, help="a listening socket that is open already, in place of host and port")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    config = Config(
        "voicehelper.asgi:application",
        http="voicehelper.protocol:Bounded",
        host=given.host,
        port=given.port,
        workers=given.workers,
        # Whose address counts is said by TRUSTED_PROXIES.
        proxy_headers=False,
        access_log=False,
        server_header=False,
        lifespan="on",
        log_level="warning",
        # Longer than proxies keep an idle connection: whoever closes first must not be the one who is written to.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.STOP_DRAIN_SECONDS,
    )
    listener = _listener(config, given.fd)
    if given.workers > 1:
        Nodes(config, [listener]).run()
        return
    node = Node(config)
    node.run([listener])
    if not node.started:
        sys.exit(STARTUP_FAILURE)


def _listener(config: Config, descriptor: int | None) -> socket.socket:
    listener = socket.socket(fileno=descriptor) if descriptor is not None else config.bind_socket()
    # uvicorn leaves Nagle's algorithm on for sockets it is handed: each answer on a kept connection would wait 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.set_inheritable(True)
    return listener


if __name__ == "__main__":
    main()
