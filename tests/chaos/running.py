"""One run, from the first order to the count."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from voicehelper import clock
from voicehelper.wallet import audit

from . import healing
from .breaking import Breaker, compare_bills
from .buying import Crowd
from .counting import Count, Wrong, counted, lost_before_the_bill
from .deployment import deployed
from .plan import Plan
from .shop import Shop
from .telling import story

SHOWN = 20
TOLD = 3


@dataclass(frozen=True)
class Outcome:
    """What came of a run. Right when nothing is in `complaints`."""

    plan: Plan
    seconds: float
    kills: int
    accounts: int
    said: Counter[str]
    broken: Counter[str]
    before_the_bill: list[str]
    count: Count
    broke: list[str]
    stopped: list[str]
    findings: list[str]
    stories: list[str]

    def complaints(self) -> Iterator[str]:
        """What is wrong, with the orders and the seed to repeat it."""
        for wrong, numbers in self.count.wrong.items():
            yield f"{len(numbers)} {wrong}: {_some(numbers)}"
        if self.before_the_bill:
            yield f"{len(self.before_the_bill)} lost but for the bill: {_some(self.before_the_bill)}"
        yield from self.broke[:SHOWN]
        if self.stopped:
            yield f"{len(self.stopped)} times only a constraint kept it from happening: {self.stopped[0]}"
        yield from (f"audit: {finding}" for finding in self.findings[:SHOWN])
        yield from self.stories

    def table(self) -> str:
        """The counts, for people."""
        rows: list[tuple[str, object]] = [
            ("seed", self.plan.seed),
            ("seconds", round(self.seconds)),
            ("kill -9", self.kills),
            ("merchant accounts", self.accounts),
            *sorted(self.broken.items()),
            *sorted(self.said.items()),
            *self.count.facts.items(),
            *((str(wrong), len(self.count.wrong.get(wrong, []))) for wrong in Wrong),
            ("lost but for the bill", len(self.before_the_bill)),
            ("left to a constraint", len(self.stopped)),
            ("audit findings", len(self.findings)),
        ]
        return "\n".join(f"  {name:36}{value:>10}" for name, value in rows)


def _some(numbers: list[str]) -> str:
    return " ".join(numbers[:SHOWN]) + (" …" if len(numbers) > SHOWN else "")


def run(plan: Plan) -> Outcome:
    """On the database this process is connected to, which holds nothing yet."""
    began, first_day = time.monotonic(), clock.today()
    with patience(), deployed() as deployment:
        crowd, shop = Crowd.gathered(plan, deployment.port), Shop(deployment.address)
        breaker = Breaker(plan, deployment, shop, crowd.over)
        breaker.start()
        try:
            crowd.buy_all()
        finally:
            crowd.over.set()
            breaker.join()
        _tell(f"{crowd.said['placed']} orders after {time.monotonic() - began:.0f} s; healing")
        kills = deployment.kills
        deployment.heal()
        healing.send_again()
        healing.until_quiet(all_over=False)
        healing.a_day_goes_by()
        healing.until_quiet()
        before_the_bill = lost_before_the_bill()
        _tell("quiet; comparing the bills")
        broke = breaker.broke + compare_bills(*sorted({first_day, clock.today()}))
        healing.until_quiet()
        findings = [str(finding) for finding in audit.run(full=True).findings]
        stopped = deployment.stopped_by_constraints()
        count = counted()
        return Outcome(
            plan, time.monotonic() - began, kills, shop.accounts, crowd.said, breaker.done,
            before_the_bill, count, broke, stopped, findings, _stories(count, before_the_bill),
        )  # fmt: skip


def _stories(count: Count, before_the_bill: list[str]) -> list[str]:
    """Of some of the orders that are wrong."""
    wrong = [number for numbers in (*count.wrong.values(), before_the_bill) for number in numbers[:TOLD]]
    return [line for number in dict.fromkeys(wrong) for line in (f"{number}:", *story(number))]


@contextmanager
def patience() -> Iterator[None]:
    """This process waits for rows that the product holds, as long as that takes; the product's own limit is short."""

    def wait(connection: BaseDatabaseWrapper, **_more: object) -> None:
        connection.cursor().execute("SET lock_timeout = 0; SET statement_timeout = 0")

    connection_created.connect(wait)
    try:
        yield
    finally:
        connection_created.disconnect(wait)


def _tell(what: str) -> None:
    print(what, flush=True)
