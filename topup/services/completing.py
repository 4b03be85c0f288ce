"""Completing an order by hand: for what was paid and cannot be proved. The provider is asked first, always."""

from django.utils.translation import gettext as _

from voicehelper.accounts.models import User

from ..gateways.orders import Receipt, Trade, TradeState
from ..models import Order
from ..money import yuan
from .errors import CompletionRefused
from .following import ask_provider
from .settling import Settlement, settle_order

SOURCE = "manual"


class AnswerChanged(CompletionRefused):
    """The provider says something else now than the operator was shown; `trade` is what."""

    def __init__(self, trade: Trade | None) -> None:
        super().__init__(_("The payment platform’s answer has changed: read it again."))
        self.trade = trade


def answer_of(trade: Trade | None) -> str:
    """A word for a provider's answer, to tell whether it is still the same."""
    return trade.state if trade else "none"


def why_not_completed(order: Order, trade: Trade | None) -> str:
    """What forbids to complete an order by hand, the provider having said `trade`; empty when nothing does."""
    if order.state in Order.CREDITED:
        return _("It has been credited meanwhile: look at the order.")
    if trade is not None and trade.state == TradeState.PAID:
        return _("The payment platform says that it is paid, but the payment does not fit the order.")
    if trade is not None and trade.state == TradeState.REFUNDED:
        return _("It was paid and the money went back: there is nothing to credit.")
    return ""


def complete_order(order: Order, *, amount_fen: int, seen: str, by: User, reason: str) -> Trade | None:
    """Credit an order on a superuser's word, through `settle_order` like any other. Raises CompletionRefused.

    Returns what the provider said to it. `seen` is `answer_of` what the operator was shown: a provider that says "paid"
    credits with proof instead, one that says anything new raises AnswerChanged. `amount_fen` is what the operator knows
    to have been paid.
    """
    if not by.is_superuser:
        raise CompletionRefused(_("Only a superuser may complete an order without proof."))
    if not reason.strip():
        raise CompletionRefused(_("Say why: the reason is kept with the record."))
    if amount_fen != order.amount_fen:
        text = _("The order is about ¥%(agreed)s. Another amount cannot be credited for it.")
        raise CompletionRefused(text % {"agreed": yuan(order.amount_fen)})
    trade = ask_provider(order, source="admin")
    order.refresh_from_db()
    if obstacle := why_not_completed(order, trade):
        raise CompletionRefused(obstacle)
    if answer_of(trade) != seen:
        raise AnswerChanged(trade)
    settled = settle_order(_word_for(order), source=SOURCE, actor=by.get_username(), reason=reason.strip()[:200])
    order.refresh_from_db()
    if settled.outcome != Settlement.CREDITED:
        raise CompletionRefused(settled.detail or _("It has been credited meanwhile: look at the order."))
    return trade


def _word_for(order: Order) -> Receipt:
    """In place of a provider's receipt. Its mark is the order's own, so it credits once, and never another order."""
    return Receipt(
        gateway=order.gateway,
        order_no=order.order_no,
        transaction_id=order.manual_mark,
        amount_fen=order.amount_fen,
        currency="CNY",
        app_id=order.app_id,
        merchant_id=order.merchant_id,
        live=order.live,
    )
