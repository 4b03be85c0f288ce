"""What came of trying a connection out: so gateways, transports and the admin's "test connection" speak of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Probe:
    """One real, harmless call: `called` is whom (empty: nobody was), `message` what happened, `hint` how to mend it,
    `details` what else is known, by its label. Not `told`: it came to nothing, and says nothing about what was tried.
    Shown by templates/admin/parts/probe.html."""

    ok: bool
    called: str
    elapsed_ms: int
    message: str
    hint: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    told: bool = True


def nothing_called(message: str, hint: str = "", details: Mapping[str, str] | None = None) -> Probe:
    """Something is missing or wrong before anybody could be called."""
    return Probe(False, "", 0, message, hint, details or {})


def since_ms(started_ns: int) -> int:
    """Whole milliseconds since a `time.monotonic_ns()`."""
    return (time.monotonic_ns() - started_ns) // 1_000_000
