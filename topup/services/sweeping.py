"""The sweep: every order whose time to be asked about has come, a hundred thousand of them as well as one.

A run has a budget of time, and the next goes on where it stopped. Orders are claimed by moving their next time on, in
one committed statement: no lock is held while a provider is asked, two runs at once never do the same work, and what a
killed one had claimed is due again a minute later. Each gateway has a crew of its own, so none waits for another; an
account whose address has fallen silent is left alone until the next run, and the others of its gateway go on.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic_ns

from django.db import connection, transaction
from django.db.models import Case, DurationField, F, Q, Value, When
from django.db.models.functions import Now

from voicehelper import clock

from ..gateways import GATEWAYS
from ..gateways.base import Gateway
from ..gateways.errors import NotConfigured
from ..gateways.exchanges import Exchange
from ..models import Order
from ..models.orders import LANE, Lane
from .accounts import account_of, active_account
from .errors import TopupError
from .following import ASK_EVERY, WATCH_EVERY, follow_order
from .gateways import NO_ANSWER, UNREACHABLE_AFTER, note_keyless, open_account, open_gateway, report_reachable

log = logging.getLogger(__name__)

# Less than the time between two beats, so that runs do not pile up.
BUDGET_S = 12
# Questions to one provider at the same time. Neither says how many it allows; it can tell us to slow down.
WORKERS = 8
CLAIMED = 4 * WORKERS
# An order that was asked about so often and came to no end (a day has 1440 minutes) is asked about hourly.
OFTEN = 150
# Orders of the active account are looked at so often while it is not complete, and at most so many in a run.
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
        # Calls in a row without an answer, by account.
        self._silence: Counter[int | None] = Counter()
        self._answered = False
        self._active: int | None = None
        # By account and app id: one account's orders may come from several apps. None: nobody knows its keys.
        self._gateways: dict[tuple[int | None, str], Gateway | None] = {}

    def is_needed(self) -> bool:
        """Whether anything of an account that works, on or off, active or retired, is due; the first of it is claimed
        then."""
        try:
            self._active = open_gateway(self.name).account
        except TopupError:
            due = Order.objects.filter(gateway=self.name, next_ask_at__lte=Now()).exclude(account__active=False)
            keys = due.values("pk")[:PUT_OFF]
            Order.objects.filter(pk__in=keys).update(next_ask_at=Now() + WHILE_OFF)
            active = active_account(self.name)
            self._active = active.pk if active else None
            # As silent as one that gives no answer.
            self._silence[self._active] = UNREACHABLE_AFTER
        return self._claim()

    def _open(self, order: Order) -> Gateway | None:
        account = account_of(order)
        try:
            gateway = open_account(account, app_id=order.app_id) if account else None
        except NotConfigured:
            gateway = None
        if gateway is not None:
            keep, key = gateway.record, gateway.account
            gateway.record = lambda exchange: self._recorded(exchange, keep, key)
        return gateway

    def _gateway_of(self, order: Order) -> Gateway | None:
        """None: nobody knows the keys of the order's account any more."""
        # What code placed that knew no accounts is known by its facts alone.
        facts = "" if order.account_id else f"{order.merchant_id} {order.live} "
        key = (order.account_id, facts + order.app_id)
        if key not in self._gateways:
            self._gateways[key] = self._open(order)
        gateway = self._gateways[key]
        if gateway is None:
            note_keyless(order)
        return gateway

    def run(self) -> None:
        """One worker until the provider has answered, then all: one that is down is not rung by everybody."""
        while not self._answered:
            if not self._one():
                return
        helpers = min(WORKERS, len(self._claimed)) - 1
        _at_once([self._work] * (1 + max(0, helpers)))
        # One that was retired may be silent for good.
        if not self._silence[self._active]:
            report_reachable(self.name)

    def _work(self) -> None:
        while self._one():
            pass

    def _one(self) -> bool:
        """Look after the next order. False: there is none, or no time, or all have fallen silent."""
        with self._lock:
            if not (self._claimed or self._claim()):
                return False
            order, now = self._claimed.popleft(), self._now
        try:
            gateway = self._gateway_of(order)
            if gateway is not None and self._silence[gateway.account] >= UNREACHABLE_AFTER:
                return True
            follow_order(order, gateway, now)
        except Exception:
            # It is asked about again in a minute, and must not keep the others waiting.
            log.exception("Looking after order %s failed", order.order_no)
        with self._lock:
            self.done += 1
        return True

    def _claim(self) -> bool:
        if monotonic_ns() >= self._deadline_ns:
            return False
        self._claimed.extend(claim(self.name, CLAIMED, without=self._silent()))
        self._now = clock.now()
        if not self._claimed:
            self._deadline_ns = 0
        return bool(self._claimed)

    def _silent(self) -> list[int | None]:
        """The accounts that are not asked any more in this run."""
        return [account for account, calls in self._silence.items() if calls >= UNREACHABLE_AFTER]

    def _recorded(self, exchange: Exchange, keep: Callable[[Exchange], None], account: int | None) -> None:
        keep(exchange)
        silent = exchange.outcome in NO_ANSWER
        with self._lock:
            self._silence[account] = self._silence[account] + 1 if silent else 0
            self._answered = self._answered or not silent


def claim(gateway: str, size: int, without: Sequence[int | None] = ()) -> Sequence[Order]:
    """Up to `size` orders that nobody else will look after now, the lanes in turn, who waited longest first; none of
    the accounts `without`, and then none whose account is not written down either."""
    keys: list[int] = []
    with transaction.atomic():
        for lane, share in _SHARES.items():
            due = Order.objects.alias(lane=LANE).filter(gateway=gateway, lane=lane, next_ask_at__lte=Now())
            if without:
                due = due.filter(account__isnull=False).exclude(account__in=without)
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
