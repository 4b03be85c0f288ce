"""Refunds as a gateway sees them: what we ask for, and the provider's word on what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RefundState(StrEnum):
    """The provider's view of a refund number. ABNORMAL: the money left us and could not reach the buyer; somebody must
    act in the provider's console. ABSENT: it knows no such refund (yet): the same number may be sent again."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    CLOSED = "closed"
    ABNORMAL = "abnormal"
    ABSENT = "absent"


@dataclass(frozen=True)
class NewRefund:
    """What we ask a provider to give back: `amount_fen` of a payment of `total_fen`. The same `refund_no` again is the
    same refund. `transaction_id` chooses one of several payments of an order, where the gateway refunds_by_transaction.
    """

    order_no: str
    refund_no: str
    amount_fen: int
    total_fen: int
    reason: str
    notify_url: str
    transaction_id: str = ""


@dataclass(frozen=True)
class RefundStatus:
    """A provider's signed word on one refund. `amount_fen` 0: it did not say; `refund_id` is its own number."""

    order_no: str
    refund_no: str
    state: RefundState
    raw_state: str
    amount_fen: int = 0
    refund_id: str = ""
    succeeded_at: datetime | None = None


@dataclass(frozen=True)
class RefundHint:
    """A notice says that something happened to a refund: it makes us ask. `refund_no` may be empty. `refunded_fen` is
    what went back of the order in all, which only a signed notice tells (0: not told)."""

    order_no: str
    refund_no: str
    refunded_fen: int = 0
