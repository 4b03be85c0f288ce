"""What one process keeps while it relays: database sessions, catalogue, keys, providers, statistics, calls under way.

One engine per event loop, made on first use. Several processes agree through PostgreSQL (money, changes) and Redis
(statistics).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

import psycopg

from notifications.services import open_keys, raise_alert, resolve_all_passed
from notifications.texts import Said, Text
from voicehelper.accounts import minors
from voicehelper.accounts.keys import KeyRing
from voicehelper.postgres import Connection
from voicehelper.wallet.batch import Ledger
from voicehelper.wallet.services import as_actor

from ..credentials import ensure_environment_credentials
from ..providers import open_provider
from ..providers.base import Provider
from ..safety.guard import Guard
from .billing import RECORD
from .catalogue import Catalogue, CredentialSpec
from .doubts import Doubts
from .estimates import Calibration
from .kept import KeptResponses
from .router import ModelHealth
from .snapshot import Snapshot
from .statistics import Statistics
from .threads import in_thread
from .unstreamed import Unstreamed

log = logging.getLogger(__name__)

# A hold outlives its call by this when the process dies; while the call runs it is renewed.
HOLD_LIFE = timedelta(minutes=15)
_RENEW_AFTER_S = 300.0
_SHARE_EVERY_S = 2.0
_SLOW_EVERY_S = 30.0
# Streams whose clients left are read on for this long when the process ends.
_LONGEST_CLOSE_S = 10.0
# How the keys of alerts begin that tell of an account at a provider, by its number.
_OF_ACCOUNTS = ("circuit:", "unpaid:")
# Where a process says which call is to be stopped: nobody knows whose it is.
STOPPED = "voicehelper_stopped"
_LISTEN = f"LISTEN voicehelper_changed; LISTEN {STOPPED}".encode()


class Lease:
    """A provider in use: closed when its account changed and its last call is over."""

    def __init__(self, spec: CredentialSpec) -> None:
        self.account = spec.account
        self.provider = open_provider(spec.account)
        self.calls = 0
        self.retired = False


class Providers:
    """One provider, and so one pool of connections, per account."""

    def __init__(self) -> None:
        self._open: dict[int, Lease] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def lease(self, spec: CredentialSpec) -> Lease:
        """The provider of an account; give it back with `done`."""
        found = self._open.get(spec.id)
        if found is None or found.account != spec.account:
            if found is not None:
                self._retire(found)
            found = self._open[spec.id] = Lease(spec)
        found.calls += 1
        return found

    def done(self, lease: Lease) -> None:
        lease.calls -= 1
        if lease.retired and not lease.calls:
            self._close(lease.provider)

    def keep(self, catalogue: Catalogue) -> list[int]:
        """Close what the catalogue no longer has, or has differently; returns which accounts."""
        changed = []
        for number, found in list(self._open.items()):
            spec = catalogue.credentials.get(number)
            if spec is None or spec.account != found.account:
                del self._open[number]
                self._retire(found)
                changed.append(number)
        return changed

    async def close(self) -> None:
        for found in self._open.values():
            await found.provider.close()
        self._open.clear()
        if self._closing:
            await asyncio.wait(self._closing)

    def _retire(self, found: Lease) -> None:
        found.retired = True
        if not found.calls:
            self._close(found.provider)

    def _close(self, provider: Provider) -> None:
        task = asyncio.get_running_loop().create_task(provider.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class Engine:
    """See the module. `under_way` maps the hold of each call to when it was last made or renewed, `stops` calls that
    can be stopped from elsewhere to what stops them."""

    def __init__(self) -> None:
        self._reader = Connection(_LISTEN, self._heard)
        self.keys = KeyRing(self._reader)
        self.ledger = Ledger(HOLD_LIFE, RECORD)
        self.statistics = Statistics()
        self.calibration = Calibration()
        self.doubts = Doubts(self.alert)
        self.unstreamed = Unstreamed()
        self.providers = Providers()
        self.kept = KeptResponses()
        self.guard = Guard()
        self.under_way: dict[str, float] = {}
        self.stops: dict[str, Callable[[], None]] = {}
        self._snapshot = Snapshot(self._reader, self._renew_catalogue)
        # Keys of the alerts about accounts that are open, as far as this process knows.
        self._told: set[str] = set()
        self._seen: dict[str, ModelHealth] = {}
        self._seen_at = 0.0
        self._ready: asyncio.Task[None] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()

    async def catalogue(self) -> Catalogue:
        """What can be asked for now. The first call of a process makes the credentials the environment names."""
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_task(self._start())
        if not self._ready.done() or self._ready.exception():
            try:
                await asyncio.shield(self._ready)
            except Exception:
                self._ready = None
                raise
        return await self._snapshot.current()

    def seen(self, catalogue: Catalogue) -> dict[str, ModelHealth]:
        """The models' last minutes, not older than a second."""
        now = time.monotonic()
        if now - self._seen_at > 1.0:
            self._seen, self._seen_at = self.statistics.seen(catalogue), now
        return self._seen

    def alert(self, event: str, *, title: Text, content: Said, key: str, **more: str) -> None:
        """Tell the operators, without keeping the call waiting."""
        if key.startswith(_OF_ACCOUNTS):
            self._told.add(key)
        self.in_background(in_thread(raise_alert, event, title=title, content=content, key=key, **more))

    async def admit_minor(self, user_id: int, ref: str) -> None:
        """Whether the call whose hold this is may go on; else that is released. Behind the hold: of two calls at once,
        each sees what the other may spend. Raises MinorsLimit, psycopg.Error."""
        try:
            await minors.admit_call(self._reader, user_id, ref, await in_thread(minors.quota_per_fen))
        except BaseException:
            await self.ledger.settle(ref, 0, actor=as_actor(user_id))
            raise

    def well(self, credential: int, model: str) -> None:
        """The account answers, for this model: what the operators were told of it is over."""
        self.statistics.answered(credential, model)
        keys = self._told & {f"{begins}{credential}" for begins in _OF_ACCOUNTS} if self._told else None
        if keys and not self.statistics.troubled(credential):
            self._told -= keys
            self.in_background(in_thread(resolve_all_passed, keys))

    def in_background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Do something that nobody has to wait for; `close` does."""
        task = asyncio.get_running_loop().create_task(_logged(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def stop(self, request_id: str) -> None:
        """Stop a call, if it is one of this process."""
        if stop := self.stops.get(request_id):
            stop()

    async def close(self) -> None:
        """Finish what is under way in the ledger and hang up everywhere."""
        while self._ticking is not None and not self._ticking.done():
            # Once may not be enough: redis-py can take a cancellation for one of its own time-outs.
            self._ticking.cancel()
            await asyncio.wait([self._ticking], timeout=1)
        if self._background:
            await asyncio.wait(self._background, timeout=_LONGEST_CLOSE_S)
        await self.ledger.close()
        await self.kept.close()
        await self.providers.close()
        await self.guard.close()
        await self.statistics.close()
        await self._reader.close()

    async def _start(self) -> None:
        await in_thread(ensure_environment_credentials)
        self._told |= await in_thread(open_keys, _OF_ACCOUNTS)
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    def _heard(self, channel: bytes, said: bytes) -> None:
        if channel == STOPPED.encode():
            self.stop(said.decode())
            return
        self.keys.forget()
        self._snapshot.forget()

    def _renew_catalogue(self, catalogue: Catalogue) -> None:
        for credential in self.providers.keep(catalogue):
            # What failed was the old account.
            self.statistics.renewed(credential)
        self._seen_at = 0.0

    async def _tick(self) -> None:
        slow = time.monotonic()
        while True:
            await asyncio.sleep(_SHARE_EVERY_S)
            await self.statistics.share()
            if time.monotonic() - slow > _SLOW_EVERY_S:
                slow = time.monotonic()
                try:
                    await self._renew_holds()
                    await self.keys.note_use()
                except psycopg.Error as error:
                    log.warning("Holds and keys are looked after again in a while: %s", error)

    async def _renew_holds(self) -> None:
        now = time.monotonic()
        old = [ref for ref, renewed in self.under_way.items() if now - renewed > _RENEW_AFTER_S]
        if old:
            await self.ledger.renew(old)
            self.under_way.update((ref, now) for ref in old if ref in self.under_way)


async def _logged(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Exception:
        log.exception("Work in the background failed")


_engines: "WeakKeyDictionary[asyncio.AbstractEventLoop, Engine]" = WeakKeyDictionary()


def engine() -> Engine:
    """The engine of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _engines.get(loop)
    if found is None:
        found = _engines[loop] = Engine()
    return found


async def close_engine() -> None:
    """Close the running loop's engine, if it has one."""
    found = _engines.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()
