"""What is safe to put right: where the provider, asked again and signing its answer, says what the bill said.

No provider is called inside a transaction. Each repair is one that may be made twice, so it does not matter where a
comparison dies, or that a callback does the same meanwhile.
"""

import logging
from collections.abc import Callable, Iterator, Mapping

from django.db.models import F
from django.db.models.functions import Now

from ... import services
from ...gateways.base import Gateway
from ...gateways.errors import GatewayError, NotConfigured, NotSupported
from ...gateways.orders import TradeState
from ...gateways.refunds import RefundHint
from ...models import Difference, Order, Reconciliation, Refund
from .merchants import NoBill, gateway_of, merchant_of

log = logging.getLogger(__name__)

BY_ITSELF = "VoiceHelper"
# Who credits, in Order.credited_by.
SOURCE = "bill"
_SLICE = 100
# So many in a row without a certain answer, and the rest is left for the next comparison.
_GIVE_UP_AFTER = 5
_KEYLESS = "The keys of its merchant account are not known any more."
_KEPT = "Kept as a surplus payment of the order, where it can be given back."
_NO_ANSWER = "The platform gave no certain answer: ask again, or look at the gateway calls."


def repair(reconciliation: Reconciliation, gateway: Gateway) -> None:
    """Put right what can be, one difference after the other."""
    silent = 0
    for difference in _repairable(reconciliation):
        done, note = put_right(difference, gateway)
        silent = 0 if done or note != _NO_ANSWER else silent + 1
        if silent == _GIVE_UP_AFTER:
            log.warning("%s: %s does not answer, the rest is left as it is", reconciliation, gateway.name)
            return


def _repairable(reconciliation: Reconciliation) -> Iterator[Difference]:
    """Payments before their refunds, in slices, so that it does not matter how many there are."""
    rows = reconciliation.differences.filter(state=Difference.State.OPEN)
    for kind in Difference.REPAIRABLE:
        last = 0
        while found := list(rows.filter(kind=kind, pk__gt=last).order_by("pk")[:_SLICE]):
            yield from found
            last = found[-1].pk


def put_right(difference: Difference, gateway: Gateway, *, actor: str = BY_ITSELF) -> tuple[bool, str]:
    """Ask the provider about one difference and do what it confirms. Whether that settled it, and if not, why."""
    order = Order.objects.select_related("user").filter(order_no=difference.order_no).first()
    if order is None or difference.kind not in _REPAIRS:
        return False, ""
    # One of another account of the same merchant, or another app, is asked about in that one's name, if at all.
    same = (order.account_id, order.app_id) == (gateway.account, gateway.app_id)
    own = gateway if same else services.gateway_for(order)
    if own is None:
        return False, _KEYLESS
    try:
        done, note = _REPAIRS[Difference.Kind(difference.kind)](difference, order, own)
    except NotConfigured as error:
        done, note = False, str(error)
    except GatewayError as error:
        log.warning("Asking %s about %s: %s", gateway.name, difference, error)
        done, note = False, _NO_ANSWER
    still_open = Difference.objects.filter(pk=difference.pk, state=Difference.State.OPEN)
    if done:
        still_open.update(state=Difference.State.REPAIRED, note="", actor=actor, ended=Now())
    else:
        still_open.update(note=note[:300])
    return done, note


def ask_again(difference: Difference, *, actor: str) -> tuple[bool, str]:
    """An operator wants the provider asked once more. Whether that settled it, and if not, why."""
    day = difference.reconciliation
    try:
        gateway = gateway_of(merchant_of(day))
    except NoBill as error:
        return False, str(error)
    done, note = put_right(difference, gateway, actor=actor)
    if done and difference.theirs_fen is not None:
        side = "ours_payments" if difference.kind == Difference.Kind.NOT_CREDITED else "ours_refunds"
        booked = {side: F(side) + 1, f"{side}_fen": F(f"{side}_fen") + difference.theirs_fen}
        Reconciliation.objects.filter(pk=day.pk).update(**booked)
    return done, note


def _credit(difference: Difference, order: Order, gateway: Gateway) -> tuple[bool, str]:
    trade = services.ask_provider(order, source=SOURCE, gateway=gateway)
    order.refresh_from_db()
    if order.state in Order.CREDITED:
        return True, ""
    if trade is None:
        return False, _NO_ANSWER
    said = {TradeState.PAID: order.review, TradeState.REFUNDED: "It was given back at the platform since."}
    return False, said.get(trade.state) or f"Asked, the platform says {trade.raw_state or trade.state}, not paid."


def _keep(difference: Difference, order: Order, gateway: Gateway) -> tuple[bool, str]:
    """It is not over before the surplus payment has gone back, which is somebody's to decide."""
    kept = order.surplus_payments.filter(transaction_id=difference.transaction_id)
    if kept.exists():
        return False, _KEPT
    try:
        trade = gateway.query_transaction(difference.transaction_id)
    except NotSupported:
        return False, "This platform cannot be asked by its own number: look at its console."
    if trade.receipt is None or trade.receipt.order_no != order.order_no:
        return False, f"Asked, the platform says {trade.raw_state or trade.state}, not paid."
    services.settle_order(trade.receipt, source=SOURCE)
    return False, _KEPT if kept.exists() else "Asked, the platform says that this payment is the order's own."


def _mirror(difference: Difference, order: Order, gateway: Gateway) -> tuple[bool, str]:
    surplus = order.surplus_payments.filter(transaction_id=difference.transaction_id).first()
    if order.state not in Order.CREDITED and order.given_back and surplus is None:
        # Known, and told to the operators, when it was found that there is nothing to credit.
        return True, ""
    if order.state not in Order.CREDITED and not gateway.lists_refunds and _credit_the_rest(difference, order, gateway):
        return True, ""
    status = gateway.query_refund(order.order_no, difference.refund_no, str(surplus or ""))
    if services.mirror_refund(order, status, difference.transaction_id) is not None:
        return True, ""
    order.refresh_from_db()
    return False, order.review or f"Asked, the platform says {status.raw_state}."


def _credit_the_rest(difference: Difference, order: Order, gateway: Gateway) -> bool:
    """That some of it went back kept the order from being credited; now the number of the refund is known."""
    services.hear_of_refund(order, RefundHint(order.order_no, difference.refund_no), source=SOURCE)
    payments = difference.reconciliation.differences.filter(kind=Difference.Kind.NOT_CREDITED, order_no=order.order_no)
    for payment in payments.filter(state=Difference.State.OPEN):
        put_right(payment, gateway)
    order.refresh_from_db()
    return order.given_back or order.refunds.filter(refund_no=difference.refund_no).exists()


def _follow(difference: Difference, order: Order, gateway: Gateway) -> tuple[bool, str]:
    for refund in order.refunds.select_related("order").filter(refund_no=difference.refund_no):
        services.ask_refund(refund, gateway=gateway)
        refund.refresh_from_db()
        if refund.state in Refund.OPEN:
            return False, refund.review or refund.said or _NO_ANSWER
    return True, ""


_REPAIRS: Mapping[Difference.Kind, Callable[[Difference, Order, Gateway], tuple[bool, str]]] = {
    Difference.Kind.NOT_CREDITED: _credit,
    Difference.Kind.PAID_TWICE: _keep,
    Difference.Kind.REFUND_UNKNOWN_HERE: _mirror,
    Difference.Kind.REFUND_UNFINISHED: _follow,
}
