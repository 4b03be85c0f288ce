"""A far side that answers with scripted bytes: what no well-behaved server would send."""

import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Seen:
    """One request as it came: request line, header lines, body."""

    line: str
    headers: dict[str, str]
    body: bytes


# Bytes to send, or seconds to wait before the next ones.
Script = Iterable[bytes | float]


@dataclass
class FarSide:
    """A real server on a free port of loopback, in a thread. Every connection gets one answer and is closed."""

    answer: Callable[[Seen], bytes | Script] = lambda _seen: http(b"ok")
    tls: ssl.SSLContext | None = None
    keep_open: bool = False
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        far_side = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                far_side.connections += 1
                if far_side.tls is None:
                    far_side._serve(self.rfile, self.wfile)
                    return
                with (
                    far_side.tls.wrap_socket(self.request, server_side=True) as sock,
                    sock.makefile("rb") as rfile,
                    sock.makefile("wb") as wfile,
                ):
                    far_side._serve(rfile, wfile)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hangs up is no news here."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        port: int = self._server.server_address[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def _serve(self, rfile: Any, wfile: Any) -> None:
        while line := rfile.readline().decode().strip():
            headers = {}
            while header := rfile.readline().decode("latin-1").strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            seen = Seen(line, headers, rfile.read(int(headers.get("content-length", 0))))
            self.seen.append(seen)
            script = self.answer(seen)
            for step in [script] if isinstance(script, bytes) else script:
                if isinstance(step, bytes):
                    wfile.write(step)
                    wfile.flush()
                else:
                    time.sleep(step)
            if not self.keep_open:
                return


def http(
    body: bytes, *, status: str = "200 OK", headers: str = "Connection: close\r\n", length: int | None = None
) -> bytes:
    """A whole answer; `length` announces another size than the body's."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n{headers}\r\n"
    return head.encode() + body


def closed_port() -> int:
    """Where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
