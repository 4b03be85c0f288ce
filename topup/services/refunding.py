"""Refunds: asked for, sent, asked about, found.

The quota is set aside when a refund is asked for, and taken when the provider has confirmed it, which `settle_refund`
alone decides. A refund keeps its number for ever: sending it again is the same refund. The sums of an order's refunds
are guarded by a lock on the order's row, held in the database only; no provider is called under it.
"""

import logging
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Max, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notifications.services import raise_alert
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.net.http import Limits
from voicehelper.wallet.services import InsufficientQuota, hold, hold_up_to, wallet_of

from ..gateways.base import Gateway
from ..gateways.errors import NotConfigured, Refused, Unknown
from ..gateways.refunds import NewRefund, RefundState, RefundStatus
from ..models import Order, RechargeSettings, Refund
from ..money import yuan
from .errors import RefundRefused, TopupError
from .gateways import gateway_for, open_gateway_of
from .refund_approving import needs_approval
from .refund_settling import ASK_EVERY, fail_refund, not_certain, settle_refund

log = logging.getLogger(__name__)

MOST_REFUNDS = 50
# What stands for the provider's word on a refund of which it has told the sum only.
ONLY_A_SUM = "refund_fee"
# Until the refund ends, however long the provider takes; the reaper must not give it back before.
_HOLD_LIFE = timedelta(days=3650)


# --- Asking for one --------------------------------------------------------------------------------------------------
def why_no_refund(order: Order) -> str:
    """What keeps an order from being refunded now, and how to mend it; empty when it can be."""
    if order.state == Order.State.REFUNDED:
        return _("It is refunded in full.")
    if order.state not in Order.CREDITED:
        return _("It is not paid: there is nothing to give back.")
    if order.without_proof:
        return _("It was completed by hand without a payment at the platform: there is no money to give back there.")
    if refundable_fen(order) <= 0:
        return _("Refunds for the whole amount are under way.")
    try:
        gateway = open_gateway_of(order)
    except TopupError:
        return _("The gateway is not completely configured.")
    if gateway is None:
        return _("It was placed with another merchant account than the one configured now.")
    return gateway.why_no_refunds


def refundable_fen(order: Order) -> int:
    """What was paid and is neither refunded nor under way."""
    return order.amount_fen - _taken(_alive(order))[0]


def next_number(order: Order) -> int:
    """The number of an order's next refund: what a form carries, so that sending it twice makes one refund."""
    return (order.refunds.aggregate(last=Max("number"))["last"] or 0) + 1


def quota_due(order: Order, amount_fen: int) -> int:
    """The share of the order's quota that a refund takes back: rounded down, and the last one takes the rest."""
    return _share(order, amount_fen, _taken(_alive(order)))


