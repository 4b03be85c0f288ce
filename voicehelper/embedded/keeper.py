"""Keeps one command from outliving whoever started it. Run as a script by process.Process, never by hand.

The starter holds the other end of the pipe `--life`. When that end closes, however the starter went (even `kill -9`),
the command is stopped: first politely, and after a grace period it is killed with everything it ever started. The
kernel's own "signal me when my parent dies" cannot do this: `unshare` and set-uid programs lose it.

Standard library only and started with -I -S, so that a keeper costs about 15 ms.
"""

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_KILL_WITHIN_S = 5.0
_OTHERS_STOP_WITHIN_S = 30.0


def main() -> int:
    """Exit code: the command's own; 128 + n when signal n ended it; 127 when it could not be started."""
    options = _options()
    os.set_inheritable(options.life, False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signals = _signals_as_bytes()
    try:
        # Python ignores SIGPIPE and SIGXFSZ, and a command would inherit that.
        pid = os.posix_spawnp(
            options.command[0], options.command, os.environ, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ]
        )
    except OSError as error:
        print(f"{options.command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    # Both by number and start time, for process.stop_leftovers.
    us = os.getpid()
    options.pid_file.write_text(f"{pid} {started_at(pid)} {options.stop_signal} {us} {started_at(us)}")
    code, orphaned = _wait(pid, signals, options)
    _kill_descendants()
    options.pid_file.unlink(missing_ok=True)
    if orphaned:
        _remove(options.remove, options.pid_file.parent)
    return code if code >= 0 else 128 - code


def started_at(pid: int) -> str | None:
    """When the process started, in clock ticks since boot: with the pid this names one process for ever. None: gone."""
    try:
        state, *fields = _stat(pid)
    except OSError:
        return None
    return None if state in "ZX" else fields[18]


def end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent ends (`kill -9` of make, say)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--life", type=int, required=True, help="file descriptor: the pipe whose end means stop")
    parser.add_argument("--pid-file", type=Path, required=True)
    parser.add_argument("--stop-signal", type=int, required=True)
    parser.add_argument("--grace", type=float, required=True, help="seconds between the stop signal and SIGKILL")
    parser.add_argument("--remove", action="append", default=[], help="a folder to remove if the starter vanishes")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _signals_as_bytes() -> int:
    """A descriptor from which each signal's number can be read, so that one `select` waits for everything.

    The handlers do nothing. Unlike SIG_IGN they are not inherited: the command gets the default behaviour.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return reader


def _wait(pid: int, signals: int, options: argparse.Namespace) -> tuple[int, bool]:
    """(exit code of the command, whether the starter vanished). SIGTERM: the starter is there and wants it stopped."""
    orphaned, deadline = False, None
    sources = [options.life, signals]
    while True:
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = select.select(sources, [], [], timeout)[0]
        stop = signals in ready and signal.SIGTERM in os.read(signals, 1024)
        if options.life in ready:
            orphaned = stop = True
            sources.remove(options.life)
        if (code := _reap(pid)) is not None:
            return code, orphaned
        if stop and deadline is None:
            os.kill(pid, options.stop_signal)
            deadline = time.monotonic() + options.grace
        elif deadline is not None and time.monotonic() >= deadline:
            _kill_descendants()


def _reap(pid: int) -> int | None:
    """Bury whoever has ended, also the orphans that were handed to us; the command's exit code if it was among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pid:
                code = os.waitstatus_to_exitcode(ended[1])
    return code


def _kill_descendants() -> None:
    """SIGKILL everything below us. As a subreaper we are the parent of what daemonised too."""
    deadline = time.monotonic() + _KILL_WITHIN_S
    while (pids := _living_descendants()) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _living_descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent, *_ = _stat(int(entry.name))
                if state not in "ZX":
                    children.setdefault(int(parent), []).append(int(entry.name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from its third field (state, parent, …) on; the second, the name, may contain anything."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _remove(folders: list[str], pid_files: Path) -> None:
    """Remove what the starter would have removed, once the other keepers' commands have stopped using it."""
    deadline = time.monotonic() + _OTHERS_STOP_WITHIN_S
    while any(pid_files.glob("*.pid")) and time.monotonic() < deadline:
        time.sleep(0.05)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
