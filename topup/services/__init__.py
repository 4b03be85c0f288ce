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
    NobodyPays,
    NoSuchOrder,
    PaymentNotOffered,
    PriceChanged,
    RefundRefused,
    TopupError,
    UnknownGateway,
    UnknownWay,
)
from .following import (
    ASK_EVERY,
    POLL_AFTER,
    POLL_EVERY,
    WATCH_EVERY,
    WATCH_FOR,
    ask_provider,
    cancel_order,
    close_order,
    confirm_payment,
    must_be_confirmed,
    order_of,
    poll_order,
    seconds_left,
)
from .gateways import (
    Service,
    build_gateway,
    expires_soon,
    gateway_for,
    gateway_for_new_orders,
    open_account,
    open_gateway,
    open_gateway_of,
    place_of,
    refresh_certificates,
    refund_readiness,
    remarks_of,
    section_of,
    service_of,
    takes_orders,
    warn_of_expiry,
)
from .given_back import hear_of_refund
from .payments import ask_about_payment
from .placing import (
    QR_CODE,
    Quoted,
    Way,
    address_to_open,
    payment_arguments,
    place_order,
    quote_for,
)
from .reaching import reach_ourselves
from .redeeming import CodeExpired, CodeInvalid, CodeUsed, make_codes, redeem, revoke_batch, revoke_code, texts_of
from .refund_approving import approve_refund, counted_fen, withdraw_refund
from .refund_finding import find_refunds, refund_was_told
from .refund_following import follow_refund, settle_unknown_refunds
from .refund_mirroring import mirror_refund
from .refund_preview import Preview, preview_refund
from .refund_settling import settle_refund
from .refund_sums import next_number, quota_due, refundable_fen, unspent_fen
from .refunding import ask_refund, request_refund, submit_refund, why_no_refund
from .settling import SettledOrder, Settlement, settle_order
from .surplus import left_of, settle_surplus
from .sweeping import follow_orders
