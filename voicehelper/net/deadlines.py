"""`asyncio.timeout` for where it is counted: the same promise at half of its price, paid several times a call."""

import asyncio
from types import TracebackType
from typing import Any, Self


class Deadline:
    """Ends what is awaited inside of `with` after `seconds` from now (None: never), as TimeoutError. `expired` tells
    whether it did. To be used within one task, once."""

    __slots__ = ("_cancelling", "_loop", "_task", "_timer", "_when", "expired")

    def __init__(self, seconds: float | None) -> None:
        self.expired = False
        self._loop = asyncio.get_running_loop()
        self._when = None if seconds is None else self._loop.time() + seconds
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None

    def when(self) -> float | None:
        """By the clock of the loop."""
        return self._when

    def reschedule(self, when: float | None) -> None:
        """Another moment; one that is over counts as soon as the loop goes on."""
        if self.expired:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._when = when
        self._timer = None if when is None else self._loop.call_at(when, self._expire)

    def __enter__(self) -> Self:
        task = self._task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("A deadline belongs to a task.")
        self._cancelling = task.cancelling()
        if self._when is not None:
            self._timer = self._loop.call_at(self._when, self._expire)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task, self._task = self._task, None
        # Who else cancelled the task means more than that time ran out.
        ours = self.expired and task is not None and task.uncancel() <= self._cancelling
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def _expire(self) -> None:
        self._timer = None
        if self._task is not None:
            self.expired = True
            self._task.cancel()
