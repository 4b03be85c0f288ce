"""The verbs of recharging: quote, place, settle, ask, close, complete, refund.

`settle_order` is the only code that credits, `settle_refund` the only code that ends a refund. Callback, poll, sweep
and admin all end there. No provider is called inside a transaction, and no row is locked while one is: rows are claimed
by a committed compare-and-swap instead.
"""

from .completing import AnswerChanged, answer_of, complete_order, why_not_completed
from .errors import (
    AmountInvalid,
    AmountTooSmall,
    CompletionRefused,
    GatewayOff,
    IdempotencyConflict,
    PaymentNotOffered,
    RefundRefused,
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
    poll_order,
    seconds_left,
)
from .gateways import (
    SECTIONS,
    build_gateway,
    expires_soon,
    gateway_for,
    open_gateway,
    refund_readiness,
    warn_of_expiry,
)
from .placing import place_order, quote_for
from .redeeming import CodeExpired, CodeInvalid, CodeUsed, make_codes, redeem, revoke_batch, texts_of
from .refund_following import follow_refund, settle_unknown_refunds
from .refund_settling import settle_refund
from .refunding import (
    approve_refund,
    ask_refund,
    find_refunds,
    mirror_refund,
    needs_approval,
    next_number,
    quota_due,
    refund_was_told,
    refundable_fen,
    request_refund,
    submit_refund,
    unspent_fen,
    why_no_refund,
    withdraw_refund,
)
from .settling import Settled, Settlement, settle_order
from .sweeping import follow_orders

__all__ = [
    "ASK_EVERY",
    "POLL_AFTER",
    "POLL_EVERY",
    "SECTIONS",
    "WATCH_EVERY",
    "WATCH_FOR",
    "AmountInvalid",
    "AmountTooSmall",
    "AnswerChanged",
    "CodeExpired",
    "CodeInvalid",
    "CodeUsed",
    "CompletionRefused",
    "GatewayOff",
    "IdempotencyConflict",
    "PaymentNotOffered",
    "RefundRefused",
    "Settled",
    "Settlement",
    "TopupError",
    "UnknownGateway",
    "answer_of",
    "approve_refund",
    "ask_provider",
    "ask_refund",
    "build_gateway",
    "close_order",
    "complete_order",
    "expires_soon",
    "find_refunds",
    "follow_orders",
    "follow_refund",
    "gateway_for",
    "make_codes",
    "mirror_refund",
    "needs_approval",
    "next_number",
    "open_gateway",
    "place_order",
    "poll_order",
    "quota_due",
    "quote_for",
    "redeem",
    "refund_readiness",
    "refund_was_told",
    "refundable_fen",
    "request_refund",
    "revoke_batch",
    "seconds_left",
    "settle_order",
    "settle_refund",
    "settle_unknown_refunds",
    "submit_refund",
    "texts_of",
    "unspent_fen",
    "warn_of_expiry",
    "why_no_refund",
    "why_not_completed",
    "withdraw_refund",
]
