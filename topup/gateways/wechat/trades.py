"""What both versions of WeChat Pay's protocol have in common: its words for states, and what its texts may hold."""

import re
from typing import Any
from urllib.parse import quote

from ..errors import Implausible, Malformed
from ..orders import ORDER_NO, TRANSACTION_ID, Offer, TradeState

MAX_FEN = 2**63 - 1
REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
DESCRIPTION_BYTES = 127
REASON_BYTES = 80

TRADE_STATES = {
    "SUCCESS": TradeState.PAID,
    "REFUND": TradeState.REFUNDED,
    "NOTPAY": TradeState.WAITING,
    "USERPAYING": TradeState.WAITING,
    "ACCEPT": TradeState.WAITING,
    "CLOSED": TradeState.CLOSED,
    "REVOKED": TradeState.CLOSED,
    "PAYERROR": TradeState.CLOSED,
}


def plain(text: str) -> str:
    """Without control characters, which XML cannot carry."""
    return "".join(character if character.isprintable() else " " for character in text)


def short(text: str, most_bytes: int) -> str:
    """At most so many bytes of UTF-8, cut between two characters; without control characters."""
    return plain(text).encode()[:most_bytes].decode(errors="ignore")


def number_in(out_trade_no: object) -> str:
    """An order number as ours are. Raises Malformed."""
    if not isinstance(out_trade_no, str) or not ORDER_NO.fullmatch(out_trade_no):
        raise Malformed(f"out_trade_no {str(out_trade_no)[:64]!r} is not one of ours.")
    return out_trade_no


def transaction_in(transaction_id: Any) -> str:
    """WeChat Pay's own number of a payment. Raises Implausible."""
    if not isinstance(transaction_id, str) or not TRANSACTION_ID.fullmatch(transaction_id):
        raise Implausible(f"transaction_id {str(transaction_id)[:64]!r} is not one.")
    return transaction_id


def offered(trade_type: str, value: str, return_url: str) -> Offer:
    """What the buyer is shown: `value` is the code, the address of the H5 page, or the prepay_id."""
    if trade_type == "JSAPI":
        return Offer("", value)
    if trade_type == "MWEB" and return_url:
        return Offer(f"{value}&redirect_url={quote(return_url, safe='')}")
    return Offer(value)
