"""A TCP proxy on loopback that misbehaves on demand, to stand before PostgreSQL, Redis or a provider."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, Self

from django.db import connection

Mode = Literal["pass", "down", "half_open"]
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards to `target`, a (host, port) or the path of a socket.

    `mode`: "pass"; "down" resets old connections and new ones; "half_open" accepts everything and passes nothing on, as
    a network that lost its way back. `latency_s` delays each piece sent to the target. `break_at` sets the mode in the
    middle of a conversation.
    """

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._mode: Mode = "pass"
        self.latency_s = 0.0
        self.connections = 0
        self._trap: tuple[bytes, bool, Mode] | None = None
        self.sprung = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(256)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.mode = "down"
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "down":
            self.reset()

    def reset(self) -> None:
        """Break every connection there is, the hard way; new ones are not affected."""
        with self._lock:
            broken, self._open = self._open, set()
        for sock in broken:
            _reset(sock)

    def break_at(self, said: bytes, mode: Mode, *, after: bool = False) -> None:
        """Go into `mode` when a client says `said`: before the target hears it, or just after it did."""
        self.sprung.clear()
        self._trap = (said, after, mode)

    def heal(self) -> None:
        self._trap = None
        self.latency_s = 0.0
        self.reset()
        self.mode = "pass"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.mode == "down":
                _reset(client)
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        target = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
        with self._lock:
            self._open |= {client, target}
        try:
            target.connect(self._target)
        except OSError:
            _reset(client)
            return
        back = threading.Thread(target=self._copy, args=(target, client), daemon=True)
        back.start()
        self._copy(client, target, to_target=True)
        back.join()
        with self._lock:
            self._open -= {client, target}
        client.close()
        target.close()

    def _copy(self, source: socket.socket, sink: socket.socket, *, to_target: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                trap = self._trap
                sprung = to_target and trap is not None and trap[0] in data
                late = sprung and trap is not None and trap[1]
                if trap and sprung and not late:
                    self._spring(trap)
                if self.mode == "half_open":
                    continue
                if late:
                    # Let the target act on it; its answer, which may come at once, meets the broken way.
                    self._mode = "half_open"
                if to_target and self.latency_s:
                    time.sleep(self.latency_s)
                sink.sendall(data)
                if trap and late:
                    time.sleep(0.2)
                    self._spring(trap)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _spring(self, trap: tuple[bytes, bool, Mode]) -> None:
        """Unless another connection did, or all is healed."""
        with self._lock:
            if self._trap is not trap:
                return
            self._trap = None
        self.sprung.set()
        self.mode = trap[2]


def _reset(sock: socket.socket) -> None:
    """Close with RST instead of a polite FIN."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with suppress(OSError):
        # Wakes whoever waits in recv; close alone would not.
        sock.shutdown(socket.SHUT_RD)
    sock.close()


@contextmanager
def database_behind(proxy: Proxy) -> Iterator[None]:
    """All new database sessions of this process go through the proxy."""
    original = dict(connection.settings_dict)
    host, port = proxy.address.split(":")
    connection.settings_dict.update(HOST=host, PORT=port)
    try:
        yield
    finally:
        connection.settings_dict.update(original)
