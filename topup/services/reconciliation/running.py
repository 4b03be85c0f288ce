"""One account's day from the request for its bill to the alert; and the days that are due.

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
from ...gateways.errors import GatewayError, NotConfigured
from ...models import Order, Reconciliation, Refund
from . import staging
from .alerts import tell
from .comparing import Frame, compare, totals
from .repairing import repair
from .resolving import refresh_state

log = logging.getLogger(__name__)

SCHEDULE = "schedule"
# So far back a day is made up for that nobody could reconcile when it was its turn.
CATCH_UP_DAYS = 7
_LOCK_CLASS = 20_261_030
_TRY_LOCK = "SELECT pg_try_advisory_lock(%s, %s)"
_UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"


class NoBill(Exception):
    """There is no usable bill; the text says why in plain words."""


class ReconciliationUnderWay(Exception):
    """Somebody else is reconciling the same day at this moment."""


def reconcile(name: str, day: date, *, actor: str) -> Reconciliation:
    """Ask for a gateway's bill of a Beijing day, compare it, put right what is safe, tell about the rest.

    The account is the one configured now. Raises NoBill and UnderWay.
    """
    try:
        gateway = services.build_gateway(services.section_of(name))
    except NotConfigured as error:
        raise NoBill(f"{name} is not completely configured: {error}") from error
    if day > clock.now().astimezone(BEIJING).date():
        raise NoBill(f"{day} has not begun in Beijing.")
    account = {"gateway": name, "merchant_id": gateway.merchant_id, "live": gateway.live}
    reconciliation, _made = Reconciliation.objects.get_or_create(**account, day=day, defaults={"actor": actor})
    with _alone(reconciliation):
        _compare(reconciliation, gateway, actor)
    return reconciliation


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
    frame = Frame(reconciliation, gateway, asked)
    compare(frame)
    repair(reconciliation, gateway)
    row.update(**totals(frame), **about, problem="", compared=Now())
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
    """Reconcile yesterday, and the days before it that nobody could, for every gateway that is on, or off for less than
    a week; how many.

    Raises NoBill in the end, when there was none somewhere: the next beat tries again.
    """
    done, problems = 0, []
    for name in GATEWAYS:
        for day in _due(name) if services.takes_orders(name) or _is_under_way(name) else ():
            try:
                reconcile(name, day, actor=SCHEDULE)
                done += 1
            except ReconciliationUnderWay as error:
                log.info("%s", error)
            except NoBill as error:
                problems.append(f"{name} {day}: {error}")
    if problems:
        raise NoBill(" ".join(problems))
    return done


def _is_under_way(name: str) -> bool:
    """Whether a gateway that is off had orders or refunds lately: their bills are still to come."""
    since = Now() - timedelta(days=CATCH_UP_DAYS)
    orders, refunds = Order.objects.filter(gateway=name, created__gt=since), Refund.objects.filter(created__gt=since)
    return orders.exists() or refunds.filter(order__gateway=name).exists()


def _due(name: str) -> list[date]:
    """Days that were not compared since they ended, oldest first; none from before the account's first order."""
    yesterday = clock.now().astimezone(BEIJING).date() - timedelta(days=1)
    try:
        gateway = services.build_gateway(services.section_of(name))
    except NotConfigured:
        # `reconcile` says what is missing.
        return [yesterday]
    account = {"gateway": name, "merchant_id": gateway.merchant_id, "live": gateway.live}
    first = Order.objects.filter(**account).order_by("pk").first()
    since = min(first.created.astimezone(BEIJING).date(), yesterday) if first else yesterday
    days = {yesterday - timedelta(days=back) for back in range(CATCH_UP_DAYS)}
    ended = Reconciliation.objects.filter(**account, day__in=days).exclude(state=Reconciliation.State.RUNNING)
    done = {each.day for each in ended if _was_over(each)}
    return sorted(day for day in days - done if day >= since)


def _was_over(reconciliation: Reconciliation) -> bool:
    """A comparison during the day itself was about a part of it."""
    midnight = staging.midnight(reconciliation.day + timedelta(days=1))
    return reconciliation.compared is not None and reconciliation.compared >= midnight
