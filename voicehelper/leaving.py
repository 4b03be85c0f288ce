"""Whether this server process was told to stop: `/readyz` says so before anything else happens (serving.py)."""

import threading

_told = threading.Event()


def begin() -> None:
    """From now on balancers are told to send nobody here."""
    _told.set()


def begun() -> bool:
    return _told.is_set()


def word() -> str:
    """For `/readyz`."""
    return "stopping" if begun() else "ok"
