"""Clients that cost little: raw sockets, requests made beforehand, one connection each."""

import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.db import connection


@dataclass(frozen=True)
class Measured:
    """What a run came to. `cpu_ms` is the server's own, user and system, for one request; `database_cpu_ms` what all
    of PostgreSQL used meanwhile."""

    requests: int
    seconds: float
    cpu_ms: float
    database_cpu_ms: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def request(path: str, body: bytes, kind: str, *headers: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def drive(port: int, pid: int, requests: Sequence[bytes], *, clients: int, wanted: bytes) -> Measured:
    """Send each request once, `clients` at a time. Every answer must be 200 and hold `wanted`."""
    took_s: list[float] = []
    failures: list[bytes] = []
    queue = iter(requests)
    lock = threading.Lock()
    start = threading.Barrier(clients + 1)

    def work() -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            start.wait()
            while True:
                with lock:
                    mine = next(queue, None)
                if mine is None:
                    return
                before = time.perf_counter()
                sock.sendall(mine)
                answer = _read(sock)
                took_s.append(time.perf_counter() - before)
                if not answer.startswith(b"HTTP/1.1 200") or wanted not in answer:
                    failures.append(answer)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    postmaster = _postmaster()
    cpu_s, database_s = _cpu_s(pid), _family_s(postmaster)
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failures or len(took_s) != len(requests):
        raise RuntimeError(f"{len(requests) - len(took_s) + len(failures)} requests failed: {failures[:1]}")
    took_s.sort()
    return Measured(
        requests=len(requests),
        seconds=seconds,
        cpu_ms=(_cpu_s(pid) - cpu_s) * 1000 / len(requests),
        database_cpu_ms=(_family_s(postmaster) - database_s) * 1000 / len(requests),
        p50_ms=took_s[len(took_s) // 2] * 1000,
        p99_ms=took_s[len(took_s) * 99 // 100] * 1000,
    )


def _read(sock: socket.socket) -> bytes:
    """One answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length:")
    missing = int(length.split(b"\r\n", 1)[0]) - len(body)
    while missing > 0:
        part = _more(sock)
        data += part
        missing -= len(part)
    return data


def _more(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise ConnectionError("The server hung up.")
    return data


def _cpu_s(pid: int) -> float:
    """User and system time of one process, all its threads."""
    fields = _stat(Path(f"/proc/{pid}"))
    return (int(fields[11]) + int(fields[12])) / 100


def _family_s(parent: int) -> float:
    """The same of a process and its children, those that have ended included."""
    own = sum(map(int, _stat(Path(f"/proc/{parent}"))[11:15])) / 100
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int((fields := _stat(process))[1]) == parent:
                own += sum(map(int, fields[11:13])) / 100
    return own


def _postmaster() -> int:
    """PostgreSQL's own process, of which each session is a child."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(_stat(Path(f"/proc/{cursor.fetchone()[0]}"))[1])


def _stat(process: Path) -> list[str]:
    """Fields of proc(5)'s stat from the third on."""
    return (process / "stat").read_text().rpartition(")")[2].split()
