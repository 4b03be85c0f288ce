"""Deadlines end what is awaited, and nothing else; whoever else cancels a task is not mistaken for one."""

import asyncio

import pytest

from voicehelper.net.deadlines import Deadline


def test_what_takes_too_long_is_ended() -> None:
    async def scenario() -> bool:
        with pytest.raises(TimeoutError), Deadline(0.01) as deadline:
            await asyncio.sleep(10)
        await asyncio.sleep(0)
        return deadline.expired

    assert asyncio.run(scenario())


def test_what_is_in_time_is_left_alone() -> None:
    async def scenario() -> bool:
        with Deadline(0.01) as deadline:
            await asyncio.sleep(0)
        await asyncio.sleep(0.03)
        return deadline.expired

    assert not asyncio.run(scenario())


def test_the_inner_of_two_ends_alone() -> None:
    async def scenario() -> tuple[bool, bool]:
        with Deadline(10) as outer:
            with pytest.raises(TimeoutError), Deadline(0.01) as inner:
                await asyncio.sleep(10)
            await asyncio.sleep(0.01)
        return outer.expired, inner.expired

    assert asyncio.run(scenario()) == (False, True)


def test_the_outer_of_two_ends_both() -> None:
    async def scenario() -> bool:
        with pytest.raises(TimeoutError), Deadline(0.01), Deadline(10) as inner:
            await asyncio.sleep(10)
        task = asyncio.current_task()
        assert task is not None
        return inner.expired or bool(task.cancelling())

    assert not asyncio.run(scenario())


def test_who_cancels_the_task_is_heard() -> None:
    async def waits() -> None:
        with Deadline(10):
            await asyncio.sleep(10)

    async def also_expires() -> None:
        with Deadline(0.01):
            try:
                await asyncio.sleep(10)
            finally:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()

    async def scenario() -> None:
        task = asyncio.ensure_future(waits())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(asyncio.CancelledError):
            await asyncio.ensure_future(also_expires())

    asyncio.run(scenario())


def test_it_may_come_sooner_or_not_at_all() -> None:
    async def scenario() -> bool:
        loop, sooner = asyncio.get_running_loop(), Deadline(10)
        with Deadline(0.01) as never:
            never.reschedule(None)
            await asyncio.sleep(0.03)
        loop.call_soon(lambda: sooner.reschedule(loop.time()))
        with pytest.raises(TimeoutError), sooner:
            await asyncio.sleep(10)
        return never.expired

    assert not asyncio.run(scenario())
