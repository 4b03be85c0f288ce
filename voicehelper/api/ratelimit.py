"""Rate limits, counted in Redis for all processes together; with Redis down each process counts for itself.

Losing Redis makes limits per process, never off, and never stops a request. The library is `limits`.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import ngettext
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter, RateLimiter
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

# After a failure Redis is left alone for this long, so that its time-outs do not add up.
_REDIS_REST_S = 5.0
_resting_until = 0.0


@lru_cache(maxsize=2)
def _shared(url: str) -> RateLimiter:
    storage: Storage = storage_from_string(url, wrap_exceptions=True, socket_connect_timeout=0.25, socket_timeout=0.25)  # type: ignore[assignment]
    return MovingWindowRateLimiter(storage)


@lru_cache(maxsize=1)
def _local() -> RateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())


class TooMany(Exception):
    """One more would be too many; `wait_s` says for how long (at least 1)."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"wait {wait_s} s")
        self.wait_s = wait_s

    @property
    def words(self) -> str:
        """For people: how long to wait, in whole minutes."""
        minutes = -(-self.wait_s // 60)
        return ngettext(
            "Too many tries. Please wait %(minutes)d minute, then try again.",
            "Too many tries. Please wait %(minutes)d minutes, then try again.",
            minutes,
        ) % {"minutes": minutes}


def waiting(response: HttpResponse, wait_s: int) -> HttpResponse:
    """A page that says when to try again; with 0 it is as it was."""
    if wait_s:
        response.status_code = 429
        response["Retry-After"] = str(wait_s)
    return response


class Guess:
    """What came of a guess, for whoever checks it to say: see `guess`."""

    wrong = False


def hit(limit: str, *who: str) -> int:
    """Count one event against `limit` ("20 per 20 minutes") for `who`. Returns 0 when it is allowed, else the seconds
    to wait (at least 1)."""
    return _count(limit, who)[0]


def brake(*brakes: tuple[str, ...]) -> None:
    """Count one event against each of `brakes` (limit and who). Raises TooMany with the longest of their waits."""
    wait_s = max(hit(*each) for each in brakes)
    if wait_s:
        raise TooMany(wait_s)


@contextmanager
def guess(*brakes: tuple[str, str, str], wrong: type[Exception] | tuple[()] = ()) -> Iterator[Guess]:
    """Count a guess against each of `brakes` (limit and who) before it is checked, so that many at once cannot outrun
    them. It stays counted when it turns out wrong, by its flag or by an exception `wrong`; else it is given back.

    Raises TooMany: then nothing is counted, and nothing is to be checked.
    """
    counted, this = [], Guess()
    try:
        for limit, *who in brakes:
            wait_s, limiter = _count(limit, who)
            if wait_s:
                raise TooMany(wait_s)
            counted.append((limiter, parse(limit).key_for(*who)))
        yield this
    except wrong:
        this.wrong = True
        raise
    finally:
        if not this.wrong:
            for limiter, key in counted:
                _give_back(limiter.storage, key)


def _count(limit: str, who: Sequence[str]) -> tuple[int, RateLimiter]:
    """Seconds to wait, 0 when it was counted; and by whom."""
    global _resting_until
    item = parse(limit)
    if time.monotonic() >= _resting_until:
        try:
            return _count_with(_shared(settings.RATELIMIT_STORAGE), item, who)
        except StorageError as error:
            _resting_until = time.monotonic() + _REDIS_REST_S
            log.warning("Redis does not answer; rate limits are per process for now: %s", type(error).__name__)
    return _count_with(_local(), item, who)


def _count_with(limiter: RateLimiter, item: RateLimitItem, who: Sequence[str]) -> tuple[int, RateLimiter]:
    if limiter.hit(item, *who):
        return 0, limiter
    wait_s = round(limiter.get_window_stats(item, *who).reset_time - time.time())
    # Somebody whose clock is ahead may have counted before.
    return max(1, min(wait_s, item.get_expiry())), limiter


def _give_back(storage: Storage, key: str) -> None:
    """Take the newest entry away again. `limits` cannot; in both storages a window is a list, the newest in front."""
    if isinstance(storage, RedisStorage):
        redis: Any = storage.get_connection()
        with suppress(RedisError):
            redis.lpop(storage.prefixed_key(key))
    elif isinstance(storage, MemoryStorage):
        with storage.locks[key]:
            del storage.events.get(key, [])[:1]
