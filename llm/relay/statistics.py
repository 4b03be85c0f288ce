"""What the last minutes say about models and accounts: counted in memory, shared between processes through Redis.

Nothing here is the truth about anything; losing it loses nothing. With Redis down each process knows its own calls.
"""

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis as synchronous
import redis.asyncio as redis
from django.conf import settings

from .catalogue import Catalogue
from .router import ModelHealth

log = logging.getLogger(__name__)

# Counted in buckets of a minute; this one and the four before it make "lately".
BUCKET_S = 60
BUCKETS = 5
# So many failures in a row of a model at an account open its circuit there, for so long, doubling up to the longest.
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
# Where Redis keeps until when a model cools down at an account: by "account\nmodel". (`llm:rests` was by account only.)
_COOLDOWNS = "llm:rests:models"
# Who finds out whether it works again holds this key, for so long at the most.
_PROBE = "llm:probe:{}:{}"
PROBE_S = 30


@dataclass(slots=True)
class _Circuit:
    """Of a model at an account; under no model's name, of the whole account."""

    failures: int = 0
    opened: int = 0
    cools_until: float = 0.0
    # The provider named the time itself.
    said_so: bool = False
    # Somebody is finding out whether it works again, at the latest until then.
    probed_until: float = 0.0


# An account and one of its models; "" for all of them.
_Place = tuple[int, str]


