"""`run`: the whole demo in the foreground — services, database, web, worker, beat — until somebody stops it."""

import http.client
import os
import select
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from voicehelper.embedded import environment, folder
from voicehelper.embedded.process import EmbeddedError, Process
from voicehelper.embedded.services import services
from voicehelper.embedded.translations import compile_translations

_DEFAULT_PORT = 8000
# A request that a dying server took is answered by nobody.
_ASK_AGAIN_AFTER_S = 120.0
# One interpreter for both: importing Django takes longer than either command.
_PREPARE = """
from io import StringIO
from django.core.management import call_command
import django
django.setup()
call_command("migrate", verbosity=0, interactive=False)
call_command("seed_demo_channels")
call_command("seed_demo", history=True)
call_command("check", databases=["default"], stdout=StringIO())
"""


def run() -> None:
    """Returns never: ends by signals.Stopped, or EmbeddedError when something fails or a process dies."""
    data = folder.data_folder()
    with ExitStack() as stack:
        # The lock first: taking it stops what a killed run may have left, also on our port.
        stack.callback(folder.Lock(data).release)
        listener = stack.enter_context(_listen(_port()))
        port = listener.getsockname()[1]
        with _step("PostgreSQL and Valkey"):
            addresses, processes = stack.enter_context(services(data))
        env = _environment(data, port, addresses)
        with _step("Translations"):
            compile_translations(folder.ROOT / "locale")
        with _step("Database and demo data"):
            said = _prepare_database(data, env)
        _say(said, end="")
        with _step("Web, worker and beat"):
            applications = [stack.enter_context(each) for each in _start_applications(data, env, listener)]
            processes += applications
            health = _Health(port, processes)
            applications[0].wait_until(health.ready, lambda: health.said)
        _announce(port, data)
        stack.callback(_say, "  Stopping …")
        _watch(processes)


def _environment(data: Path, port: int, addresses: Mapping[str, str]) -> dict[str, str]:
    """The environment of everything we start; `manage.py` in another terminal finds it in the data folder."""
    file = data / "env"
    variables = environment.with_overrides(environment.demo_values(port, environment.kept_keys(file)))
    variables |= addresses
    environment.write(file, variables)
    return {**os.environ, **variables, "VOICEHELPER_DATA": str(data), "DJANGO_SETTINGS_MODULE": "voicehelper.settings"}


def _start_applications(data: Path, env: Mapping[str, str], listener: socket.socket) -> Iterator[Process]:
    """Web first. All three at once: most of their start is importing Django."""
    descriptor = listener.fileno()
    uvicorn = ["uvicorn", "voicehelper.asgi:application", "--http", "voicehelper.protocol:Bounded"]
    uvicorn += ["--fd", str(descriptor), "--workers", "2"]
    uvicorn += ["--lifespan", "on", "--no-access-log", "--timeout-graceful-shutdown", "5", "--log-level", "warning"]
    # No proxy stands in front, and whose address counts is ours to say (net/addresses.py).
    uvicorn += ["--no-proxy-headers"]
    celery = ["celery", "-A", "voicehelper"]
    worker = [*celery, "worker", "-c", "2", "-l", "WARNING", "--without-gossip", "--without-mingle"]
    # An empty pid file name: none. Ours tells who runs, and a stale one of beat's would stop it from starting.
    beat = [*celery, "beat", "-l", "WARNING", "--pidfile=", "-s", str(data / "beat-schedule")]
    for name, arguments in {"web": uvicorn, "worker": worker, "beat": beat}.items():
        command = [sys.executable, "-m", *arguments]
        yield Process(name, command, data, env=env, pass_fds=[descriptor] if name == "web" else [])


def _listen(port: int) -> socket.socket:
    """Bound here and handed over, so that nobody can take the port between our look and the server's start."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        # Connections inherit it. uvicorn takes a descriptor for a Unix socket and leaves Nagle's algorithm on, which
        # makes each answer on a kept connection wait 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise EmbeddedError(
            f"Port {port}: {error.strerror}. Choose another, for example: make run PORT={port + 1} (0: any free one)"
        ) from error
    return listener


def _port() -> int:
    value = os.environ.get("PORT") or str(_DEFAULT_PORT)
    if not (value.isdecimal() and int(value) < 2**16):
        raise EmbeddedError(f"PORT is {value!r}: use a number from 0 (any free port) to 65535.")
    return int(value)


def _prepare_database(data: Path, env: Mapping[str, str]) -> str:
    """What the start-up checks warn of; the rest of this is silent when all is well."""
    with Process("prepare", [sys.executable, "-c", _PREPARE], data, env=env) as process:
        return process.finish()


class _Health:
    """Asks /healthz, with one request that is given the time it needs: a busy machine may take minutes to import what
    the first answer wants, and those given up meanwhile would all stand before the next in the server's queue."""

    def __init__(self, port: int, processes: Sequence[Process]) -> None:
        self._port, self._processes = port, processes
        self._connection: http.client.HTTPConnection | None = None
        self._asked_at = 0.0
        self.said = "has not answered"

    def ready(self) -> bool:
        """Whether the answer was 200; waits for it a tenth of a second. Raises EmbeddedError as _check does."""
        _check(self._processes)
        if self._connection is None:
            self._ask()
        elif select.select([self._connection.sock], [], [], 0.1)[0]:
            return self._answer(self._connection)
        elif time.monotonic() - self._asked_at > _ASK_AGAIN_AFTER_S:
            self._forget(self._connection)
        return False

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            # Our own socket listens, so this waits for nobody.
            connection.request("GET", "/healthz")
        except OSError:
            connection.close()
        else:
            self._connection, self._asked_at = connection, time.monotonic()

    def _answer(self, connection: http.client.HTTPConnection) -> bool:
        try:
            answer = connection.getresponse()
            self.said = f"answers {answer.status} {answer.read(200).decode(errors='replace')}"
        except (OSError, http.client.HTTPException):
            self.said = "breaks off"
            return False
        finally:
            self._forget(connection)
        return answer.status == 200

    def _forget(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        self._connection = None


def _watch(processes: Sequence[Process]) -> None:
    while True:
        _check(processes)
        time.sleep(0.5)


def _check(processes: Sequence[Process]) -> None:
    for process in processes:
        if not process.running:
            raise process.failure(f"ended with exit code {process.wait()}")


@contextmanager
def _step(title: str) -> Iterator[None]:
    start = time.monotonic()
    _say(f"  {title:<24}", end="")
    try:
        yield
    except BaseException:
        _say("")
        raise
    _say(f"{time.monotonic() - start:5.1f} s")


def _announce(port: int, data: Path) -> None:
    address = f"http://127.0.0.1:{port}"
    rule = "─" * 72
    _say(f"""
{rule}
  VoiceHelper   {address}/             demo / demo
  Admin         {address}/admin/       admin / admin
  Pay as phone  {address}/sandbox/phone
  Logs          {data / "logs"}
  Stop          Ctrl-C
{rule}
""")


def _say(text: str, end: str = "\n") -> None:
    """Nobody may be listening any more (a closed terminal): no reason to stop, or to clean up less."""
    with suppress(OSError):
        print(text, end=end, flush=True)
