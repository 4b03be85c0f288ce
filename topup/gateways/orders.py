"""Orders as a gateway sees them: what we ask it to collect, what it offers the buyer, and its word on what was paid."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from voicehelper.clock import BEIJING

# The order numbers every provider accepts.
ORDER_NO = re.compile(r"[0-9A-Za-z_]{6,32}")
TRANSACTION_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class TradeState(StrEnum):
    """The provider's view of an order number. ABSENT: it knows none (yet); never proof that nobody will pay."""

    WAITING = "waiting"
    PAID = "paid"
    CLOSED = "closed"
    REFUNDED = "refunded"
    ABSENT = "absent"


@dataclass(frozen=True)
class NewOrder:
    """What we ask a provider to collect. `expires_at` is aware; `client_ip` is the buyer's.

    `trade_type` is one of the gateway's trade_types, the first when empty. Where the buyer's browser is sent to pay,
    `return_url` is where it comes back to (which proves nothing). `openid` is for payments inside the gateway's app,
    and belongs to our app id.
    """

    order_no: str
    amount_fen: int
    subject: str
    expires_at: datetime
    notify_url: str
    client_ip: str = "127.0.0.1"
    trade_type: str = ""
    openid: str = ""
    return_url: str = ""


@dataclass(frozen=True)
class Offer:
    """What the buyer needs to pay: the content of a QR code or an address to open, verbatim. For a payment inside the
    gateway's app it is empty, and `prepay_id` what Gateway.payment_arguments wants."""

    pay_url: str
    prepay_id: str = ""


@dataclass(frozen=True)
class Receipt:
    """A provider's signed word that an order was paid. `amount_fen` is what was asked, before the buyer's coupons.

    `app_id` and `merchant_id` are whom it was paid to; `currency` is ISO 4217; `paid_at` is aware.
    """

    gateway: str
    order_no: str
    transaction_id: str
    amount_fen: int
    currency: str
    app_id: str
    merchant_id: str
    live: bool
    paid_at: datetime | None = None


@dataclass(frozen=True)
class Trade:
    """The answer to a query: our reading, the provider's own word for it, the receipt when it was paid, and how much of
    it went back, as far as the answer says (0: it does not)."""

    state: TradeState
    raw_state: str
    receipt: Receipt | None = None
    refunded_fen: int = 0


def beijing_time(text: str, pattern: str) -> datetime | None:
    """A provider's time, aware: they write times without a zone and mean Beijing's. None when it is not one: a broken
    time must not keep a payment from being credited."""
    try:
        moment = datetime.strptime(text, pattern).replace(tzinfo=BEIJING)
    except ValueError:
        return None
    return moment if moment.year >= 2000 else None
