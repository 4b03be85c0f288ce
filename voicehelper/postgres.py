"""PostgreSQL for the asynchronous path: prepared statements that take one JSON value and return one, in batches.

psycopg connects; the statements go straight through its libpq binding, with the socket watched all the time. That costs
16 µs of CPU per statement where a psycopg cursor costs 130, and the relay runs two per call. For everything else there
is the ORM.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
import psycopg
from django.conf import settings
from django.db import connections
from psycopg import pq

# The server gives up after 15 s (settings.DATABASES); a server that is silent for longer is gone.
ANSWER_S = 20.0
CONNECT_S = 5

_BAD = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)


@dataclass(frozen=True)
class Statement:
    """One prepared statement: `$1` is its only parameter, and its only answer is one row of one column, both JSON."""

    name: str
    sql: str


class Connection:
    """One session in autocommit, one statement at a time. Lost sessions raise psycopg.OperationalError, once; the next
    statement opens another.

    `listen` is what a session begins with; `heard` is given the channel and the text of every notice, and two empty
    ones when something may have been missed.
    """

    def __init__(self, listen: bytes = b"", heard: Callable[[bytes, bytes], None] | None = None) -> None:
        self._listen = listen
        self._heard = heard
        self._session: psycopg.AsyncConnection[Any] | None = None
        self._pg: Any = None
        # libpq forgets its socket's number when it finds the session lost; our event loop does not by itself.
        self._socket = -1
        self._answer: asyncio.Future[list[Any]] | None = None
        self._results: list[Any] = []
        self._prepared: set[str] = set()
        self._asked_at = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._busy = asyncio.Lock()

    @property
    def open(self) -> bool:
        return self._session is not None

    async def run(self, statement: Statement, value: object) -> Any:
        """The statement's answer, read; None when it is NULL. Raises psycopg.Error.

        After an OperationalError it is unknown whether the statement was carried out.
        """
        async with self._busy:
            if self._session is None:
                await self._connect()
            try:
                if statement.name not in self._prepared:
                    await self._send(self._pg.send_prepare, statement.name.encode(), statement.sql.encode())
                    self._prepared.add(statement.name)
                rows = await self._send(self._pg.send_query_prepared, statement.name.encode(), [orjson.dumps(value)])
            except asyncio.CancelledError:
                if self._answer is not None:
                    self._answer.cancel()
                self._lose()
                raise
        text = rows[0].get_value(0, 0) if rows[0].ntuples else None
        return None if text is None else orjson.loads(text)

    async def close(self) -> None:
        self._lose()

    async def _connect(self) -> None:
        session = await psycopg.AsyncConnection.connect(autocommit=True, **_address())
        try:
            if self._listen:
                await session.execute(self._listen)
            self._socket = session.pgconn.socket
        except BaseException:
            session.pgconn.finish()
            raise
        self._session, self._pg = session, session.pgconn
        self._pg.nonblocking = 1
        self._prepared.clear()
        asyncio.get_running_loop().add_reader(self._socket, self._readable)
        self._watch()
        if self._heard:
            # Whatever was said while nobody listened.
            self._heard(b"", b"")

    async def _send(self, send: Callable[..., None], *arguments: Any) -> list[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Any]] = loop.create_future()
        self._answer, self._asked_at = answer, loop.time()
        try:
            send(*arguments)
            while not answer.done() and self._pg.flush():
                await self._writable(answer)
        except psycopg.OperationalError as error:
            self._lose(error)
        results = await answer
        for result in results:
            if result.status in _BAD:
                raise psycopg.errors.error_from_result(result)
        return results

    async def _writable(self, answer: "asyncio.Future[Any]") -> None:
        """Until more can be sent, or the answer is there: that the session was lost, say."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._socket, _done, ready)
        await asyncio.wait([ready, answer], return_when=asyncio.FIRST_COMPLETED)
        if self._session is not None:
            loop.remove_writer(self._socket)

    def _readable(self) -> None:
        pg = self._pg
        try:
            pg.consume_input()
            while self._answer is not None and not pg.is_busy():
                result = pg.get_result()
                if result is None:
                    results, self._results = self._results, []
                    answer, self._answer = self._answer, None
                    if not answer.done():
                        answer.set_result(results)
                    break
                self._results.append(result)
        except psycopg.OperationalError as error:
            self._lose(error)
            return
        while (notice := pg.notifies()) is not None:
            if self._heard:
                self._heard(notice.relname, notice.extra)

    def _watch(self) -> None:
        """One timer for all statements; setting one for each would cost as much as sending it."""
        loop = asyncio.get_running_loop()
        if self._answer is not None and loop.time() - self._asked_at > ANSWER_S:
            self._lose(psycopg.OperationalError("PostgreSQL does not answer."))
        else:
            self._alarm = loop.call_later(ANSWER_S / 4, self._watch)

    def _lose(self, error: psycopg.OperationalError | None = None) -> None:
        """Give the session up; whoever waits is told."""
        session, self._session = self._session, None
        answer, self._answer = self._answer, None
        self._results = []
        if self._alarm is not None:
            self._alarm.cancel()
        if session is not None:
            self._forget_socket()
            self._pg.finish()
        self._pg = None
        if answer is not None and not answer.done():
            answer.set_exception(error or psycopg.OperationalError("The connection to PostgreSQL was lost."))

    def _forget_socket(self) -> None:
        """At once: in a moment its number may be another socket's."""
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            for remove in (loop.remove_writer, loop.remove_reader):
                # Of a socket that is closed, asyncio forgets the first only after it failed.
                with suppress(OSError):
                    remove(self._socket)


def _address() -> dict[str, Any]:
    """Where Django's database is, for libpq; behind a pooler the database itself."""
    django = connections["default"].settings_dict
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    address = {libpq: django[name] for name, libpq in names.items() if django[name]}
    options = {"options": settings.SESSION_OPTIONS, **django["OPTIONS"], **settings.DATABASE_DIRECT}
    return {**address, **options, "connect_timeout": CONNECT_S, "tcp_user_timeout": int(ANSWER_S * 1000)}


def _done(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


Item = TypeVar("Item")
Result = TypeVar("Result")


class Batch(Generic[Item, Result]):
    """Does in one go what is asked for at the same time: while one batch is under way, the next one gathers.

    `work` takes the items in the order in which they came, and returns for each its result or the exception to raise.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]], size: int = 500
    ) -> None:
        self._work = work
        self._size = size
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """The item's result, when its batch is done."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = loop.create_task(self._run())
        return await future

    async def drain(self) -> None:
        """Until nothing waits."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
                try:
                    results = await self._work([item for item, _ in batch])
                except Exception as error:  # noqa: BLE001  # whoever asked is told
                    results = [error] * len(batch)
                for (_, future), result in zip(batch, results, strict=True):
                    if future.done():
                        continue
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._task = None
