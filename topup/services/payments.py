"""Payments by the platform's own number, for whoever has only that: asked about, and settled like any other."""

import logging
from collections.abc import Iterator

from ..gateways.base import Gateway
from ..gateways.errors import GatewayError, NotConfigured
from ..gateways.orders import Trade
from ..models import MerchantAccount, Order
from .errors import GatewayOff, TopupError
from .gateways import gateway_for, open_account, open_gateway
from .given_back import settle_trade

log = logging.getLogger(__name__)


def ask_about_payment(gateway_name: str, transaction_id: str, *, source: str) -> tuple[Order | None, Trade | None]:
    """Ask a platform by its own number of a payment, and settle the order that it names. No order: it is none of ours;
    no answer: none that can be trusted. Raises UnknownGateway, GatewayOff."""
    gateway, trade = None, None
    for gateway in _all_that_can_ask(gateway_name):
        trade = _ask(gateway, transaction_id) or trade
        if trade and trade.receipt:
            break
    if gateway is None:
        raise GatewayOff(gateway_name)
    if trade is None or trade.receipt is None:
        return None, trade
    order = Order.objects.select_related("user").filter(gateway=gateway_name, order_no=trade.receipt.order_no).first()
    if order is not None:
        own = gateway_for(order) or gateway
        if (own.account, own.app_id) != (gateway.account, gateway.app_id):
            # Asked in another app's name, some answer in that one's too.
            trade = _ask(own, transaction_id)
        if trade is not None:
            settle_trade(order, trade, own, source=source)
        order.refresh_from_db()
    return order, trade


def _all_that_can_ask(name: str) -> Iterator[Gateway]:
    """For each merchant account, the active one first, and in the name of each of its apps: a platform answers about
    what is the asker's own."""
    accounts = MerchantAccount.objects.filter(gateway=name).order_by("-active", "-pk")
    if not accounts:
        yield open_gateway(name)
    for account in accounts:
        for app_id in account.app_ids or [account.app_id]:
            try:
                yield open_account(account, app_id=app_id)
            except (TopupError, NotConfigured) as error:
                log.info("Nobody asks %s about payments of %s: %s", name, account, error)


def _ask(gateway: Gateway, transaction_id: str) -> Trade | None:
    try:
        return gateway.query_transaction(transaction_id)
    except GatewayError as error:
        log.warning("Asking %s about its payment %s: %s", gateway.name, transaction_id, error)
        return None
