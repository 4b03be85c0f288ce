"""Notices as they come, as a gateway opens them, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .orders import Receipt
from .refunds import RefundHint

# Is told the order number that a notice claims, before anything is verified, and answers with the algorithm that was
# recorded with the order ("": any of the gateway's).
Claimed = Callable[[str], str]


@dataclass(frozen=True)
class IncomingNotice:
    """A callback as it came: body, headers (lower-case names) and the query, verbatim; and when (aware; None: now),
    from which its age is counted."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    received: datetime | None = None


@dataclass(frozen=True)
class OpenedNotice:
    """A genuine notice: that an order was paid, something about a refund, or (neither) nothing to act on. What nobody
    `signed`, or another account of ours as well, only makes us ask."""

    order_no: str
    receipt: Receipt | None = None
    refund: RefundHint | None = None
    signed: bool = True


@dataclass(frozen=True)
class Reply:
    """What we answer to a notice."""

    body: str
    content_type: str
    status: int = 200


def any_algorithm(_order_no: str) -> str:
    """The default `Claimed`: no order of ours says which."""
    return ""
