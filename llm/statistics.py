"""What the last minutes say about models and accounts: counted in memory, shared between processes through Redis.

Nothing here is the truth about anything; losing it loses nothing. With Redis down each process knows its own calls.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis as synchronous
import redis.asyncio as redis
from django.conf import settings

from .catalogue import Catalogue
from .router import Seen

log = logging.getLogger(__name__)

# Counted in buckets of a minute; this one and the four before it make "lately".
BUCKET_S = 60
BUCKETS = 5
# So many failures in a row open an account's circuit, for so long, doubling up to the longest.
FAILURES_TO_OPEN = 5
OPEN_S = 30.0
LONGEST_OPEN_S = 300.0


@dataclass(slots=True)
class _Counts:
    calls: int = 0
    failures: int = 0
    latency_ms: int = 0
    tokens: int = 0

    def add(self, calls: int, failures: int, latency_ms: int, tokens: int) -> None:
        self.calls += calls
        self.failures += failures
        self.latency_ms += latency_ms
        self.tokens += tokens


_FIELDS = ("calls", "failures", "latency_ms", "tokens")


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    opened: int = 0
    rests_until: float = 0.0
    # The provider named the time itself.
    said_so: bool = False


class Statistics:
    """Live statistics per model, and the rest of accounts that fail."""

    def __init__(self) -> None:
        # Ours by (bucket, model); `_unshared` is what Redis has not been told.
        self._mine: dict[tuple[int, str], _Counts] = {}
        self._unshared: dict[tuple[int, str], _Counts] = {}
        self._shared: dict[str, _Counts] | None = None
        self._circuits: dict[int, _Circuit] = {}
        self._news: dict[int, float] = {}
        self._redis: redis.Redis | None = None

    # --- Models ----------------------------------------------------------------------------------------------------
    def note(self, model: str, *, failed: bool, latency_ms: int = 0, tokens: int = 0) -> None:
        """One try of a model: its time to the first output, and its tokens."""
        key = (int(time.time()) // BUCKET_S, model)
        for counts in (self._mine, self._unshared):
            counts.setdefault(key, _Counts()).add(1, failed, latency_ms, tokens)

    def seen(self, catalogue: Catalogue) -> dict[str, Seen]:
        """The last minutes of every model, all processes together as far as they were heard of."""
        lately = self._lately()
        resting = self.resting(catalogue.credentials)
        found = {}
        for name, model in catalogue.models.items():
            counts = lately.get(name) or _Counts()
            answered = counts.calls - counts.failures
            latency = counts.latency_ms / answered if answered else 0.0
            rests = bool(resting) and all(number in resting for number in model.credentials)
            found[name] = Seen(counts.calls, counts.failures, latency, counts.tokens, rests)
        return found

    def _lately(self) -> dict[str, _Counts]:
        if self._shared is not None:
            return self._shared
        oldest = int(time.time()) // BUCKET_S - BUCKETS
        sums: dict[str, _Counts] = {}
        for key in [key for key in self._mine if key[0] <= oldest]:
            del self._mine[key]
        for (_, model), counts in self._mine.items():
            sums.setdefault(model, _Counts()).add(counts.calls, counts.failures, counts.latency_ms, counts.tokens)
        return sums

    # --- Accounts --------------------------------------------------------------------------------------------------
    def resting(self, credentials: Iterable[int]) -> set[int]:
        now = time.time()
        return {number for number in credentials if (c := self._circuits.get(number)) and c.rests_until > now}

    def rest_of(self, credential: int) -> tuple[float, bool]:
        """Seconds an account should still rest, and whether its provider said so."""
        circuit = self._circuits.get(credential)
        rest_s = max(0.0, circuit.rests_until - time.time()) if circuit else 0.0
        return rest_s, circuit is not None and rest_s > 0 and circuit.said_so

    def rest(self, credential: int, seconds: float, *, said_so: bool) -> None:
        """Let an account rest: the provider asked for it (`said_so`), or it cannot work (wrong key, overdue)."""
        circuit = self._circuits.setdefault(credential, _Circuit())
        circuit.rests_until = max(circuit.rests_until, time.time() + min(seconds, LONGEST_OPEN_S))
        circuit.said_so = said_so
        self._news[credential] = circuit.rests_until

    def answered(self, credential: int) -> None:
        """The account works."""
        if credential in self._circuits:
            del self._circuits[credential]
            self._news[credential] = 0.0

    def failed(self, credential: int) -> bool:
        """The account did not work. True when that opened its circuit just now."""
        circuit = self._circuits.setdefault(credential, _Circuit())
        circuit.failures += 1
        if circuit.failures < FAILURES_TO_OPEN or circuit.rests_until > time.time():
            return False
        self.rest(credential, OPEN_S * 2**circuit.opened, said_so=False)
        circuit.opened += 1
        return circuit.opened == 1

    @classmethod
    def heard(cls) -> "Statistics":
        """What all processes told Redis, for synchronous callers; empty when it does not answer."""
        found = cls()
        try:
            with synchronous.Redis.from_url(
                settings.RATELIMIT_STORAGE, socket_connect_timeout=0.5, socket_timeout=0.5
            ) as connection:
                pipe = connection.pipeline(transaction=False)
                _ask_what_is_known(pipe)
                *buckets, rests = pipe.execute()
        except (redis.RedisError, OSError):
            return found
        found._hear(buckets, rests)
        return found

    # --- Together --------------------------------------------------------------------------------------------------
    async def share(self) -> None:
        """Tell the other processes what we saw, and hear what they saw."""
        told, self._unshared = self._unshared, {}
        news, self._news = self._news, {}
        try:
            await self._exchange(told, news)
        except (redis.RedisError, OSError) as error:
            self._shared = None
            log.warning("Statistics are not shared between processes for now: %s", type(error).__name__)

    async def _exchange(self, told: dict[tuple[int, str], _Counts], news: dict[int, float]) -> None:
        pipe = self._connection().pipeline(transaction=False)
        for (moment, model), counts in told.items():
            key = f"llm:seen:{moment}"
            for name in _FIELDS:
                pipe.hincrby(key, f"{model}\n{name}", getattr(counts, name))
            pipe.expire(key, BUCKET_S * (BUCKETS + 1))
        for credential, until in news.items():
            pipe.hset("llm:rests", str(credential), str(until))
        pipe.expire("llm:rests", int(LONGEST_OPEN_S) * 2)
        _ask_what_is_known(pipe)
        *buckets, rests = (await pipe.execute())[-BUCKETS - 1 :]
        self._hear(buckets, rests)

    def _hear(self, buckets: list[dict[bytes, bytes]], rests: dict[bytes, bytes]) -> None:
        sums: dict[str, _Counts] = {}
        for found in buckets:
            for field, value in found.items():
                model, _, name = field.decode().rpartition("\n")
                counts = sums.setdefault(model, _Counts())
                setattr(counts, name, getattr(counts, name) + int(value))
        self._shared = sums
        now = time.time()
        for number, until in rests.items():
            circuit = self._circuits.get(int(number))
            if float(until) > now:
                circuit = self._circuits.setdefault(int(number), _Circuit())
                circuit.rests_until = float(until)
            elif float(until) == 0.0 and circuit is not None and int(number) not in self._news:
                # Another process found that it works again.
                del self._circuits[int(number)]

    def _connection(self) -> redis.Redis:
        if self._redis is None:
            self._redis = redis.Redis.from_url(
                settings.RATELIMIT_STORAGE, socket_connect_timeout=0.5, socket_timeout=0.5
            )
        return self._redis

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()


def _ask_what_is_known(pipe: Any) -> None:
    """The counts of the last minutes, a bucket each, then the rests."""
    bucket = int(time.time()) // BUCKET_S
    for moment in range(bucket - BUCKETS + 1, bucket + 1):
        pipe.hgetall(f"llm:seen:{moment}")
    pipe.hgetall("llm:rests")
