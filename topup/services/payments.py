"""Payments by the platform's own number, for whoever has only that: asked about, and settled like any other."""

import logging

from ..gateways.errors import GatewayError
from ..gateways.orders import Trade
from ..models import Order
from .gateways import gateway_for, open_gateway
from .given_back import settle_trade

log = logging.getLogger(__name__)


def ask_about_payment(gateway_name: str, transaction_id: str, *, source: str) -> tuple[Order | None, Trade | None]:
    """Ask a platform by its own number of a payment, and settle the order that it names. No order: it is none of ours;
    no answer: none that can be trusted. Raises UnknownGateway, GatewayOff."""
    gateway = open_gateway(gateway_name)
    try:
        trade = gateway.query_transaction(transaction_id)
    except GatewayError as error:
        log.warning("Asking %s about its payment %s: %s", gateway_name, transaction_id, error)
        return None, None
    if trade.receipt is None:
        return None, trade
    order = Order.objects.select_related("user").filter(gateway=gateway_name, order_no=trade.receipt.order_no).first()
    if order is not None:
        settle_trade(order, trade, gateway_for(order) or gateway, source=source)
        order.refresh_from_db()
    return order, trade
