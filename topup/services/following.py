"""Following one order until it is paid or can no longer be: asking the provider, polling, closing."""

import logging
from datetime import datetime, timedelta

from django.db.models import F, Q
from django.db.models.functions import Now

from voicehelper import clock

from ..gateways.base import Gateway, Refused, Trade, TradeState, Unknown
from ..models import Order
from .gateways import gateway_for
from .refunding import find_refunds, refundable_fen
from .settling import settle_order

log = logging.getLogger(__name__)

ASK_EVERY = timedelta(seconds=60)
# Once it is closed here, an order the provider has never seen can still be paid by whoever kept its QR code.
WATCH_EVERY = timedelta(hours=1)
WATCH_FOR = timedelta(hours=25)
POLL_AFTER = timedelta(seconds=5)
POLL_EVERY = timedelta(seconds=4)


def ask_provider(order: Order, *, source: str, gateway: Gateway | None = None) -> Trade | None:
    """Ask the provider what became of an order, and settle it when it was paid. None: no trustworthy answer.

    An order that was placed with another merchant account than the one configured now is not asked about.
    """
    gateway = gateway or gateway_for(order)
    if gateway is None:
        return None
    Order.objects.filter(pk=order.pk).update(asked=F("asked") + 1)
    return _ask(order, gateway, source=source)


def _ask(order: Order, gateway: Gateway, *, source: str) -> Trade | None:
    try:
        trade = gateway.query(order.order_no)
    except (Unknown, Refused) as error:
        log.warning("Asking %s about order %s: %s", order.gateway, order.order_no, error)
        return None
    if trade.state == TradeState.PAID and trade.receipt is not None:
        settle_order(trade.receipt, source=source)
    elif order.state in Order.CREDITED and trade.state in (TradeState.REFUNDED, TradeState.CLOSED):
        _look_for_refunds(order, gateway)
    elif trade.state == TradeState.REFUNDED:
        # Paid and refunded at the provider, never credited here: crediting now would give it away.
        Order.objects.filter(pk=order.pk).update(review="Paid and refunded at the provider, never credited here.")
    return trade


def _look_for_refunds(order: Order, gateway: Gateway) -> None:
    """Money went back at the provider. Alipay closes what was refunded in full, and does not say by which refunds."""
    find_refunds(order, gateway=gateway)
    if not gateway.lists_refunds and refundable_fen(order) > 0:
        Order.objects.filter(pk=order.pk, review="").update(
            review="Refunded in full at the provider, not all of it here: its bill has the number of the refund."
        )


def poll_order(order: Order) -> Order:
    """For the open page: the order as it is, after asking the provider when its callback is late. Limited per order."""
    if order.state not in Order.CREDITED:
        due = Order.objects.filter(
            Q(polled_at=None) | Q(polled_at__lt=Now() - POLL_EVERY),
            pk=order.pk,
            created__lt=Now() - POLL_AFTER,
            expires_at__gt=Now() - WATCH_FOR,
        )
        if due.update(polled_at=Now()):
            ask_provider(order, source="poll")
            order.refresh_from_db()
    return order


def close_order(order: Order, *, source: str) -> None:
    """End an order whose time is over: ask first, credit if paid, else close at the provider, then here.

    What is still unknown stays open, to be asked about again. An order the provider has never seen is closed here but
    watched until its QR code can no longer be paid.
    """
    gateway = gateway_for(order)
    if gateway is None:
        _ask_again_in(order, WATCH_EVERY)
        return
    Order.objects.filter(pk=order.pk).update(asked=F("asked") + 1)
    _end(order, gateway, source=source)


def _end(order: Order, gateway: Gateway, *, source: str) -> None:
    trade = _ask(order, gateway, source=source)
    if trade is None or trade.state in (TradeState.PAID, TradeState.REFUNDED):
        return
    state: TradeState | None = trade.state
    if state == TradeState.WAITING:
        if clock.now() < order.created + timedelta(seconds=gateway.close_after_s):
            return
        state = _close_at_provider(order, gateway)
    if state == TradeState.PAID:
        _ask(order, gateway, source=source)
    elif state == TradeState.CLOSED:
        order.move(Order.State.CLOSED, closed_at=Now(), next_ask_at=None)
    elif state == TradeState.ABSENT:
        order.move(Order.State.CLOSED, closed_at=Now(), next_ask_at=clock.now() + WATCH_EVERY)


def _close_at_provider(order: Order, gateway: Gateway) -> TradeState | None:
    try:
        return gateway.close(order.order_no)
    except (Unknown, Refused) as error:
        log.warning("Closing order %s at %s: %s", order.order_no, order.gateway, error)
        return None


def follow_order(order: Order, gateway: Gateway | None, now: datetime) -> None:
    """The sweep's turn with an order it has claimed and counted: ask, close when its time is over, go on watching.

    None: the order was placed with another merchant account than the one configured now.
    """
    if order.state in Order.CREDITED or now > order.expires_at + WATCH_FOR:
        Order.objects.filter(pk=order.pk).update(next_ask_at=None)
    elif gateway is None:
        _ask_again_in(order, WATCH_EVERY)
    elif order.state in Order.OPEN and now >= order.expires_at:
        _end(order, gateway, source="sweep")
    else:
        _ask(order, gateway, source="sweep")


def _ask_again_in(order: Order, wait: timedelta) -> None:
    Order.objects.filter(pk=order.pk, next_ask_at__isnull=False).update(next_ask_at=Now() + wait)


def seconds_left(order: Order, now: datetime | None = None) -> int:
    """Until the offer ends, by the database's clock; 0 when it has."""
    return max(0, int((order.expires_at - (now or clock.now())).total_seconds()))
