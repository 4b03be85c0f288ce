"""One command under a keeper (keeper.py), with a log and a pid file in the data folder."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from voicehelper.embedded import keeper

_WORD_EVERY_S = 10.0
_STALE_STOP_WITHIN_S = 15.0


class EmbeddedError(Exception):
    """Something a person has to mend; the message says what and how."""


class Process:
    """A command that ends when `stop` is called, and also when we end, whatever way that happens.

    Its output goes to `folder/logs/NAME.log` (the previous run's is kept as `.log.1`). With `foreground` it shares our
    terminal instead, so that Ctrl-C and debuggers work as if it had been started by hand. `remove` names folders that
    are to go with us if we vanish; ending the normal way, removing them is our business.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: float = 10.0,
        pass_fds: Sequence[int] = (),
        foreground: bool = False,
        remove: Sequence[Path] = (),
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = folder / "logs" / f"{name}.log"
        output = None if foreground else _new_log(self.log)
        self._pid_file = folder / "run" / f"{name}.pid"
        self._grace_s = grace_s
        life, self._life = os.pipe()
        options = [f"--life={life}", f"--pid-file={self._pid_file}", f"--stop-signal={int(stop_signal)}"]
        options += [f"--grace={grace_s}", *(f"--remove={each}" for each in remove)]
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, *options, "--", *map(str, command)],
                env=env,
                cwd=cwd,
                pass_fds=(life, *pass_fds),
                start_new_session=not foreground,
                stdin=None if foreground else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        finally:
            os.close(life)
            if output is not None:
                os.close(output)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The command's process id; None before it started and after it ended."""
        try:
            return int(self._pid_file.read_text().split()[0])
        except (OSError, IndexError):
            return None

    @property
    def running(self) -> bool:
        return self._keeper.poll() is None

    def wait(self) -> int:
        """The command's exit code, once it has ended; 128 + n after signal n."""
        return self._keeper.wait()

    def stop(self) -> None:
        """End the command and everything it started; returns when they are gone. May be called twice."""
        if self.running:
            self._keeper.terminate()
            try:
                self._keeper.wait(self._grace_s + 10)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()
        _end_leftover(self._pid_file)
        if self._life >= 0:
            os.close(self._life)
            self._life = -1

    def wait_until(self, ready: Callable[[], bool], missing: Callable[[], str] = lambda: "is not ready") -> None:
        """Return when `ready()` is true; raises EmbeddedError, with the log's end, if the command ends before.

        However long that takes: how fast a machine is, we cannot know. Every ten seconds stderr is told what is
        `missing()`.
        """
        started = told = time.monotonic()
        while not ready():
            if not self.running:
                raise self.failure(f"ended with exit code {self.wait()}")
            if (now := time.monotonic()) - told > _WORD_EVERY_S:
                told = now
                with suppress(OSError):
                    print(
                        f"\n    {self.name} {missing()} after {now - started:.0f} s ",
                        end="",
                        file=sys.stderr,
                        flush=True,
                    )
            time.sleep(0.02)

    def finish(self) -> str:
        """What the command said, once it has ended; told of as above. Raises EmbeddedError unless it ended well."""
        with suppress(EmbeddedError):
            self.wait_until(lambda: False, lambda: "is at work")
        if code := self.wait():
            raise self.failure(f"ended with exit code {code}")
        return self.log.read_text(errors="replace")

    def failure(self, what: str) -> EmbeddedError:
        """An error that shows the last lines of the log."""
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()[-15:]
            what += "".join(f"\n  | {line}" for line in lines)
        return EmbeddedError(f"{self.name} {what}\n(log: {self.log})")


def stop_leftovers(folder: Path) -> None:
    """End what an earlier run in this folder left behind because its keepers were killed or are not done yet."""
    for pid_file in (folder / "run").glob("*.pid"):
        _end_leftover(pid_file)


def _end_leftover(pid_file: Path) -> None:
    """A keeper removes its pid file when its command is gone, so one that is still there names a leftover.

    The start times in it prove that the numbers still mean the processes we started and not somebody else's.
    """
    try:
        pid, started, stop_signal, keeper_pid, keeper_started = pid_file.read_text().split()
    except (OSError, ValueError):
        return
    deadline = time.monotonic() + _STALE_STOP_WITHIN_S
    sent: int | None = None
    while keeper.started_at(int(pid)) == started:
        wanted = int(stop_signal) if time.monotonic() < deadline else signal.SIGKILL
        if wanted != sent:
            os.kill(int(pid), wanted)
            sent = wanted
        time.sleep(0.02)
    # A keeper that is still there goes on to end the command's children; a port is free only after that.
    while keeper.started_at(int(keeper_pid)) == keeper_started and time.monotonic() < deadline:
        time.sleep(0.02)
    pid_file.unlink(missing_ok=True)


def _new_log(log: Path) -> int:
    """A descriptor for a fresh log; the last run's stays readable beside it."""
    with suppress(FileNotFoundError):
        log.rename(log.with_suffix(".log.1"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
