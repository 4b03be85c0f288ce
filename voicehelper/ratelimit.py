"""Rate limits, counted in Redis for all processes together; with Redis down each process counts for itself.

Losing Redis makes limits per process, never off, and never stops a request. The library is `limits`.
"""

import logging
import time
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter, RateLimiter

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


def hit(limit: str, *who: str) -> int:
    """Count one event against `limit` ("20 per 20 minutes") for `who`. Returns 0 when it is allowed, else the seconds
    to wait (at least 1)."""
    item = parse(limit)
    return _on_some_storage(lambda limiter: 0 if limiter.hit(item, *who) else _wait_s(limiter, item, who))


def peek(limit: str, *who: str) -> int:
    """Like `hit`, without counting."""
    item = parse(limit)
    return _on_some_storage(lambda limiter: 0 if limiter.test(item, *who) else _wait_s(limiter, item, who))


def _on_some_storage(count: Callable[[RateLimiter], int]) -> int:
    global _resting_until
    if time.monotonic() >= _resting_until:
        try:
            return count(_shared(settings.RATELIMIT_STORAGE))
        except StorageError as error:
            _resting_until = time.monotonic() + _REDIS_REST_S
            log.warning("Redis does not answer; rate limits are per process for now: %s", type(error).__name__)
    return count(_local())


def _wait_s(limiter: RateLimiter, item: RateLimitItem, who: tuple[str, ...]) -> int:
    return max(1, round(limiter.get_window_stats(item, *who).reset_time - time.time()))


def client_address(request: HttpRequest) -> str:
    """The address of whoever talks to us: the socket's, or, behind our own proxies, the hop the outermost one wrote.

    A client can put anything in front of X-Forwarded-For, so it is counted from the right.
    """
    direct = str(request.META.get("REMOTE_ADDR") or "0.0.0.0")  # noqa: S104  # a placeholder, nothing binds it
    if not settings.TRUSTED_PROXIES:
        return direct
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    return hops[-settings.TRUSTED_PROXIES] if len(hops) >= settings.TRUSTED_PROXIES else direct
