"""What breaks while people buy: processes die, ways break, gateways and accounts come and go, bills are compared."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from io import StringIO

from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from sandbox import deliveries
from sandbox.faults import write_script
from tests.faults.proxy import Proxy
from topup.models import Order, Refund
from voicehelper import clock

from .deployment import WEB, WORKERS, Deployment
from .plan import EVENTS, GATEWAYS, Plan, events
from .shop import Shop

SENDERS = 4
# Where a provider's answer may fail, and how.
ERRORS = ("http_500", "html", "system_error", "half_body", "wrong_signature")
CALLS = ("create", "query", "query", "close", "refund_query", "bill")
# So many orders a second are due at once, as if their minute were over.
IMPATIENT = 20


class Breaker:
    """Breaks one thing after the other until `over`; `done` counts what, `broke` is what the product did not stand."""

    def __init__(self, plan: Plan, deployment: Deployment, shop: Shop, over: threading.Event) -> None:
        self.done: Counter[str] = Counter()
        self.broke: list[str] = []
        self.errors: list[Exception] = []
        self._plan, self._deployment, self._shop, self._over = plan, deployment, shop, over
        jobs = [self._be_impatient, *[self._deliver] * SENDERS, *(partial(self._break, kind) for kind in EVENTS)]
        self._threads = [threading.Thread(target=self._run, args=[job], daemon=True) for job in jobs]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:
            self.errors.append(error)
        finally:
            connection.close()

    def _deliver(self) -> None:
        """The providers' own repetition."""
        while not self._over.is_set():
            if not deliveries.send():
                time.sleep(0.2)

    def _be_impatient(self) -> None:
        while not self._over.wait(self._plan.calm):
            make_due(IMPATIENT)

    def _break(self, events_of: str) -> None:
        acts: Mapping[str, Callable[[random.Random], None]] = {
            "kill web": lambda choice: self._deployment.kill_web(choice.randrange(WEB)),
            "kill worker": lambda choice: self._deployment.kill_worker(choice.randrange(WORKERS)),
            "provider down": lambda choice: self._down(self._deployment.provider, choice.uniform(0.2, 2)),
            "provider silent": self._silent,
            "provider slow": lambda choice: self._slow(self._deployment.provider, choice.uniform(0.1, 0.5)),
            "database resets": lambda _choice: self._deployment.database.reset(),
            "database down": lambda choice: self._down(self._deployment.database, choice.uniform(0.1, 1)),
            "database slow": lambda choice: self._slow(self._deployment.database, choice.uniform(0.005, 0.02)),
            "commit unanswered": self._lose_a_commit,
            "provider errs": _err,
            "gateway off": self._switch_off,
            "another account": self._shop.change_account,
            "another version": lambda _choice: self._shop.change_version(),
            "bill": lambda _choice: self.broke.extend(compare_bills(clock.today())),
        }
        for wait_s, kind, choice in events(self._plan, events_of):
            if self._over.wait(wait_s):
                return
            acts[kind](choice)
            self.done[kind] += 1

    def _down(self, proxy: Proxy, seconds: float) -> None:
        proxy.mode = "down"
        self._over.wait(seconds)
        proxy.mode = "pass"

    def _slow(self, proxy: Proxy, latency_s: float) -> None:
        proxy.latency_s = latency_s
        self._over.wait(1)
        proxy.latency_s = 0.0

    def _silent(self, choice: random.Random) -> None:
        self._deployment.provider.mode = "half_open"
        self._over.wait(choice.uniform(0.5, 3))
        self._deployment.provider.heal()

    def _lose_a_commit(self, _choice: random.Random) -> None:
        """It is done, and who asked for it is not told."""
        self._deployment.database.break_at(b"COMMIT", "down", after=True)
        self._deployment.database.sprung.wait(2)
        self._deployment.database.heal()

    def _switch_off(self, choice: random.Random) -> None:
        gateway = choice.choice(GATEWAYS)
        self._shop.switch(gateway, on=False)
        self._over.wait(choice.uniform(0.3, 2))
        self._shop.switch(gateway, on=True)


def _err(choice: random.Random) -> None:
    script = {"gateway": choice.choice(GATEWAYS), "operation": choice.choice(CALLS), "fault": choice.choice(ERRORS)}
    write_script(script | {"times": choice.randint(1, 4)})


def make_due(most: int | None = None) -> None:
    """The sweep's time has come, for all that it still follows or for some."""
    for model in (Order, Refund):
        waiting = model._default_manager.filter(next_ask_at__gt=Now())
        if most is not None:
            waiting = model._default_manager.filter(pk__in=waiting.order_by("?").values("pk")[:most])
        waiting.update(next_ask_at=Now())


def compare_bills(*days: date) -> list[str]:
    """Every merchant's, and put right what is safe; what broke inside. Some differences stay: what went back before it
    was credited."""
    broke = []
    for day, gateway in itertools.product(days, GATEWAYS):
        try:
            call_command("reconcile", "--gateway", gateway, "--date", str(day), stdout=StringIO(), stderr=StringIO())
        except SystemExit:
            continue
        except Exception as error:
            broke.append(f"the bill of {gateway}: {error!r}")
    return broke
