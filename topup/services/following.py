"""Following one order until it is paid or can no longer be: asking the provider, polling, closing."""

import logging
from datetime import datetime, timedelta

from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from voicehelper import clock
from voicehelper.accounts.models import User

from ..gateways import GATEWAYS
from ..gateways.base import Gateway
from ..gateways.errors import Refused, Unknown
from ..gateways.orders import Receipt, Trade, TradeState
from ..models import Order, RechargeSettings
from ..models.orders import GIVEN_BACK_SOME
from .errors import NoSuchOrder
from .gateways import gateway_for
from .given_back import settle_trade
from .settling import SettledOrder, Settlement, difference, settle_order

log = logging.getLogger(__name__)

ASK_EVERY = timedelta(seconds=60)
# Once it is closed here, an order the provider has never seen can still be paid by whoever kept its QR code.
WATCH_EVERY = timedelta(hours=1)
_SOON = timedelta(seconds=5)
WATCH_FOR = timedelta(hours=25)
POLL_AFTER = timedelta(seconds=5)
POLL_EVERY = timedelta(seconds=4)


def order_of(user: User, order_no: str) -> Order:
    """One of the user's own. Raises NoSuchOrder."""
    order = Order.objects.filter(user=user, order_no=order_no).first()
    if order is None:
        raise NoSuchOrder(order_no)
    return order


def ask_provider(order: Order, *, source: str, gateway: Gateway | None = None) -> Trade | None:
    """Ask the provider what became of an order, and settle it when it was paid. None: no trustworthy answer.

    An order of an account whose keys nobody knows any more is not asked about.
    """
    gateway = gateway or gateway_for(order)
    if gateway is None:
        return None
    Order.objects.filter(pk=order.pk).update(asked=F("asked") + 1)
    return _ask(order, gateway, source=source)


def _ask(order: Order, gateway: Gateway, *, source: str) -> Trade | None:
    trade = _query(order, gateway)
    if trade is not None:
        settle_trade(order, trade, gateway, source=source)
    return trade


def _query(order: Order, gateway: Gateway) -> Trade | None:
    try:
        return gateway.query(order.order_no)
    except (Unknown, Refused) as error:
        log.warning("Asking %s about order %s: %s", order.gateway, order.order_no, error)
        return None


def must_be_confirmed(order: Order, receipt: Receipt, recharge: RechargeSettings, *, sure: bool = True) -> bool:
    """Whether the provider is asked before a notice credits an order: it is large, it has ended here, money of it may
    have gone back, somebody has to look at it, or it is not `sure` that the notice is of the order's account."""
    if order.state in Order.CREDITED or order.given_back or difference(order, receipt):
        return False
    return not sure or _wants_proof(order, recharge) or bool(order.review)


def _wants_proof(order: Order, recharge: RechargeSettings) -> bool:
    """Whether nothing is credited without the provider's answer. A review alone blocks no honest notice."""
    threshold = recharge.confirm_above_fen
    ended = order.state not in Order.OPEN
    return ended or bool(order.refund_told_by) or order.amount_fen > threshold or not threshold


def confirm_payment(
    order: Order, receipt: Receipt, gateway: Gateway, *, source: str, sure: bool = True
) -> SettledOrder | None:
    """Settle what a notice says once the provider, asked now, has said the same (of an order that is only to be looked
    at, also when there was no answer). None: no certain answer, or another one; the sweep goes on asking."""
    trade = _query(order, gateway)
    if trade is None and sure and not _wants_proof(order, RechargeSettings.load()):
        return settle_order(receipt, source=source)
    settled = None
    if trade is not None and _agree(trade.receipt, receipt):
        settled = settle_trade(order, trade, gateway, source=source, receipt=receipt)
    if settled is None or settled.outcome == Settlement.UNSURE:
        Order.objects.filter(pk=order.pk).exclude(state__in=Order.CREDITED).update(next_ask_at=Now())
        return None
    return settled


