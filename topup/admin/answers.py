"""What a payment platform answered about an order, in plain words."""

from django.utils.translation import gettext

from voicehelper.admin.base import Report
from voicehelper.admin.columns import moment
from voicehelper.numbers import grouped

from .. import services
from ..gateways import label_of
from ..gateways.orders import Trade, TradeState
from ..models import GatewayCall, Order
from ..stored_texts import in_words
from . import words


def why_not_asked(order: Order) -> str:
    """Why the provider cannot be asked about an order now; empty when it can."""
    name = label_of(order.gateway)
    try:
        gateway = services.open_gateway_of(order)
    except services.TopupError:
        return gettext("%(gateway)s is not completely configured.") % {"gateway": name}
    if gateway is None:
        facts = {"merchant": order.merchant_id}
        return gettext("The keys of its merchant account %(merchant)s are not known any more.") % facts
    return ""


def answer(order: Order, trade: Trade | None) -> str:
    """State, amount, transaction and time, as far as the platform tells them; or why there is no certain answer."""
    if trade is None:
        return gettext("No certain answer: %(why)s") % {"why": last_word(order)}
    # Some platforms close what was refunded in full.
    closed_by_refund = trade.state == TradeState.CLOSED and order.state in Order.CREDITED
    said = {
        TradeState.WAITING: gettext("The platform says: not paid yet."),
        TradeState.CLOSED: gettext("The platform says: closed, not paid."),
        TradeState.ABSENT: gettext(
            "The platform knows no such order: the code was never scanned, or it never got there."
        ),
        TradeState.REFUNDED: gettext("The platform says: paid, and refunded since."),
        TradeState.PAID: gettext("The platform says: paid."),
    }[TradeState.REFUNDED if closed_by_refund else trade.state]
    return " ".join(filter(None, [said, _receipt(trade), f"({trade.raw_state})"]))


def _receipt(trade: Trade) -> str:
    if trade.receipt is None:
        return ""
    facts = {
        "money": words.money(trade.receipt.amount_fen),
        "time": moment(trade.receipt.paid_at),
        "transaction": trade.receipt.transaction_id,
    }
    if trade.receipt.paid_at is None:
        return gettext("%(money)s, transaction %(transaction)s, time not told.") % facts
    return gettext("%(money)s, transaction %(transaction)s, paid at %(time)s.") % facts


def about_strangers(gateway: str, number: str, trade: Trade | None) -> str:
    """What a platform says of its own number of a payment, which is of no order here."""
    facts = {"gateway": label_of(gateway), "number": number}
    if trade is None:
        facts["why"] = last_word_on(number)
        return gettext("%(gateway)s gave no certain answer about %(number)s: %(why)s") % facts
    if trade.receipt is None:
        facts["word"] = trade.raw_state
        return gettext("%(gateway)s knows no payment %(number)s of this merchant (%(word)s).") % facts
    facts |= {"order": trade.receipt.order_no, "receipt": _receipt(trade)}
    text = gettext("%(gateway)s says that it paid for %(order)s, which is no order of ours: %(receipt)s")
    return text % facts


def report(order: Order, trade: Trade | None) -> Report:
    """The answer, and what it changed here."""
    text = answer(order, trade)
    if trade is None:
        return Report(False, text)
    if order.review:
        text += " " + words.review(order)
    elif trade.state == TradeState.PAID and order.state in Order.CREDITED:
        text += " " + gettext("%(quota)s quota are credited.") % {"quota": grouped(order.quota)}
    return Report(trade.state != TradeState.PAID or order.state in Order.CREDITED, text)


def last_word(order: Order) -> str:
    return last_word_on(order.order_no)


def last_word_on(number: str) -> str:
    """Why the last call about an order, or about a payment by its own number, came to nothing."""
    call = GatewayCall.objects.filter(order_no=number).order_by("-pk").first()
    lines = call.response.strip().splitlines() if call else []
    return in_words(lines[-1][:300]) if lines else gettext("nobody was asked.")