class Statistics:
    """Live statistics per model, and the cool-down of accounts that fail: of one model there, or of all."""

    def __init__(self) -> None:
        # Ours by (bucket, model); `_unshared` is what Redis has not been told.
        self._mine: dict[tuple[int, str], _Counts] = {}
        self._unshared: dict[tuple[int, str], _Counts] = {}
        self._shared: dict[str, _Counts] | None = None
        self._circuits: dict[_Place, _Circuit] = {}
        self._news: dict[_Place, float] = {}
        self._redis: redis.Redis | None = None

    # --- Models ----------------------------------------------------------------------------------------------------
    def note(self, model: str, *, failed: bool, latency_ms: int = 0) -> None:
        """One try of a model, and its time to the first output."""
        self._add(model, 1, failed, latency_ms, 0)

    def note_tokens(self, model: str, tokens: int) -> None:
        """What a call used, in and out: known when it is over."""
        self._add(model, 0, 0, 0, tokens)

    def _add(self, model: str, *counted: int) -> None:
        key = (int(time.time()) // BUCKET_S, model)
        for counts in (self._mine, self._unshared):
            known = counts.get(key)
            if known is None:
                known = counts[key] = _Counts()
            known.add(*counted)

    def seen(self, catalogue: Catalogue) -> dict[str, ModelHealth]:
        """The last minutes of every model, all processes together as far as they were heard of."""
        lately = self._lately()
        found = {}
        for name, model in catalogue.models.items():
            counts = lately.get(name) or _Counts()
            answered = counts.calls - counts.failures
            latency = counts.latency_ms / answered if answered else 0.0
            cooldowns = bool(self._circuits) and all(self.cooldown_of(number, name)[0] for number in model.credentials)
            found[name] = ModelHealth(counts.calls, counts.failures, latency, counts.tokens, cooldowns)
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
    @property
    def all_well(self) -> bool:
        """Whether nothing failed lately and nothing cools down, anywhere."""
        return not self._circuits

    def cooling_down(self, credentials: Iterable[int]) -> set[int]:
        """The accounts that cool down, or one of whose models does there."""
        return {number for number in credentials if self.longest_cooldown_of(number)}

    def longest_cooldown_of(self, credential: int) -> float:
        """Seconds until an account has no model that cools down there."""
        return max((self._rest_at(place)[0] for place in self._circuits if place[0] == credential), default=0.0)

    def cooldown_of(self, credential: int, model: str) -> tuple[float, bool]:
        """Seconds an account should still not be asked for a model, and whether its provider said so."""
        return max(self._rest_at((credential, "")), self._rest_at((credential, model)))

    def _rest_at(self, place: _Place) -> tuple[float, bool]:
        circuit = self._circuits.get(place)
        cooldown_s = max(0.0, circuit.cools_until - time.time()) if circuit else 0.0
        return cooldown_s, circuit is not None and cooldown_s > 0 and circuit.said_so

    def cool_down(self, credential: int, seconds: float, *, said_so: bool, model: str = "") -> None:
        """Let an account cool down, which cannot work (wrong key, overdue); or a model there, whose provider asked for
        time (`said_so`) or fails."""
        circuit = self._circuits.setdefault((credential, model), _Circuit())
        circuit.cools_until = max(circuit.cools_until, time.time() + min(seconds, LONGEST_OPEN_S))
        circuit.said_so = said_so
        self._news[credential, model] = circuit.cools_until

    def answered(self, credential: int, model: str) -> None:
        """The account works, and this model there."""
        if self.all_well:
            return
        for place in ((credential, ""), (credential, model)):
            if self._circuits.pop(place, None):
                self._news[place] = 0.0

    def begun(self, credential: int, model: str) -> None:
        """A stream of the model has begun there, and may yet break off: nobody waits for it any more, but what broke
        before counts until one ends well."""
        circuit = self._circuits.get((credential, model))
        if circuit is None or circuit.cools_until:
            self.answered(credential, model)
        if circuit is not None and circuit.cools_until:
            self._circuits[credential, model] = _Circuit(FAILURES_TO_OPEN - 1, circuit.opened)

    def troubled(self, credential: int) -> bool:
        """Whether the account, or a model there, failed and has not answered since."""
        return any(place[0] == credential and circuit.cools_until for place, circuit in self._circuits.items())

    def renewed(self, credential: int) -> None:
        """It is another account now."""
        for place in [place for place in self._circuits if place[0] == credential]:
            self.answered(*place)

    def failed(self, credential: int, model: str) -> bool:
        """The model did not work at this account. True when that opened its circuit just now; one that was open opens
        again with the first failure."""
        circuit = self._circuits.setdefault((credential, model), _Circuit())
        circuit.failures += 1
        few = circuit.failures < FAILURES_TO_OPEN and not circuit.cools_until
        if few or circuit.cools_until > time.time():
            return False
        self.cool_down(credential, OPEN_S * 2**circuit.opened, said_so=False, model=model)
        circuit.opened += 1
        return circuit.opened == 1

    # --- Coming back -----------------------------------------------------------------------------------------------
    def half_open(self, credential: int, model: str) -> _Place | None:
        """What has cooled down, an account or a model there, and has not answered since: one call finds out whether it
        works, before others follow."""
        now = time.time()
        places = ((credential, ""), (credential, model))
        return next((each for each in places if 0 < getattr(self._circuits.get(each), "cools_until", 0) <= now), None)

    def probed(self, credential: int, model: str) -> bool:
        """Whether a call of ours is finding out just now."""
        place = self.half_open(credential, model)
        return place is not None and self._circuits[place].probed_until > time.time()

    async def begin_probe(self, place: _Place) -> bool:
        """Whether the call may be the one that finds out: the only one of all processes, as far as Redis answers."""
        circuit = self._circuits.get(place)
        if circuit is None or circuit.probed_until > time.time():
            return circuit is None
        circuit.probed_until = time.time() + PROBE_S
        try:
            first = await self._connection().set(_PROBE.format(*place), 1, nx=True, ex=PROBE_S)
        except (redis.RedisError, OSError):
            return True
        if not first:
            circuit.probed_until = 0.0
        return bool(first)

    async def end_probe(self, place: _Place) -> None:
        """It is found out, or the call could not tell."""
        if place in self._circuits:
            self._circuits[place].probed_until = 0.0
        with suppress(redis.RedisError, OSError):
            await self._connection().delete(_PROBE.format(*place))

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
                *buckets, cooldowns = pipe.execute()
        except (redis.RedisError, OSError):
            return found
        found._hear(buckets, cooldowns)
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

    async def _exchange(self, told: dict[tuple[int, str], _Counts], news: dict[_Place, float]) -> None:
        pipe = self._connection().pipeline(transaction=False)
        for (moment, model), counts in told.items():
            key = f"llm:seen:{moment}"
            for name in _FIELDS:
                pipe.hincrby(key, f"{model}\n{name}", getattr(counts, name))
            pipe.expire(key, BUCKET_S * (BUCKETS + 1))
        for (credential, name), until in news.items():
            pipe.hset(_COOLDOWNS, f"{credential}\n{name}", str(until))
        pipe.expire(_COOLDOWNS, int(LONGEST_OPEN_S) * 2)
        _ask_what_is_known(pipe)
        *buckets, cooldowns = (await pipe.execute())[-BUCKETS - 1 :]
        self._hear(buckets, cooldowns)

    def _hear(self, buckets: list[dict[bytes, bytes]], cooldowns: dict[bytes, bytes]) -> None:
        sums: dict[str, _Counts] = {}
        for found in buckets:
            for field, value in found.items():
                model, _, name = field.decode().rpartition("\n")
                counts = sums.setdefault(model, _Counts())
                setattr(counts, name, getattr(counts, name) + int(value))
        self._shared = sums
        now = time.time()
        for field, until in cooldowns.items():
            number, _, name = field.decode().partition("\n")
            place = int(number), name
            if float(until) > now:
                self._circuits.setdefault(place, _Circuit()).cools_until = float(until)
            elif float(until) == 0.0 and place in self._circuits and place not in self._news:
                # Another process found that it works again.
                del self._circuits[place]

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
    """The counts of the last minutes, a bucket each, then the cooldowns."""
    bucket = int(time.time()) // BUCKET_S
    for moment in range(bucket - BUCKETS + 1, bucket + 1):
        pipe.hgetall(f"llm:seen:{moment}")
    pipe.hgetall(_COOLDOWNS)
