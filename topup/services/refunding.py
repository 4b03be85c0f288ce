"""Refunds: asked for, sent, asked about. Those made elsewhere: refund_finding.py.

The quota is set aside when a refund is asked for, and taken when the provider has confirmed it, which `settle_refund`
alone decides. A refund keeps its number for ever: sending it again is the same refund. The sums of an order's refunds
are guarded by a lock on the order's row, held in the database only; no provider is called under it.
"""

import logging
import re
from collections.abc import Sequence

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.services import InsufficientQuota, hold, hold_up_to, wallet_of

from ..gateways.base import Gateway
from ..gateways.errors import NotConfigured, Refused, Unknown
from ..gateways.orders import TradeState
from ..gateways.refunds import NewRefund, RefundState, RefundStatus
from ..models import Order, RechargeSettings, Refund, SurplusPayment
from ..money import yuan
from .errors import RefundRefused, TopupError
from .gateways import gateway_for, open_gateway_of
from .refund_approving import needs_approval
from .refund_mirroring import take_back
from .refund_settling import ASK_EVERY, HOLD_LIFE, fail_refund, not_certain, settle_refund
from .refund_sums import next_number, quota_due, ref_of, refundable_fen, unspent_fen
from .surplus import left_of

log = logging.getLogger(__name__)

MOST_REFUNDS = 50


# --- Asking for one --------------------------------------------------------------------------------------------------
def why_no_refund(order: Order, surplus: SurplusPayment | None = None) -> str:
    """What keeps an order, or a surplus payment of it, from being refunded now, and how to mend it; empty when it can
    be."""
    obstacle = _why_not_surplus(surplus) if surplus else _why_not_order(order)
    return obstacle or _why_not_sent(order, surplus)


def _why_not_order(order: Order) -> str:
    if order.state == Order.State.REFUNDED:
        return _("It is refunded in full.")
    if order.state not in Order.CREDITED:
        return _("It is not paid: there is nothing to give back.")
    if order.without_proof:
        return _("It was completed by hand without a payment at the platform: there is no money to give back there.")
    return _("Refunds for the whole amount are under way.") if refundable_fen(order) <= 0 else ""


def _why_not_surplus(surplus: SurplusPayment) -> str:
    if surplus.state != SurplusPayment.State.OPEN:
        return _("It was given back, or noted as settled.")
    return _("Refunds for the whole amount are under way.") if left_of(surplus) <= 0 else ""


def _why_not_sent(order: Order, surplus: SurplusPayment | None) -> str:
    try:
        gateway = open_gateway_of(order)
    except TopupError:
        return _("The gateway is not completely configured.")
    if gateway is None:
        return _("The keys of its merchant account are not known any more.")
    if surplus and not gateway.refunds_by_transaction:
        text = _(
            "%(gateway)s refunds orders only, and cannot choose among their payments: give transaction %(transaction)s"
            " back in its console, then note it here as settled."
        )
        return text % {"gateway": gateway.label, "transaction": surplus}
    return gateway.why_no_refunds


def request_refund(
    order: Order,
    amount_fen: int,
    *,
    number: int,
    actor: User,
    reason: str,
    take_what_is_left: bool = False,
    surplus: SurplusPayment | None = None,
) -> Refund:
    """Set the quota aside and write the refund down; nothing is sent yet. Raises RefundRefused.

    `number` is `next_number` as the operator saw it: the same request twice is one refund, and what somebody else did
    meanwhile is noticed. `take_what_is_left` gives money back for quota that is spent; a superuser's word only. Of a
    `surplus` payment of the order no quota goes back.
    """
    if obstacle := why_no_refund(order, surplus):
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
        _check(order, amount_fen, number, surplus)
        refund = Refund(
            order=order,
            surplus=surplus,
            number=number,
            ref=ref_of(order, number),
            refund_no=ref_of(order, number),
            amount_fen=amount_fen,
            quota_due=0 if surplus else quota_due(order, amount_fen),
            reason=reason[:200],
            requested_by=actor.get_username(),
            needs_approval=needs_approval(order, amount_fen, actor),
        )
        refund.quota = _set_aside(order, refund, take_what_is_left=take_what_is_left)
        # A refund that nobody sends, because this process dies, is sent by the sweep.
        refund.next_ask_at = None if refund.needs_approval else clock.now() + ASK_EVERY
        refund.save(force_insert=True)
    return refund


def _check(order: Order, amount_fen: int, number: int, surplus: SurplusPayment | None) -> None:
    """With the order's row locked. Raises RefundRefused."""
    if order.state not in Order.CREDITED or number != next_number(order):
        raise RefundRefused(_("Something changed meanwhile: look at the order again."))
    if number > MOST_REFUNDS:
        raise RefundRefused(_("The payment platform allows no more than 50 refunds of one order."))
    rest = left_of(surplus) if surplus else refundable_fen(order)
    if not 0 < amount_fen <= rest:
        raise RefundRefused(_("Between ¥0.01 and ¥%(rest)s can be refunded.") % {"rest": yuan(max(rest, 0))})


def _set_aside(order: Order, refund: Refund, *, take_what_is_left: bool) -> int:
    """Hold the quota the refund takes back; how much it was. Raises RefundRefused when it is spent."""
    if not refund.quota_due:
        return 0
    if take_what_is_left:
        return hold_up_to(order.user, refund.quota_due, ref=refund.ref, life=HOLD_LIFE)
    try:
        return hold(order.user, refund.quota_due, ref=refund.ref, life=HOLD_LIFE).amount
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
                total_fen=refund.surplus.amount_fen if refund.surplus else order.amount_fen,
                reason=refund.reason,
                transaction_id=refund.transaction_id,
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
    """A refusal may be about this try only, after an earlier one was accepted: it counts when the query agrees. Or the
    money went back by another refund: that one is looked for first, and gets the quota that this one set aside."""
    try:
        status = _ask(refund, gateway)
        absent = status.state == RefundState.ABSENT
        found, told_fen = _those_before(refund, gateway, str(refusal)) if absent else ((), 0)
    except (Unknown, Refused) as error:
        not_certain(refund, f"{refusal} ({error})")
        return
    if not absent:
        settle_refund(refund, status)
        return
    with transaction.atomic():
        fail_refund(refund, str(refusal))
        take_back(refund.order, found, told_fen)


def _ask(refund: Refund, gateway: Gateway) -> RefundStatus:
    return gateway.query_refund(refund.order.order_no, refund.refund_no, refund.transaction_id)


def _those_before(refund: Refund, gateway: Gateway, refusal: str) -> tuple[Sequence[RefundStatus], int]:
    """The refunds of an order that the provider knows, or, where it lists none, how much went back of it in all, by its
    query or by what it refused the next one with. Raises Refused and Unknown."""
    order = refund.order
    if refund.surplus:
        return (), 0
    if gateway.lists_refunds:
        return gateway.refunds_of(order.order_no), 0
    trade = gateway.query(order.order_no)
    whole = trade.state == TradeState.REFUNDED and re.search(gateway.refused_as_refunded, refusal)
    return (), trade.refunded_fen or (order.amount_fen if whole else 0)


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
        status = _ask(refund, gateway)
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
