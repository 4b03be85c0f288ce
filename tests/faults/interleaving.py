"""Every order in which the steps of several actors can happen, and a stage on which they happen in that order.

An actor is cut into steps. Two steps commute when they touch nothing in common, or only read it; of all orders that
come to the same by swapping such neighbours only one is played (Mazurkiewicz traces: the first of them in the order of
the alphabet). So "every order" is exact, and the number of plays a fraction.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from django.db import connection

# What a step reads, and what it writes.
Touch = tuple[frozenset[str], frozenset[str]]
Step = tuple[str, int]


def reads(*what: str, writes: str = "") -> Touch:
    return frozenset(what), frozenset(filter(None, [writes]))


@dataclass(frozen=True)
class Plot:
    """Actors and what each of their steps touches. `before`: pairs of steps that keep their order."""

    actors: Mapping[str, Sequence[Touch]]
    before: Sequence[tuple[Step, Step]] = ()

    def orders(self, word: tuple[Step, ...] = ()) -> Iterator[list[str]]:
        """Whose turn it is, step by step, in every order that differs."""
        if len(word) == sum(map(len, self.actors.values())):
            yield [name for name, _number in word]
        for name, steps in self.actors.items():
            step = (name, sum(done == name for done, _number in word))
            ready = step[1] < len(steps) and all(first in word for first, then in self.before if then == step)
            if ready and not self._could_be_earlier(word, step):
                yield from self.orders((*word, step))

    def _could_be_earlier(self, word: Sequence[Step], step: Step) -> bool:
        """Moving it to the left past steps that commute would bring it before a later letter."""
        for earlier in reversed(word):
            if not self._commute(earlier, step):
                return False
            if earlier > step:
                return True
        return False

    def _commute(self, one: Step, other: Step) -> bool:
        if one[0] == other[0] or (one, other) in self.before or (other, one) in self.before:
            return False
        (read, written), (also_read, also_written) = (self.actors[name][number] for name, number in (one, other))
        return not (written & (also_read | also_written) or also_written & read)


class Stage:
    """Lets one actor act at a time, each in a thread of its own, from one of its cuts to the next."""

    def __init__(self, names: Iterable[str]) -> None:
        self._acts: dict[str, Callable[[], Any] | None] = {}
        self._left: dict[str, int] = {}
        self._go = {name: threading.Semaphore(0) for name in names}
        self._stopped = threading.Semaphore(0)
        self._on_stage = ""
        self._threads = [threading.Thread(target=self._live, args=[name], daemon=True) for name in self._go]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._acts = dict.fromkeys(self._go)
        for name, thread in zip(self._go, self._threads, strict=True):
            self._go[name].release()
            thread.join(10)

    def play(self, turns: Sequence[str], acts: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """All turns; who is done early lets the others pass. What each actor said; raises what one raised."""
        self._acts, self._said = dict(acts), {}
        self._left = {name: turns.count(name) for name in acts}
        for name in turns:
            self._left[name] -= 1
            if name not in self._said:
                self._on_stage = name
                self._go[name].release()
                assert self._stopped.acquire(timeout=30), f"{name} hangs"
        assert self._said.keys() == acts.keys()
        for said in self._said.values():
            if isinstance(said, Exception):
                raise said
        return self._said

    def cut(self, *_: object) -> None:
        """Called by whoever acts now, or on its behalf: its step ends here, unless it was the last."""
        name = self._on_stage
        if self._left[name]:
            self._stopped.release()
            assert self._go[name].acquire(timeout=60)

    def _live(self, name: str) -> None:
        with connection.execute_wrapper(self._before_a_move):
            while self._go[name].acquire() and (act := self._acts[name]):
                try:
                    said = act()
                except Exception as error:
                    said = error
                self._said[name] = said
                self._stopped.release()
        connection.close()

    def _before_a_move(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Between what was read and the swap that rests on it. From the swap on its row is locked until the commit,
        so the database itself lets nobody in between."""
        if sql.startswith('UPDATE "topup_order" SET "state"'):
            self.cut()
        return execute(sql, params, many, context)
