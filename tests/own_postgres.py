"""PostgreSQL servers that may be killed without hurting anybody else: one with a copy of the test database, and one
that follows it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

from voicehelper.embedded import folder
from voicehelper.embedded.postgres import DATABASE, SUPERUSER, Postgres, binaries
from voicehelper.embedded.unprivileged import server_user


@contextmanager
def primary(place: Path) -> Iterator[Postgres]:
    """A new server with the test database as it is now. Every commit of it is durable."""
    folder.prepare(place)
    server = Postgres(place)
    with running(server):
        _copy_database(server)
        yield server


@contextmanager
def standby(of: Postgres, place: Path) -> Iterator["Standby"]:
    """A server that follows another one; no commit there is acknowledged from now on before this one has it on disk."""
    folder.prepare(place)
    server = Standby(place)
    base = [binaries() / "pg_basebackup", "-h", of.sockets, "-p", "5432", "-U", SUPERUSER, "-D", server.data, "-R"]
    user = server_user()
    server.data.mkdir(mode=0o700)
    user.take(server.data)
    subprocess.run(list(map(str, [*user.prefix, *base, "--no-sync", "-c", "fast"])), check=True, capture_output=True)
    with running(server):
        ask(of, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        ask(of, "SELECT pg_reload_conf()")
        while not ask(of, "SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"):
            time.sleep(0.05)
        yield server


class Standby(Postgres):
    """Ready as soon as it can be read."""

    def _ready(self) -> bool:
        with suppress(OSError, IndexError):
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip() in {"standby", "ready"}
        return False


@contextmanager
def running(server: Postgres) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()


def kill(server: Postgres) -> None:
    """SIGKILL, and nobody is left of it when this returns."""
    assert server._process
    assert server._process.pid
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.stop()


def ask(server: Postgres, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(host=str(server.sockets), user=SUPERUSER, dbname=DATABASE, autocommit=True) as there:
        answer = there.execute(question.encode())
        return answer.fetchall() if answer.description is not None else []


def _copy_database(to: Postgres) -> None:
    there = connection.settings_dict
    source = ["-h", there["HOST"], "-p", str(there["PORT"] or 5432), "-U", there["USER"], "-d", there["NAME"]]
    target = ["-h", str(to.sockets), "-p", "5432", "-U", SUPERUSER, "-d", DATABASE]
    programs = binaries()
    dumped = subprocess.run([programs / "pg_dump", *source], capture_output=True, check=True)
    subprocess.run([programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", *target], input=dumped.stdout, check=True)
