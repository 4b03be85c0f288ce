"""Turns the signals that mean "stop" into an exception, so that `with` blocks clean up."""

import os
import signal
from types import FrameType

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked us to stop."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number


def raise_when_stopped() -> None:
    """The first stop signal raises Stopped in the main thread; later ones are ignored while we clean up."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _stop)


def leave_ctrl_c_to_the_command() -> None:
    """A Ctrl-C reaches the command as well as us, and what it means is the command's decision (pytest, a debugger)."""
    signal.signal(signal.SIGINT, _ctrl_c)


def _stop(number: int, _frame: FrameType | None) -> None:
    for each in _STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


def _ctrl_c(number: int, frame: FrameType | None) -> None:
    if not _in_a_terminals_foreground():
        _stop(number, frame)


def _in_a_terminals_foreground() -> bool:
    """Otherwise nobody pressed a key: the signal was sent to us alone."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
