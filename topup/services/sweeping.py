"""The sweep: every order whose time to be asked about has come, a hundred thousand of them as well as one.

A run has a budget of time, and the next goes on where it stopped. Orders are claimed by moving their next time on, in
one committed statement: no lock is held while a provider is asked, two runs at once never do the same work, and what a
killed one had claimed is due again a minute later. Each gateway has a crew of its own, so none waits for another.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic_ns

from django.db import connection, transaction
from django.db.models import Case, DurationField, F, Q, Value, When
from django.db.models.functions import Now

from voicehelper import clock

from ..gateways import GATEWAYS
from ..gateways.base import Gateway
from ..gateways.exchanges import Exchange
from ..models import Order
from ..models.orders import LANE, Lane
from .errors import TopupError
from .following import ASK_EVERY, WATCH_EVERY, follow_order
from .gateways import (
    NO_ANSWER,
    UNREACHABLE_AFTER,
    belongs,
    note_another_account,
    open_gateway,
    report_reachable,
)

log = logging.getLogger(__name__)

# Less than the time between two beats, so that runs do not pile up.
BUDGET_S = 12
# Questions to one provider at the same time. Neither says how many it allows; it can tell us to slow down.
WORKERS = 8
CLAIMED = 4 * WORKERS
# An order that was asked about so often and came to no end (a day has 1440 minutes) is asked about hourly.
OFTEN = 150
# Orders of a gateway that is not completely configured are looked at so often, and at most so many in a run.
WHILE_OFF = timedelta(minutes=5)
PUT_OFF = 20_000

# How long until a claimed order is due again.
_WAIT = Case(
    When(Q(state__in=Order.OPEN, asked__lt=OFTEN), then=Value(ASK_EVERY)),
    default=Value(WATCH_EVERY),
    output_field=DurationField(),
)

# How much of a claim each lane may fill, those before it included; without company the last may fill it all.
# A buyer pays in the first minutes or hardly ever; what is closed already is only watched.
_SHARES = {Lane.FRESH: 2, Lane.AGEING: 3, Lane.WATCHED: 4}


def follow_orders(*, budget_s: int = BUDGET_S) -> int:
    """Look after every order that is due, until the budget is used up; returns how many were looked after.

    Raises what keeps it from claiming any. An order whose turn came is finished even if that takes longer.
    """
    deadline_ns = monotonic_ns() + budget_s * 1_000_000_000
    crews = [crew for name in GATEWAYS if (crew := _Crew(name, deadline_ns)).is_needed()]
    _at_once([crew.run for crew in crews])
    return sum(crew.done for crew in crews)


class _Crew:
    """Looks after the orders of one gateway during one run, with up to WORKERS threads."""

    def __init__(self, name: str, deadline_ns: int) -> None:
        self.name = name
        self.done = 0
        self._deadline_ns = deadline_ns
        self._lock = threading.Lock()
        self._claimed: deque[Order] = deque()
        self._now: datetime
        # Calls in a row without an answer.
        self._silence = 0
        self._answered = False
        # By app id: one merchant's orders may come from several apps.
        self._gateways: dict[str, Gateway] = {}

    def is_needed(self) -> bool:
        """Whether anything of a gateway that works, on or off, is due; the first of it is claimed then."""
        try:
            self._open("")
        except TopupError:
            due = Order.objects.filter(gateway=self.name, next_ask_at__lte=Now()).values("pk")[:PUT_OFF]
            Order.objects.filter(pk__in=due).update(next_ask_at=Now() + WHILE_OFF)
            return False
        return self._claim()

    def _open(self, app_id: str) -> Gateway:
        gateway = open_gateway(self.name, app_id=app_id)
        keep = gateway.record
        gateway.record = lambda exchange: self._recorded(exchange, keep)
        self._gateways[app_id] = self._gateways[gateway.app_id] = gateway
        return gateway

    def _gateway_of(self, order: Order) -> Gateway | None:
        """None: the order was placed with another merchant account than the one configured now."""
        gateway = self._gateways.get(order.app_id) or self._open(order.app_id)
        if belongs(order, gateway):
            return gateway
        note_another_account(order)
        return None

    def run(self) -> None:
        """One worker until the provider has answered, then all: one that is down is not rung by everybody."""
        while not self._answered:
            if not self._one():
                return
        helpers = min(WORKERS, len(self._claimed)) - 1
        _at_once([self._work] * (1 + max(0, helpers)))
        if not self._silence:
            report_reachable(self.name)

    def _work(self) -> None:
        while self._one():
            pass

    def _one(self) -> bool:
        """Look after the next order. False: there is none, or no time, or the provider has fallen silent."""
        with self._lock:
            if self._silence >= UNREACHABLE_AFTER or not (self._claimed or self._claim()):
                return False
            order, now = self._claimed.popleft(), self._now
        try:
            follow_order(order, self._gateway_of(order), now)
        except Exception:
            # It is asked about again in a minute, and must not keep the others waiting.
            log.exception("Looking after order %s failed", order.order_no)
        with self._lock:
            self.done += 1
        return True

    def _claim(self) -> bool:
        if monotonic_ns() >= self._deadline_ns:
            return False
        self._claimed.extend(claim(self.name, CLAIMED))
        self._now = clock.now()
        if not self._claimed:
            self._deadline_ns = 0
        return bool(self._claimed)

    def _recorded(self, exchange: Exchange, keep: Callable[[Exchange], None]) -> None:
        keep(exchange)
        silent = exchange.outcome in NO_ANSWER
        with self._lock:
            self._silence = self._silence + 1 if silent else 0
            self._answered = self._answered or not silent


def claim(gateway: str, size: int) -> Sequence[Order]:
    """Up to `size` orders that nobody else will look after now, the lanes in turn, who waited longest first."""
    keys: list[int] = []
    with transaction.atomic():
        for lane, share in _SHARES.items():
            due = Order.objects.alias(lane=LANE).filter(gateway=gateway, lane=lane, next_ask_at__lte=Now())
            free = due.select_for_update(skip_locked=True).order_by("next_ask_at").values_list("pk", flat=True)
            keys += free[: size * share // max(_SHARES.values()) - len(keys)]
        if keys:
            Order.objects.filter(pk__in=keys).update(asked=F("asked") + 1, next_ask_at=Now() + _WAIT)
    found = Order.objects.select_related("user").in_bulk(keys)
    return [found[key] for key in keys]


def _at_once(jobs: Sequence[Callable[[], None]]) -> None:
    """The first here, the others in threads of their own; until all are done."""
    threads = [threading.Thread(target=_in_thread, args=[job]) for job in jobs[1:]]
    for thread in threads:
        thread.start()
    try:
        for job in jobs[:1]:
            job()
    finally:
        for thread in threads:
            thread.join()


def _in_thread(job: Callable[[], None]) -> None:
    try:
        job()
    except Exception:
        log.exception("A worker of the sweep failed")
    finally:
        connection.close()
