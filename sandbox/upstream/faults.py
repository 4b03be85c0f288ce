"""What can be made to go wrong, and how it is asked for.

The caller's own text may carry a mark: `[[fault: 429]]`, with a number `[[fault: 429 5]]`, several of them. Or a script
says what happens to the next calls, whatever they say, one script to a call: see the page /sandbox/models.
"""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.db.models import F

from ..models import UpstreamScript
from .exchange import Cut

log = logging.getLogger(__name__)

# Until the first token: as long as so many of them take.
_PAUSE_TOKENS = 12
_LONGEST_S = 600.0

# Fault to number: what happens to one call.
Faults = Mapping[str, float]


@dataclass(frozen=True)
class Fault:
    """What happens, in words, and what its number means (with the default); `number` is empty where it has none."""

    says: str
    number: str = ""
    default: float = 0.0


FAULTS: Mapping[str, Fault] = {
    "429": Fault("Rate limited, with Retry-After.", "seconds", 1),
    "500": Fault("An internal error."),
    "503": Fault("Overloaded (Anthropic: 529)."),
    "html": Fault("A web page with status 502 instead of an answer."),
    "overdue": Fault("The account has not been paid: AccountOverdueError, insufficient_quota, billing_error."),
    "risk": Fault("The content is refused as a risk."),
    "filtered": Fault("The answer is broken off by the content filter.", "tokens", 5),
    "hang": Fault("Nothing comes, and in the end an error.", "seconds", 60),
    "slow": Fault("The answer is written slowly.", "tokens per second", 2),
    "cut": Fault(
        "The connection is cut: after so many events of a stream, in the middle of a whole answer.", "events", 5
    ),
    "broken_line": Fault("Two lines of the stream make no sense."),
    "error_in_stream": Fault("An error comes inside a 200 stream, after so many events.", "events", 5),
    "no_usage": Fault("The answer says nothing of what it used."),
    "too_much_usage": Fault("The answer claims more tokens than max_tokens.", "times max_tokens", 2),
}
_MARK = re.compile(r"\[\[\s*fault:\s*(\w+)(?:[\s=]+([\d.]+))?\s*\]\]", re.IGNORECASE)
# One session with the database is enough, and keeps the event loop free.
_thread = ThreadPoolExecutor(1, "sandbox-faults")


class BadFault(ValueError):
    """No such fault, or not with this number; `str()` says what there is."""


def number_of(fault: str, given: object = None) -> float:
    """The number of a fault, or its default. Raises BadFault."""
    if fault not in FAULTS:
        raise BadFault(f"fault must be one of: {', '.join(FAULTS)}.")
    if given in (None, ""):
        return FAULTS[fault].default
    try:
        number = float(str(given))
    except ValueError:
        number = -1.0
    if not (math.isfinite(number) and 0 <= number <= 1_000_000):
        raise BadFault(f"The number of {fault} must be between 0 and 1000000.")
    return number


def marked(text: str) -> dict[str, float]:
    """The faults a text asks for. What is no fault is just text."""
    found = {}
    for name, number in _MARK.findall(text):
        try:
            found[name.lower()] = number_of(name.lower(), number)
        except BadFault:
            continue
    return found


def without_marks(text: str) -> str:
    return _MARK.sub("", text).strip() if "[[" in text else text


async def take(provider: str, model: str, texts: Iterable[str]) -> Faults:
    """What happens to a call to this model that says this: marks, and scripts, which are used up by one."""
    found = await asyncio.get_running_loop().run_in_executor(_thread, _scripted, provider, model)
    for text in texts:
        found |= marked(text)
    return found


def _scripted(provider: str, model: str) -> dict[str, float]:
    """In a thread: the oldest script that is not used up."""
    try:
        close_old_connections()
        waiting = UpstreamScript.objects.filter(provider__in=["", provider], model__in=["", model], used__lt=F("times"))
        for script in waiting.order_by("pk"):
            if script.take():
                return {script.fault: script.number}
    except DatabaseError as error:
        log.warning("No scripts, the database does not answer: %s", error)
    return {}


async def before(faults: Faults) -> None:
    """The time until the first token. Raises Cut for who hangs."""
    if "hang" in faults:
        await asyncio.sleep(min(faults["hang"], _LONGEST_S))
        raise Cut
    await asyncio.sleep(_PAUSE_TOKENS / settings.SANDBOX_TOKENS_PER_SECOND)


async def at_once(tokens: int, faults: Faults) -> None:
    """The time a whole answer takes: none worth mentioning, unless it is written slowly."""
    if "slow" in faults:
        await asyncio.sleep(min(tokens / max(0.01, faults["slow"]), _LONGEST_S))


async def written(events: Iterable[bytes], faults: Faults, error: bytes) -> AsyncIterator[bytes]:
    """A stream's events at the pace of somebody who writes, or as its faults will have it. `error` is the event that
    says that something went wrong. Raises Cut."""
    pace = max(0.01, faults.get("slow", settings.SANDBOX_TOKENS_PER_SECOND))
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number, event in enumerate(events):
        if number == faults.get("cut"):
            raise Cut
        if number == faults.get("error_in_stream"):
            yield error
            return
        if number in (1, 3) and "broken_line" in faults:
            yield b'data: {"choices":[{"delta":{"content":"bro\n\n'
        yield event
        await asyncio.sleep(max(0.0, started + (number + 1) / pace - loop.time()))
    if "cut" in faults:
        raise Cut
    if "error_in_stream" in faults:
        yield error
