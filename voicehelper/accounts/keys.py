"""Whose key is it? For /v1: asked in batches, remembered for five seconds, forgotten when something changes.

A revoked key, other limits, a deactivated user or another price group count at once where PostgreSQL's notice arrives
(a trigger sends it, see migrations 0003 and 0008), and after five seconds everywhere else.
"""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voicehelper.net.addresses import Network, is_in, network
from voicehelper.postgres import Batch, Connection, Statement

LIFE_S = 5.0
# Enough for every key in use; a flood of wrong ones must not fill the memory.
_MOST = 20_000

_OWNERS = Statement(
    "accounts_key_owners",
    """
    SELECT json_object_agg(k.digest, json_build_array(
        k.id, u.id, u.username, u."group", k.budget_id, k.model_names, k.addresses,
        extract(epoch FROM k.expires_at - now()), u.minor
    ))
    FROM accounts_apikey k JOIN accounts_user u ON u.id = k.user_id
    WHERE k.digest = ANY(ARRAY(SELECT json_array_elements_text($1::json))) AND k.revoked_at IS NULL AND u.is_active
      AND u.leaving_at IS NULL
    """,
)
_USED = Statement(
    "accounts_keys_used",
    """
    WITH used AS (
        UPDATE accounts_apikey SET last_used_at = now()
        WHERE id = ANY(ARRAY(SELECT json_array_elements_text($1::json)::bigint)) RETURNING 1
    )
    SELECT to_json(count(*)) FROM used
    """,
)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who calls: the key, the user it belongs to, and the group that chooses the price ratio; and what the key is good
    for. No models, no networks: any."""

    key_id: int
    user_id: int
    username: str
    group: str
    budget_id: int | None = None
    models: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    # By this process's monotonic clock.
    ends: float = math.inf
    minor: bool = False

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self.ends

    def calls_from(self, address: str) -> bool:
        """Whether the key may be used from there."""
        return not self.networks or is_in(address, self.networks)


class KeyRing:
    """The keys one process has seen lately. Texts are not kept, only digests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, tuple[Owner | None, float]] = {}
        self._lookups: Batch[str, Owner | None] = Batch(self._look_up)
        self._used: set[int] = set()
        self._changes = 0

    async def owner(self, text: bytes) -> Owner | None:
        """The active user whose valid key this is. Raises psycopg.Error when the database does not answer."""
        digest = hashlib.sha256(text).hexdigest()
        known = self._known.get(digest)
        owner = known[0] if known is not None and known[1] > time.monotonic() else await self._lookups.do(digest)
        if owner is not None:
            self._used.add(owner.key_id)
        return owner

    def forget(self) -> None:
        """Something about keys or users changed."""
        self._changes += 1
        self._known.clear()

    async def note_use(self) -> None:
        """Write down which keys were used since the last time."""
        used, self._used = self._used, set()
        if used:
            await self._connection.run(_USED, sorted(used))

    async def _look_up(self, digests: Sequence[str]) -> Sequence[Owner | None]:
        # As of before the question: the answer may be older than a change it does not show.
        until, changes = time.monotonic() + LIFE_S, self._changes
        found = await self._connection.run(_OWNERS, list(set(digests))) or {}
        owners = [_owner(found[digest]) if digest in found else None for digest in digests]
        if len(self._known) > _MOST:
            self._known.clear()
        if changes == self._changes:
            self._known.update((digest, (owner, until)) for digest, owner in zip(digests, owners, strict=True))
        return owners


def _owner(row: Sequence[Any]) -> Owner:
    key_id, user_id, username, group, budget_id, models, addresses, life_s, minor = row
    ends = math.inf if life_s is None else time.monotonic() + life_s
    networks = tuple(map(network, addresses))
    return Owner(key_id, user_id, username, group, budget_id, tuple(models), networks, ends, minor)