def _share(order: Order, amount_fen: int, taken: tuple[int, int]) -> int:
    refunded_fen, due = taken
    return max(0, order.quota * min(refunded_fen + amount_fen, order.amount_fen) // order.amount_fen - due)


def unspent_fen(order: Order) -> int:
    """How much can be refunded without taking quota that the user has spent or has in use."""
    refunded_fen, due = _taken(_alive(order))
    available = wallet_of(order.user).available
    most = (due + available + 1) * order.amount_fen - 1
    return max(0, min(order.amount_fen, most // order.quota) - refunded_fen)


def _taken(refunds: QuerySet[Refund]) -> tuple[int, int]:
    """Their fen and their quota."""
    sums = refunds.aggregate(fen=Sum("amount_fen"), due=Sum("quota_due"))
    return sums["fen"] or 0, sums["due"] or 0


def _alive(order: Order) -> QuerySet[Refund]:
    """Those that succeeded or may yet."""
    return order.refunds.exclude(state=Refund.State.FAILED)


def request_refund(
    order: Order, amount_fen: int, *, number: int, actor: User, reason: str, take_what_is_left: bool = False
) -> Refund:
    """Set the quota aside and write the refund down; nothing is sent yet. Raises RefundRefused.

    `number` is `next_number` as the operator saw it: the same request twice is one refund, and what somebody else did
    meanwhile is noticed. `take_what_is_left` gives money back for quota that is spent; a superuser's word only.
    """
    if obstacle := why_no_refund(order):
        known = order.refunds.filter(number=number, amount_fen=amount_fen, source=Refund.Source.ADMIN).first()
        if known is None:
            raise RefundRefused(obstacle)
        return known
    if take_what_is_left and not actor.is_superuser:
        raise RefundRefused(_("Only a superuser may give money back for quota that is spent."))
    with transaction.atomic():
        order = Order.objects.select_for_update(of=("self",)).select_related("user").get(pk=order.pk)
        known = order.refunds.filter(number=number).first()
        if known and (known.amount_fen, known.source) == (amount_fen, Refund.Source.ADMIN):
            return known
        _check(order, amount_fen, number)
        refund = Refund(
            order=order,
            number=number,
            ref=ref_of(order, number),
            refund_no=ref_of(order, number),
            amount_fen=amount_fen,
            quota_due=quota_due(order, amount_fen),
            reason=reason[:200],
            requested_by=actor.get_username(),
            needs_approval=needs_approval(order, amount_fen, actor),
        )
        refund.quota = _set_aside(order, refund, take_what_is_left=take_what_is_left)
        # A refund that nobody sends, because this process dies, is sent by the sweep.
        refund.next_ask_at = None if refund.needs_approval else clock.now() + ASK_EVERY
        refund.save(force_insert=True)
    return refund


def ref_of(order: Order, number: int) -> str:
    """35 characters that both providers accept; the ledger's reference as well."""
    return f"R{order.order_no}{number:02d}"


def _check(order: Order, amount_fen: int, number: int) -> None:
    """With the order's row locked. Raises RefundRefused."""
    if order.state not in Order.CREDITED or number != next_number(order):
        raise RefundRefused(_("Something changed meanwhile: look at the order again."))
    if number > MOST_REFUNDS:
        raise RefundRefused(_("The payment platform allows no more than 50 refunds of one order."))
    rest = refundable_fen(order)
    if not 0 < amount_fen <= rest:
        raise RefundRefused(_("Between ¥0.01 and ¥%(rest)s can be refunded.") % {"rest": yuan(max(rest, 0))})


def _set_aside(order: Order, refund: Refund, *, take_what_is_left: bool) -> int:
    """Hold the quota the refund takes back; how much it was. Raises RefundRefused when it is spent."""
    if not refund.quota_due:
        return 0
    if take_what_is_left:
        return hold_up_to(order.user, refund.quota_due, ref=refund.ref, life=_HOLD_LIFE)
    try:
        return hold(order.user, refund.quota_due, ref=refund.ref, life=_HOLD_LIFE).amount
    except InsufficientQuota as error:
        text = _(
            "This takes back %(due)s quota, and the user has %(left)s left. ¥%(most)s can be refunded; for more, a"
            " superuser must agree to take only what is left."
        )
        left = wallet_of(order.user).available
        facts = {"due": f"{refund.quota_due:,}", "left": f"{left:,}", "most": yuan(unspent_fen(order))}
        raise RefundRefused(text % facts) from error


# --- Sending and asking ----------------------------------------------------------------------------------------------
def submit_refund(refund: Refund, *, gateway: Gateway | None = None) -> Refund:
    """Send a refund to its provider, once more if need be: the number makes it the same. Returns it as it is then."""
    order = refund.order
    gateway = gateway or gateway_for(order)
    if gateway is None or refund.waits_for_approval:
        return refund
    if refund.state == Refund.State.REQUESTED:
        refund.move(Refund.State.SUBMITTED, submitted_at=Now(), next_ask_at=Now() + ASK_EVERY)
    elif refund.state == Refund.State.UNKNOWN:
        refund.move(Refund.State.SUBMITTED, next_ask_at=Now() + ASK_EVERY)
    if refund.state == Refund.State.SUBMITTED:
        _send(refund, gateway)
    refund.refresh_from_db()
    return refund


def _send(refund: Refund, gateway: Gateway) -> None:
    order = refund.order
    try:
        status = gateway.refund(
            NewRefund(
                order_no=order.order_no,
                refund_no=refund.refund_no,
                amount_fen=refund.amount_fen,
                total_fen=order.amount_fen,
                reason=refund.reason,
                notify_url=f"{RechargeSettings.load().address}/api/{gateway.name}/{gateway.refund_callback}",
            )
        )
    except Refused as error:
        _believe_refusal(refund, gateway, error)
    except (Unknown, NotConfigured) as error:
        not_certain(refund, str(error))
    else:
        settle_refund(refund, status)


def _believe_refusal(refund: Refund, gateway: Gateway, refusal: Refused) -> None:
    """A refusal may be about this try only, after an earlier one was accepted: it counts when the query agrees."""
    try:
        status = gateway.query_refund(refund.order.order_no, refund.refund_no)
    except (Unknown, Refused) as error:
        not_certain(refund, f"{refusal} ({error})")
        return
    if status.state == RefundState.ABSENT:
        fail_refund(refund, str(refusal))
    else:
        settle_refund(refund, status)


def ask_refund(refund: Refund, *, gateway: Gateway | None = None) -> RefundStatus | None:
    """Ask the provider what became of a refund, and settle it. One it does not know is sent again. None: no certain
    answer."""
    if refund.waits_for_approval:
        return None
    Refund.objects.filter(pk=refund.pk).update(asked=F("asked") + 1)
    gateway = gateway or gateway_for(refund.order)
    if gateway is None:
        return None
    if refund.state == Refund.State.REQUESTED:
        submit_refund(refund, gateway=gateway)
        return None
    try:
        status = gateway.query_refund(refund.order.order_no, refund.refund_no)
    except (Unknown, Refused) as error:
        log.warning("Asking %s about refund %s: %s", refund.order.gateway, refund, error)
        not_certain(refund, str(error))
        return None
    if status.state == RefundState.ABSENT and refund.source == Refund.Source.ADMIN:
        if refund.state in Refund.OPEN:
            submit_refund(refund, gateway=gateway)
    else:
        settle_refund(refund, status)
    return status


def refund_was_told(order: Order, refund_no: str, *, limits: Limits | None = None) -> bool:
    """Somebody says that something happened to a refund: ask. True: the provider's answer was certain."""
    gateway = gateway_for(order, limits=limits)
    if gateway is None:
        return False
    refund = _alive(order).select_related("order").filter(refund_no=refund_no).first() if refund_no else None
    if refund is not None:
        status = ask_refund(refund, gateway=gateway)
        return status is not None and status.state != RefundState.ABSENT
    return find_refunds(order, [refund_no], gateway=gateway)


# --- Made elsewhere --------------------------------------------------------------------------------------------------
def find_refunds(order: Order, hints: Sequence[str] = (), *, gateway: Gateway | None = None) -> bool:
    """Look for refunds made in the provider's console, and bring what is known here up to date. False: no certain
    answer. `hints` are refund numbers to ask about, for providers that list none."""
    gateway = gateway or gateway_for(order)
    if gateway is None:
        return False
    try:
        found = refunds_there(order, hints, gateway)
    except (Unknown, Refused) as error:
        log.warning("Looking for refunds of order %s at %s: %s", order.order_no, order.gateway, error)
        return False
    for status in found:
        mirror_refund(order, status)
    return any(status.state != RefundState.ABSENT for status in found)


def refunds_there(order: Order, hints: Sequence[str], gateway: Gateway) -> Sequence[RefundStatus]:
    """The refunds of an order as its provider knows them, those that `hints` number where it lists none. Raises Refused
    and Unknown."""
    if gateway.lists_refunds:
        return gateway.refunds_of(order.order_no)
    # A refund without a number of its own has the order's.
    numbers = [hint for hint in hints if hint] or [order.order_no]
    return [gateway.query_refund(order.order_no, number) for number in numbers]


def mirror_refund(order: Order, status: RefundStatus) -> Refund | None:
    """Bring one refund that the provider knows up to date here; one made in its console becomes a row. The quota it
    takes back is what is left, at most its share. None: there is nothing to mirror, or somebody must look at it."""
    refund = _known(order, status)
    if refund is None:
        if status.state in (RefundState.ABSENT, RefundState.CLOSED):
            return None
        with transaction.atomic():
            locked = Order.objects.select_for_update(of=("self",)).select_related("user").get(pk=order.pk)
            refund = _known(locked, status) or _adopt(locked, status)
    if refund is not None:
        settle_refund(refund, status)
        refund.refresh_from_db()
    return refund


def _known(order: Order, status: RefundStatus) -> Refund | None:
    alive = _alive(order).select_related("order")
    if known := alive.filter(refund_no=status.refund_no).first():
        return known
    # One of which only the amount had been told stands under the order's number until somebody tells its own.
    nameless = alive.filter(refund_no=order.order_no, said=ONLY_A_SUM, amount_fen=status.amount_fen).first()
    if nameless is not None and status.state != RefundState.ABSENT:
        nameless.refund_no = status.refund_no
        nameless.save(update_fields=["refund_no"])
    return nameless


def _adopt(order: Order, status: RefundStatus) -> Refund | None:
    """A row for a refund made in the console, its order locked."""
    number = next_number(order)
    taken = _taken(_alive(order))
    if taken[0] + status.amount_fen > order.amount_fen:
        # Ours that are under way cannot all succeed any more.
        taken = _taken(_alive(order).filter(Q(source=Refund.Source.CONSOLE) | Q(state=Refund.State.SUCCEEDED)))
    problem = ""
    if order.state not in Order.CREDITED:
        problem = "Refunded at the provider, never credited here."
    elif not 0 < status.amount_fen <= order.amount_fen - taken[0]:
        problem = f"Refund {status.refund_no} of {status.amount_fen} fen at the provider does not fit the order."
    _report(order, status, problem)
    if problem:
        Order.objects.filter(pk=order.pk).update(review=problem[:200])
        return None
    due = _share(order, status.amount_fen, taken)
    ref = ref_of(order, number)
    return Refund.objects.create(
        order=order,
        number=number,
        ref=ref,
        refund_no=status.refund_no,
        source=Refund.Source.CONSOLE,
        state=Refund.State.SUBMITTED,
        amount_fen=status.amount_fen,
        quota_due=due,
        quota=hold_up_to(order.user, due, ref=ref, life=_HOLD_LIFE) if due else 0,
        requested_by="console",
        submitted_at=Now(),
        next_ask_at=Now() + ASK_EVERY,
    )


def _report(order: Order, status: RefundStatus, problem: str) -> None:
    raise_alert(
        "console_refund",
        level="critical" if problem else "warning",
        title=f"Order {order.order_no}: a refund made at the provider",
        content=problem or f"{status.refund_no} gives back {yuan(status.amount_fen)} yuan; its quota is taken back.",
        key=f"console-refund:{order.order_no}:{status.refund_no}",
    )
