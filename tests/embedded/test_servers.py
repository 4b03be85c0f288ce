import os
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import environ
import psycopg
import pytest
import redis

from tests.embedded.conftest import processes_of
from voicehelper.embedded.postgres import Postgres, socket_folder
from voicehelper.embedded.process import EmbeddedError, stop_leftovers
from voicehelper.embedded.services import services
from voicehelper.embedded.unprivileged import with_another_uid
from voicehelper.embedded.valkey import Valkey


def query(url: str, sql: str) -> list[tuple[object, ...]]:
    """What Django would do with DATABASE_URL."""
    config = environ.Env.db_url_config(url)
    with psycopg.connect(
        host=config["HOST"], port=config["PORT"], user=config["USER"], dbname=config["NAME"], autocommit=True
    ) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.rare
def test_data_outlives_a_restart_and_even_the_killing_of_server_and_keeper(folder: Path) -> None:
    first = Postgres(folder)
    process = first.start()
    query(first.url, "CREATE TABLE t AS SELECT 1 AS n")
    assert process.pid
    process._keeper.kill()
    process.wait()
    os.kill(process.pid, signal.SIGKILL)
    stop_leftovers(folder)

    second = Postgres(folder)
    try:
        second.start()
        assert query(second.url, "SELECT n FROM t") == [(1,)]
    finally:
        second.stop()
    assert processes_of(folder) == []
    assert not second.sockets.exists()


def test_commits_are_durable_and_nothing_listens_on_the_network(folder: Path) -> None:
    server = Postgres(folder)
    try:
        server.start()
        settings = "SELECT name, setting FROM pg_settings WHERE name IN %s"
        names = ("fsync", "full_page_writes", "synchronous_commit", "listen_addresses", "server_encoding")
        found = query(server.url, settings.replace("%s", str(names)))
        assert dict(found) == {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "listen_addresses": "",
            "server_encoding": "UTF8",
        }
    finally:
        server.stop()


@pytest.mark.rare
def test_a_number_that_now_belongs_to_another_process_does_not_keep_the_server_from_starting(folder: Path) -> None:
    server = Postgres(folder)
    server.start()
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getppid()}\n{server.data}\n")
    try:
        server.start()
    finally:
        server.stop()


@pytest.mark.rare
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_without_user_namespaces_runs_the_server_under_another_account(folder: Path) -> None:
    closed = folder / "only-roots"
    closed.mkdir(mode=0o700)
    (closed / "logs").mkdir()
    (closed / "run").mkdir()
    server = Postgres(closed, with_another_uid())
    try:
        process = server.start()
        assert Path(f"/proc/{process.pid}").stat().st_uid not in {0, None}
        assert query(server.url, "SELECT 1") == [(1,)]
    finally:
        server.stop()
    # The next run may be allowed a namespace again: the data changes hands.
    server = Postgres(closed)
    try:
        server.start()
        assert query(server.url, "SELECT 1") == [(1,)]
    finally:
        server.stop()


def test_the_sockets_path_is_short_however_long_the_data_folders_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("a" * 120) / ("b" * 120)
    assert len(f"{socket_folder(long)}/.s.PGSQL.5432.lock") < 107
    assert socket_folder(long) == socket_folder(long) != socket_folder(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(long))
    assert len(f"{socket_folder(long)}/.s.PGSQL.5432.lock") < 107


def test_a_socket_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    server = Postgres(folder)
    server.sockets.mkdir(mode=0o755)
    with pytest.raises(EmbeddedError, match="not a private folder of ours"):
        server._make_socket_folder()
    server.sockets.rmdir()
    server.sockets.symlink_to(folder)
    with pytest.raises(EmbeddedError, match="not a private folder of ours"):
        server._make_socket_folder()
    server.sockets.unlink()


def test_valkey_wants_its_password_and_tells_nobody_else(folder: Path) -> None:
    server = Valkey(folder)
    try:
        server.start()
        assert redis.from_url(server.url).ping()
        password = urlsplit(server.url).password
        assert password
        with pytest.raises(redis.AuthenticationError):
            redis.from_url(server.url.replace(password, "wrong")).ping()
        assert not any(password in command for command in processes_of(folder))
        assert (folder / "valkey.conf").stat().st_mode & 0o777 == 0o600
    finally:
        server.stop()


def test_services_named_in_the_environment_are_used_instead_of_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://a@b/c")
    monkeypatch.setenv("REDIS_URL", "redis://d")
    with services(folder) as (addresses, processes):
        assert addresses == {"DATABASE_URL": "postgres://a@b/c", "REDIS_URL": "redis://d"}
        assert processes == []


@pytest.mark.rare
def test_the_usual_ports_may_be_taken(folder: Path) -> None:
    """Only what we take ourselves is proof; a port that somebody else has already is as good."""
    taken = []
    for port in (5432, 6379):
        listener = socket.socket()
        taken.append(listener)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            continue
    with services(folder, durable=False) as (addresses, _):
        # Only a throw-away server does not wait for the disk.
        assert query(addresses["DATABASE_URL"], "SHOW fsync") == [("off",)]
    for listener in taken:
        listener.close()
