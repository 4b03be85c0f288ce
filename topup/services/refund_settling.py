"""`settle_refund`: the only code that ends a refund. Taken or released, the quota moves with the state, once."""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import capture, release

from ..gateways.refunds import RefundState, RefundStatus
from ..models import Order, Refund
from ..money import yuan
from .surplus import end_if_given_back

log = logging.getLogger(__name__)

ASK_EVERY = timedelta(seconds=30)
# Of the quota that is set aside, until the refund ends, however long the provider takes; the reaper must not give it
# back before.
HOLD_LIFE = timedelta(days=3650)
# A refund to a bank card takes days; there is no need to ask every minute.
_SLOWER_AFTER = ((40, timedelta(hours=1)), (10, timedelta(minutes=10)))
_ALERT_AFTER = 10


def settle_refund(refund: Refund, status: RefundStatus) -> None:
    """Make of a provider's word what it is: only a confirmed success takes the quota, only a confirmed failure gives it
    back; either happens once, whoever comes second. `refund.order` is the order."""
    if status.state in (RefundState.SUCCEEDED, RefundState.PROCESSING) and status.amount_fen not in (
        0,
        refund.amount_fen,
    ):
        _flag(refund, f"The provider speaks of {status.amount_fen} fen, agreed were {refund.amount_fen}.")
    elif status.state == RefundState.SUCCEEDED:
        _succeed(refund, status)
    elif status.state == RefundState.CLOSED:
        fail_refund(refund, status.raw_state)
    elif status.state == RefundState.ABNORMAL:
        problem = "The money cannot reach the buyer (account closed?): pay it out in the provider's console."
        _flag(refund, problem)
    elif refund.state in Refund.OPEN:
        _open_again(refund)
        facts = {"said": status.raw_state[:200], "refund_id": status.refund_id or refund.refund_id}
        Refund.objects.filter(pk=refund.pk).update(**facts)


def _open_again(refund: Refund) -> bool:
    """To `submitted`, from where every outcome can be reached."""
    if refund.state in (Refund.State.UNKNOWN, Refund.State.REQUESTED):
        refund.move(Refund.State.SUBMITTED, submitted_at=refund.submitted_at or Now())
    return refund.state == Refund.State.SUBMITTED


def _succeed(refund: Refund, status: RefundStatus) -> None:
    with transaction.atomic():
        order, refund = _locked(refund)
        if refund.state == Refund.State.FAILED:
            _flag(refund, "Failed here, and refunded at the provider after all: the user kept the quota.")
            return
        if not _open_again(refund):
            return
        refund.move(
            Refund.State.SUCCEEDED,
            finished_at=Now(),
            succeeded_at=status.succeeded_at,
            refund_id=status.refund_id or refund.refund_id,
            said=status.raw_state[:200],
            review="",
            next_ask_at=None,
        )
        if refund.quota:
            reason = refund.reason or "Refund"
            capture(refund.ref, refund.quota, kind=Entry.Kind.REFUND, actor=refund.requested_by, reason=reason)
        if refund.surplus:
            end_if_given_back(refund.surplus)
            return
        done = (
            order.refunds.filter(state=Refund.State.SUCCEEDED, surplus=None).aggregate(fen=Sum("amount_fen"))["fen"]
            or 0
        )
        order.move(Order.State.REFUNDED if done >= order.amount_fen else Order.State.PARTLY_REFUNDED)
        if refund.shortfall:
            _report_shortfall(order, refund)


def fail_refund(refund: Refund, said: str) -> None:
    """The provider will never carry it out: the quota is the user's again."""
    with transaction.atomic():
        order, refund = _locked(refund)
        if refund.state not in Refund.OPEN or not _open_again(refund):
            return
        refund.move(Refund.State.FAILED, finished_at=Now(), said=said[:200], next_ask_at=None)
        if refund.quota:
            release(refund.ref)
        raise_alert(
            "refund_failed",
            level="warning",
            title=Text(
                gettext_noop("Order %(order)s: a refund of ¥%(yuan)s failed"),
                order=order.order_no,
                yuan=yuan(refund.amount_fen),
            ),
            content=[said, Text(gettext_noop("Nothing was given back, and the user has the quota again."))],
            key=f"refund-failed:{refund.ref}",
            about=refund,
            platform=order.gateway,
        )


def _locked(refund: Refund) -> tuple[Order, Refund]:
    """Both rows as they are now. The order comes first, here as everywhere, so that nobody waits in a circle."""
    order = Order.objects.select_for_update(of=("self",)).select_related("user").get(pk=refund.order_id)
    return order, Refund.objects.select_for_update().get(pk=refund.pk)


def not_certain(refund: Refund, problem: str) -> None:
    """No trustworthy answer: the sweep goes on asking, with the same number."""
    refund.move(Refund.State.UNKNOWN)
    Refund.objects.filter(pk=refund.pk, state__in=Refund.OPEN).update(said=problem[:200])


def ask_again_after(refund: Refund) -> timedelta:
    """How long the sweep leaves a refund alone."""
    return next((wait for asked, wait in _SLOWER_AFTER if refund.asked >= asked), ASK_EVERY)


def report_slow(refund: Refund) -> None:
    """Once a refund was asked about so often that somebody should know."""
    if refund.asked == _ALERT_AFTER:
        raise_alert(
            "refund_slow",
            level="warning",
            title=Text(gettext_noop("Order %(order)s: no outcome of a refund yet"), order=refund.order.order_no),
            content=Text(
                gettext_noop("Asked %(count)s times about %(refund)s: %(said)s"),
                count=refund.asked,
                refund=refund,
                said=refund.said or Text(gettext_noop("the provider is working on it")),
            ),
            key=f"refund-slow:{refund.ref}",
            about=refund,
            platform=refund.order.gateway,
        )


def _flag(refund: Refund, problem: str) -> None:
    Refund.objects.filter(pk=refund.pk).update(review=problem[:200])
    raise_alert(
        "refund_mismatch",
        level="critical",
        title=Text(gettext_noop("Refund %(refund)s needs somebody"), refund=refund),
        content=problem,
        key=f"refund-review:{refund.ref}",
        about=refund,
        platform=refund.order.gateway,
    )


def _report_shortfall(order: Order, refund: Refund) -> None:
    facts = {"yuan": yuan(refund.amount_fen), "user": order.user, "quota": f"{refund.quota:,}"}
    raise_alert(
        "refund_shortfall",
        level="warning",
        title=Text(
            gettext_noop("Order %(order)s: refunded, and %(quota)s quota of it were spent"),
            order=order.order_no,
            quota=f"{refund.shortfall:,}",
        ),
        content=Text(gettext_noop("¥%(yuan)s went back to %(user)s; %(quota)s quota were left to take."), **facts),
        key=f"refund-shortfall:{refund.ref}",
        about=refund,
        platform=order.gateway,
    )
