"""Refunds made elsewhere: told of by the provider, or found when it is asked. refund_mirroring.py makes them rows."""

import logging
from collections.abc import Sequence

from voicehelper.net.http import Limits

from ..gateways.base import Gateway
from ..gateways.errors import Refused, Unknown
from ..gateways.refunds import RefundState
from ..models import Order
from .gateways import gateway_for
from .refund_mirroring import mirror_refund, refunds_there
from .refund_sums import alive
from .refunding import ask_refund

log = logging.getLogger(__name__)


def refund_was_told(order: Order, refund_no: str, *, limits: Limits | None = None) -> bool:
    """Somebody says that something happened to a refund: ask. True: the provider's answer was certain."""
    gateway = gateway_for(order, limits=limits)
    if gateway is None:
        return False
    refund = alive(order).select_related("order").filter(refund_no=refund_no).first() if refund_no else None
    if refund is not None:
        status = ask_refund(refund, gateway=gateway)
        return status is not None and status.state != RefundState.ABSENT
    return find_refunds(order, [refund_no], gateway=gateway)


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
