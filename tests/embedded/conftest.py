import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from voicehelper.embedded.environment import demo_values, new_keys
from voicehelper.embedded.folder import prepare
from voicehelper.embedded.postgres import socket_folder


@pytest.fixture(autouse=True)
def _no_services_around_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests run under `exec`; what they start must use neither its servers nor its keys."""
    for name in ("DATABASE_URL", "REDIS_URL", "VOICEHELPER_DATA", "PORT", *demo_values(0, new_keys())):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    prepare(tmp_path)
    yield tmp_path
    wait_for(lambda: not processes_of(tmp_path) and not socket_folder(tmp_path).exists())


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes that name this folder or work in it (as PostgreSQL's children do)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(folder) in command or str(folder) in str((entry / "cwd").readlink()):
                    found.append(command)
    return found


def wait_for(condition: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
