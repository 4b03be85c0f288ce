"""Whether an API key may be used: until when, from where; and how many calls a process takes of it, whatever its own
budget says: at once, and per time. Counted per process, so that it costs nothing."""

import time

from django.conf import settings

from voicehelper.accounts.keys import Owner

from ..relay.errors import CallRefused

_under_way: dict[int, int] = {}
# Per key: calls it may make now, and when that was counted (a token bucket).
_buckets: dict[int, tuple[float, float]] = {}
_MOST_BUCKETS = 50_000


def check(owner: Owner, address: str) -> None:
    """Whether the key may be used now, from there. Raises CallRefused(401, 403)."""
    if owner.expired:
        raise CallRefused("This API key has expired.", status=401, code="key_expired")
    if not owner.calls_from(address):
        raise CallRefused(f"This API key may not be used from {address}.", status=403, code="address_not_allowed")


def enter(key_id: int) -> None:
    """Count a call until it leaves. Raises CallRefused(429)."""
    at_once = _under_way.get(key_id, 0)
    if at_once >= settings.LLM_KEY_CONCURRENCY:
        text = "Too many calls at once with this key."
        raise CallRefused(text, status=429, code="concurrency_limit", retry_after_s=1)
    if settings.LLM_KEY_CALLS_PER_MINUTE:
        _take(key_id, settings.LLM_KEY_CALLS_PER_MINUTE)
    _under_way[key_id] = at_once + 1


def leave(key_id: int) -> None:
    """A call that was counted is over."""
    if _under_way[key_id] > 1:
        _under_way[key_id] -= 1
    else:
        del _under_way[key_id]


def _take(key_id: int, per_minute: int) -> None:
    now = time.monotonic()
    left, counted = _buckets.get(key_id, (float(per_minute), now))
    left = min(float(per_minute), left + (now - counted) * per_minute / 60)
    if left < 1:
        wait_s = max(1, round((1 - left) * 60 / per_minute))
        text = f"More than {per_minute} calls a minute with this key."
        raise CallRefused(text, status=429, code="rate_limit_exceeded", retry_after_s=wait_s)
    if len(_buckets) > _MOST_BUCKETS:
        _buckets.clear()
    _buckets[key_id] = (left - 1, now)
