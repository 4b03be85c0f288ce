"""The verbs of recharging: quote, place, settle, ask, close.

`settle_order` is the only code that credits. Callback, poll, sweep and admin all end there. No provider is called
inside a transaction, and no row is locked while one is: rows are claimed by a committed compare-and-swap instead.
"""

from .errors import (
    AmountInvalid,
    AmountTooSmall,
    GatewayOff,
    IdempotencyConflict,
    PaymentNotOffered,
    TopupError,
    UnknownGateway,
)
from .following import (
    ASK_EVERY,
    POLL_AFTER,
    POLL_EVERY,
    WATCH_EVERY,
    WATCH_FOR,
    ask_provider,
    close_order,
    follow_order,
    follow_orders,
    poll_order,
    seconds_left,
)
from .gateways import SECTIONS, build_gateway, open_gateway
from .placing import place_order, quote_for
from .redeeming import CodeExpired, CodeInvalid, CodeUsed, make_codes, redeem, revoke_batch, texts_of
from .settling import Settled, Settlement, settle_order

__all__ = [
    "ASK_EVERY",
    "POLL_AFTER",
    "POLL_EVERY",
    "SECTIONS",
    "WATCH_EVERY",
    "WATCH_FOR",
    "AmountInvalid",
    "AmountTooSmall",
    "CodeExpired",
    "CodeInvalid",
    "CodeUsed",
    "GatewayOff",
    "IdempotencyConflict",
    "PaymentNotOffered",
    "Settled",
    "Settlement",
    "TopupError",
    "UnknownGateway",
    "ask_provider",
    "build_gateway",
    "close_order",
    "follow_order",
    "follow_orders",
    "make_codes",
    "open_gateway",
    "place_order",
    "poll_order",
    "quote_for",
    "redeem",
    "revoke_batch",
    "seconds_left",
    "settle_order",
    "texts_of",
]
