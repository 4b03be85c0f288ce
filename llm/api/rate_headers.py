"""What the limits of a key leave, in headers: under OpenAI's names, and Anthropic's for their clients.

OpenAI tells in seconds when all is as before, Anthropic at what time. Calls count for a minute, so that is a minute
after the last one, which is the one that is answered.
"""

import time
from collections.abc import Iterable, Mapping

from voicehelper.wallet.services import WINDOW_S, KeyRoom

Header = tuple[bytes, bytes]
_LIMITED = ("requests", "tokens")
_ANTHROPICS = {
    f"x-ratelimit-{fact}-{what}": f"anthropic-ratelimit-{what}-{fact}"
    for what in _LIMITED
    for fact in ("limit", "remaining", "reset")
}
NAMES = ", ".join((*_ANTHROPICS, *_ANTHROPICS.values()))


def headers_of(room: KeyRoom, *, anthropic: bool) -> list[Header]:
    """Those of an answer. What is not limited is not told of."""
    found: dict[str, str] = {}
    for what, most, left in zip(_LIMITED, (room.rpm, room.tpm), (room.calls_left, room.tokens_left), strict=True):
        if most is not None:
            found |= {f"x-ratelimit-limit-{what}": str(most), f"x-ratelimit-remaining-{what}": str(max(0, left or 0))}
            found[f"x-ratelimit-reset-{what}"] = f"{WINDOW_S}s"
    return written(found, anthropic=anthropic)


def written(headers: Mapping[str, str], *, anthropic: bool) -> list[Header]:
    """Headers under OpenAI's names as they are sent; others stay as they are."""
    named: Iterable[tuple[str, str]] = ((name.lower(), value) for name, value in headers.items())
    if anthropic:
        named = ((_ANTHROPICS.get(name, name), _moment(name, value)) for name, value in named)
    return [(name.encode(), value.encode()) for name, value in named]


def _moment(name: str, value: str) -> str:
    """When it is that so many seconds are over."""
    if not name.startswith("x-ratelimit-reset-"):
        return value
    then = time.time() + int(value.removesuffix("s"))
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(then))
