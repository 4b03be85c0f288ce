"""Sessions that break: whoever waits is told, and the next statement goes through at once."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import uvloop
from django.db import connection

from tests.faults.proxy import Proxy
from tests.processes import database_address
from voicehelper.postgres import Connection, Statement

pytestmark = pytest.mark.django_db(transaction=True)

LENGTH = Statement("length", "SELECT to_json(length($1::json#>>'{}'))")
LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.SelectorEventLoop, uvloop.new_event_loop]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Stands between this process and the database while a test runs."""
    original = dict(connection.settings_dict)
    with Proxy(database_address()) as between:
        host, port = between.address.split(":")
        connection.settings_dict.update(HOST=host, PORT=port)
        try:
            yield between
        finally:
            connection.settings_dict.update(original)


def play(loop: Callable[[], asyncio.AbstractEventLoop], scenario: Any) -> Any:
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(scenario)


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_E2_a_session_that_was_lost_is_replaced_by_the_next_statement(proxy: Proxy, loop: Any) -> None:
    async def scenario() -> float:
        session = Connection()
        started = time.monotonic()
        for _ in range(5):
            assert await session.run(LENGTH, "hello") == 5
            proxy.reset()
            await asyncio.sleep(0.05)
            assert not session.open
        assert await session.run(LENGTH, "hello") == 5
        await session.close()
        return time.monotonic() - started

    assert play(loop, scenario()) < 3


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_E2_a_session_lost_while_a_large_statement_is_sent_raises(proxy: Proxy, loop: Any) -> None:
    """Its socket never becomes writable again."""

    async def scenario() -> None:
        session = Connection()
        assert await session.run(LENGTH, "hello") == 5
        proxy.latency_s = 1.0
        asking = asyncio.create_task(session.run(LENGTH, "x" * 50_000_000))
        await asyncio.sleep(0.3)
        assert not asking.done()
        proxy.heal()
        async with asyncio.timeout(5):
            with pytest.raises(psycopg.OperationalError):
                await asking
            assert await session.run(LENGTH, "hello") == 5
        await session.close()

    play(loop, scenario())