def _agree(found: Receipt | None, told: Receipt) -> bool:
    """Whether they are of the same payment. An answer about one that was given back need not hold it."""
    return found is None or (found.transaction_id, found.amount_fen) == (told.transaction_id, told.amount_fen)


def poll_order(order: Order) -> Order:
    """For the open page: the order as it is, after asking the provider when its callback is late. Limited per order."""
    if order.state not in Order.CREDITED:
        due = Order.objects.filter(
            Q(polled_at=None) | Q(polled_at__lt=Now() - POLL_EVERY),
            pk=order.pk,
            created__lt=Now() - POLL_AFTER,
        ).filter(Q(expires_at__gt=Now() - WATCH_FOR) | Q(next_ask_at__isnull=False))
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


def cancel_order(order: Order) -> Order:
    """The buyer gives an order up. It is asked about first, credited if paid, else closed at the provider, now or as
    soon as that allows it. Returns it as it is then."""
    offered = Order.objects.filter(pk=order.pk, state__in=Order.OPEN)
    if offered.update(cancelled_at=Coalesce("cancelled_at", Now())):
        order.refresh_from_db()
        close_order(order, source="cancel")
        gateway = GATEWAYS.get(order.gateway)
        closable = order.created + timedelta(seconds=gateway.close_after_s if gateway else 0)
        offered.filter(next_ask_at__isnull=False).update(next_ask_at=max(closable, clock.now() + _SOON))
        order.refresh_from_db()
    return order


def _end(order: Order, gateway: Gateway, *, source: str) -> Trade | None:
    trade = _ask(order, gateway, source=source)
    if trade is None or trade.state in (TradeState.PAID, TradeState.REFUNDED):
        return trade
    state: TradeState | None = trade.state
    if state == TradeState.WAITING:
        if clock.now() < order.created + timedelta(seconds=gateway.close_after_s):
            return None
        state = _close_at_provider(order, gateway)
    if state == TradeState.PAID:
        return _ask(order, gateway, source=source)
    if state == TradeState.CLOSED:
        order.move(Order.State.CLOSED, closed_at=Now(), next_ask_at=None)
    elif state == TradeState.ABSENT:
        order.move(Order.State.CLOSED, closed_at=Now(), next_ask_at=clock.now() + WATCH_EVERY)
    return trade if state else None


def _close_at_provider(order: Order, gateway: Gateway) -> TradeState | None:
    try:
        return gateway.close(order.order_no)
    except (Unknown, Refused) as error:
        log.warning("Closing order %s at %s: %s", order.order_no, order.gateway, error)
        return None


def follow_order(order: Order, gateway: Gateway | None, now: datetime) -> None:
    """The sweep's turn with an order it has claimed and counted: ask, close when its time is over, go on watching. It
    is given up only on a certain answer to a question asked after the last moment it could have been paid.

    None: nobody knows the keys of its account any more.
    """
    if order.state in Order.CREDITED:
        Order.objects.filter(pk=order.pk).update(next_ask_at=None)
    elif gateway is None:
        _ask_again_in(order, WATCH_EVERY)
    elif now < order.expires_at and order.cancelled_at is None:
        _ask(order, gateway, source="sweep")
    elif _end(order, gateway, source="sweep") is not None and now > order.expires_at + WATCH_FOR:
        ended = Order.objects.filter(pk=order.pk, state__in=(Order.State.CLOSED, Order.State.FAILED))
        ended.exclude(review=GIVEN_BACK_SOME).update(next_ask_at=None)


def _ask_again_in(order: Order, wait: timedelta) -> None:
    Order.objects.filter(pk=order.pk, next_ask_at__isnull=False).update(next_ask_at=Now() + wait)


def seconds_left(order: Order, now: datetime | None = None) -> int:
    """Until the offer ends, by the database's clock; 0 when it has."""
    return max(0, int((order.expires_at - (now or clock.now())).total_seconds()))
