"""Orders at Alipay: precreate, wap and page, query, close, and the payment that an answer or a notice tells of. A trade
exists only once somebody scanned the QR code, or signed in on the page.
"""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from topup.money import fen_loosely, yuan
from voicehelper.clock import BEIJING

from ..errors import Implausible, Malformed, Unknown
from ..orders import ORDER_NO, TRANSACTION_ID, NewOrder, Offer, Receipt, Trade, TradeState, beijing_time
from .failures import ABSENT, NOT_OPEN
from .wire import TIME, AlipayWire, Fields

_SUBJECT_CHARS = 256
_PROBE_LIFE = timedelta(minutes=2)

# For a phone's browser and for a desktop's: the SDK's request, and the product's name.
_PAGES = {
    "WAP": ("AlipayTradeWapPay", "QUICK_WAP_WAY"),
    "PAGE": ("AlipayTradePagePay", "FAST_INSTANT_TRADE_PAY"),
}

TRADE_STATES = {
    "WAIT_BUYER_PAY": TradeState.WAITING,
    "TRADE_SUCCESS": TradeState.PAID,
    "TRADE_FINISHED": TradeState.PAID,
    # Timed out or refunded in full: either way the money is not with us.
    "TRADE_CLOSED": TradeState.CLOSED,
}


def create(wire: AlipayWire, order: NewOrder) -> Offer:
    fields = {
        "out_trade_no": order.order_no,
        "total_amount": yuan(order.amount_fen),
        "subject": _subject(order.subject),
        "time_expire": f"{order.expires_at.astimezone(BEIJING):{TIME}}",
    }
    if order.trade_type in _PAGES:
        # A signed address that the buyer's browser opens: Alipay hears of the order only then.
        name, product = _PAGES[order.trade_type]
        content = fields | {"product_code": product}
        if order.trade_type == "WAP" and order.return_url:
            content["quit_url"] = order.return_url
        return Offer(wire.address_of(name, content, notify_url=order.notify_url, return_url=order.return_url))
    # The longest there is: time_expire ends the order, and a repeated request must not differ.
    fields |= {"seller_id": wire.merchant_id, "qr_code_timeout_express": "120m"}

    def read(answer: Fields) -> Offer:
        if not answer.get("qr_code"):
            raise Unknown("Alipay's answer holds no qr_code.")
        return Offer(answer["qr_code"])

    return wire.call("create", "AlipayTradePrecreate", fields, read, notify_url=order.notify_url)


def query(wire: AlipayWire, order_no: str) -> Trade:
    fields = {"out_trade_no": order_no}
    return wire.call("query", "AlipayTradeQuery", fields, lambda answer: _trade(wire, answer), expected={ABSENT})


def query_transaction(wire: AlipayWire, transaction_id: str) -> Trade:
    def read(answer: Fields) -> Trade:
        if answer.get("sub_code") != ABSENT and answer.get("trade_no") != transaction_id:
            raise Unknown("Alipay answered about another payment.")
        return _trade(wire, answer)

    fields = {"trade_no": transaction_id}
    return wire.call("query", "AlipayTradeQuery", fields, read, expected={ABSENT}, about=transaction_id)


def _trade(wire: AlipayWire, answer: Fields) -> Trade:
    if answer.get("sub_code") == ABSENT:
        return Trade(TradeState.ABSENT, ABSENT)
    word = answer.get("trade_status", "")
    state = TRADE_STATES.get(word)
    if state is None:
        raise Unknown(f"Alipay's trade_status {word!r} is not known.")
    try:
        back = refunded_fen(answer)
        if state is TradeState.CLOSED and (back or answer.get("send_pay_date")):
            # What timed out was never paid: this was, and all of it went back.
            paid = receipt(wire, answer, paid_at=answer.get("send_pay_date", ""))
            return Trade(TradeState.REFUNDED, word, paid, paid.amount_fen)
        if state is not TradeState.PAID:
            return Trade(state, word)
        return Trade(state, word, receipt(wire, answer, paid_at=answer.get("send_pay_date", "")), back)
    except Malformed as error:
        raise Unknown(str(error)) from error


def close(wire: AlipayWire, order_no: str) -> TradeState:
    def read(answer: Fields) -> TradeState | None:
        # Not open any more: paid or closed, which only a query tells.
        states = {ABSENT: TradeState.ABSENT, NOT_OPEN: None}
        return states.get(answer.get("sub_code", ""), TradeState.CLOSED)

    fields = {"out_trade_no": order_no}
    state = wire.call("close", "AlipayTradeClose", fields, read, expected={ABSENT, NOT_OPEN})
    return state or query(wire, order_no).state


def prove_seller(wire: AlipayWire) -> None:
    """Ask for a code of one fen in the seller's name, and give it up: nobody ever sees it, so no trade comes of it."""
    number = f"PROBE{secrets.token_hex(12)}"
    until = (datetime.now(BEIJING) + _PROBE_LIFE).replace(microsecond=0)
    subject = str(_("Connection test"))
    create(wire, NewOrder(order_no=number, amount_fen=1, subject=subject, expires_at=until, notify_url=""))
    close(wire, number)


def refunded_fen(fields: Fields) -> int:
    """What went back of the trade in all, as far as a notice or an answer says. Raises Implausible."""
    try:
        return fen_loosely(fields["refund_fee"]) if fields.get("refund_fee") else 0
    except ValueError as error:
        raise Implausible(f"refund_fee: {error}") from error


def receipt(wire: AlipayWire, fields: Fields, *, paid_at: str, read: Callable[[str], int] = fen_loosely) -> Receipt:
    """The payment in the verified answer to a query of ours, which may write "73" or "73.0" as well, or in a verified
    notice, read strictly. Raises Implausible."""
    transaction_id = fields.get("trade_no", "")
    try:
        amount_fen = read(fields.get("total_amount", ""))
    except ValueError as error:
        raise Implausible(f"total_amount: {error}") from error
    if not amount_fen:
        raise Implausible("total_amount is zero.")
    if not TRANSACTION_ID.fullmatch(transaction_id):
        raise Implausible(f"trade_no {transaction_id[:64]!r} is not one.")
    return Receipt(
        gateway="alipay",
        order_no=number_in(fields),
        transaction_id=transaction_id,
        amount_fen=amount_fen,
        currency=fields.get("trans_currency") or "CNY",
        # A notice was compared with both; an answer was given to a request in their name.
        app_id=wire.app_id,
        merchant_id=wire.merchant_id,
        live=wire.live,
        paid_at=beijing_time(paid_at, TIME),
    )


def number_in(fields: Fields) -> str:
    number = fields.get("out_trade_no", "")
    if not ORDER_NO.fullmatch(number):
        raise Malformed(f"out_trade_no {number[:64]!r} is not one of ours.")
    return number


def _subject(text: str) -> str:
    """What `subject` may hold: 256 characters, without control characters and / = &."""
    plain = "".join(" " if not character.isprintable() or character in "/=&" else character for character in text)
    return plain[:_SUBJECT_CHARS]
