"""One merchant's day from the request for its bill to the alert; and the days that are due.

Whoever reconciles a day has an advisory lock on it: it ends with the database session, so nobody waits for the dead,
and it stands in no other's way. Everything in between may be done twice.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from django.db import connection
from django.db.models.functions import Now

from voicehelper import clock
from voicehelper.clock import BEIJING

from ... import services
from ...gateways import GATEWAYS
from ...gateways.base import Gateway
from ...gateways.errors import GatewayError
from ...models import Order, Reconciliation
from . import staging
from .alerts import tell
from .comparing import ComparedDay, compare, totals
from .merchants import Merchant, NoBill, gateway_of, merchant_in_use, merchants_of
from .repairing import repair
from .resolving import refresh_state

log = logging.getLogger(__name__)

SCHEDULE = "schedule"
# So far back a day is made up for that nobody could reconcile when it was its turn.
CATCH_UP_DAYS = 7
_LOCK_CLASS = 20_261_030
_TRY_LOCK = "SELECT pg_try_advisory_lock(%s, %s)"
_UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"


class ReconciliationUnderWay(Exception):
    """Somebody else is reconciling the same day at this moment."""


def reconcile(merchant: Merchant, day: date, *, actor: str) -> Reconciliation:
    """Ask for a merchant's bill of a Beijing day, compare it, put right what is safe, tell about the rest.

    Raises NoBill and UnderWay.
    """
    gateway = gateway_of(merchant)
    if day > clock.today():
        raise NoBill(f"{day} has not begun in Beijing.")
    reconciliation, _made = Reconciliation.objects.get_or_create(**merchant.facts, day=day, defaults={"actor": actor})
    with _alone(reconciliation):
        _compare(reconciliation, gateway, actor)
    return reconciliation


def merchants_of_day(name: str, day: date) -> list[Merchant]:
    """Whose bills of a day there are: that of the merchant in use, and of every other that had a part in it. Raises
    NoBill when there is none."""
    start = staging.midnight(day)
    found = [each for each in merchants_of(name) if each.had_part(start, start + timedelta(days=1))]
    try:
        return list(dict.fromkeys([merchant_in_use(name), *found]))
    except NoBill:
        if not found:
            raise
        return found


@contextmanager
def _alone(reconciliation: Reconciliation) -> Iterator[None]:
    key = [_LOCK_CLASS, reconciliation.pk]
    with connection.cursor() as cursor:
        cursor.execute(_TRY_LOCK, key)
        if not cursor.fetchone()[0]:
            raise ReconciliationUnderWay(
                f"{reconciliation} is being reconciled at this moment. Look at its page in a minute."
            )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_UNLOCK, key)


def _compare(reconciliation: Reconciliation, gateway: Gateway, actor: str) -> None:
    row = Reconciliation.objects.filter(pk=reconciliation.pk)
    row.update(state=Reconciliation.State.RUNNING, actor=actor, started=Now())
    asked = clock.now()
    try:
        about = _fetch(gateway, reconciliation.day)
    except GatewayError as error:
        _note_no_bill(reconciliation, str(error))
        raise NoBill(str(error)) from error
    reconciliation.refresh_from_db()
    reconciliation.runs += 1
    row.update(runs=reconciliation.runs)
    day = ComparedDay(reconciliation, gateway, asked)
    compare(day)
    repair(reconciliation, gateway)
    row.update(**totals(day), **about, problem="", compared=Now())
    staging.forget()
    tell(reconciliation)
    # Last: what ends as "under way" is due again.
    refresh_state(reconciliation)


def _fetch(gateway: Gateway, day: date) -> dict[str, object]:
    """The bill into `bill_row`; what is kept of the file itself. Raises GatewayError."""
    with gateway.bill(day) as bill:
        return staging.stage(bill, gateway)


def _note_no_bill(reconciliation: Reconciliation, problem: str) -> None:
    """What was found in an earlier bill of the day stays."""
    log.warning("No usable bill for %s: %s", reconciliation, problem)
    Reconciliation.objects.filter(pk=reconciliation.pk).update(problem=problem[:500])
    refresh_state(reconciliation)


# --- The schedule ----------------------------------------------------------------------------------------------------
def reconcile_due() -> int:
    """Reconcile yesterday, and the days before it that nobody could, for the merchant of every gateway that is on, and
    for every other that had orders or refunds within a week; how many.

    Raises NoBill in the end, when there was none somewhere: the next beat tries again.
    """
    done, problems = 0, list[str]()
    for name in GATEWAYS:
        for merchant in _merchants_due(name, problems):
            for day in _due(merchant):
                try:
                    reconcile(merchant, day, actor=SCHEDULE)
                    done += 1
                except ReconciliationUnderWay as error:
                    log.info("%s", error)
                except NoBill as error:
                    problems.append(f"{name} {merchant.merchant_id} {day}: {error}")
    if problems:
        raise NoBill(" ".join(problems))
    return done


def _merchants_due(name: str, problems: list[str]) -> list[Merchant]:
    """What is wrong with the one in use is added to `problems`. One that was retired without keys has no bill for us,
    today or tomorrow: its orders say so."""
    now = clock.now()
    found = [each for each in merchants_of(name) if each.had_part(now - timedelta(days=CATCH_UP_DAYS), now)]
    due = [each for each in found if any(account.active or account.values for account in each.accounts())]
    if services.takes_orders(name):
        try:
            due.insert(0, merchant_in_use(name))
        except NoBill as error:
            problems.append(f"{name}: {error}")
    return list(dict.fromkeys(due))


def _due(merchant: Merchant) -> list[date]:
    """Days that were not compared since they ended, oldest first; none from before the merchant's first order."""
    yesterday = clock.today() - timedelta(days=1)
    first = Order.objects.filter(**merchant.facts).order_by("pk").first()
    since = min(first.created.astimezone(BEIJING).date(), yesterday) if first else yesterday
    days = {yesterday - timedelta(days=back) for back in range(CATCH_UP_DAYS)}
    compared = Reconciliation.objects.filter(**merchant.facts, day__in=days)
    done = {each.day for each in compared.exclude(state=Reconciliation.State.RUNNING) if _was_over(each)}
    return sorted(day for day in days - done if day >= since)


def _was_over(reconciliation: Reconciliation) -> bool:
    """A comparison during the day itself was about a part of it."""
    midnight = staging.midnight(reconciliation.day + timedelta(days=1))
    return reconciliation.compared is not None and reconciliation.compared >= midnight
