"""A day at a provider and in our books that differ in known ways: both sides are made row by row, past each other."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sandbox.models import Merchant, Trade
from sandbox.models import Refund as ProviderRefund
from tests.merchants import ALIPAY, WECHAT
from tests.orders import pending_order
from topup import services
from topup.gateways.orders import Receipt
from topup.gateways.refunds import RefundState, RefundStatus
from topup.models import Order, Refund
from topup.services.refund_settling import fail_refund
from voicehelper.accounts.models import User
from voicehelper.clock import BEIJING

YESTERDAY = datetime.now(BEIJING).date() - timedelta(days=1)


def at(text: str, day: date = YESTERDAY) -> datetime:
    """ "12:00:00" on a Beijing day."""
    return datetime.fromisoformat(f"{day}T{text}+08:00")


NOON = at("12:00:00")


@dataclass
class Books:
    """One buyer's orders at one gateway, and what the sandbox's provider has of them."""

    gateway: str
    buyer: User
    staff: User

    @property
    def merchant(self) -> Merchant:
        return Merchant.objects.get(gateway=self.gateway)

    # --- Here --------------------------------------------------------------------------------------------------------
    def order(self, **changes: Any) -> Order:
        """An order of ours that nobody has paid."""
        account = {"app_id": self.merchant.app_id, "merchant_id": self.merchant.merchant_id}
        return pending_order(self.buyer, WECHAT if self.gateway == "wechat" else ALIPAY, **account | changes)

    def credit(self, order: Order, transaction_id: str = "", paid_at: datetime = NOON) -> Order:
        """Credited here, whatever the provider has."""
        facts = {"app_id": order.app_id, "merchant_id": order.merchant_id, "live": False}
        number = transaction_id or f"42{secrets.randbelow(10**20):020d}"
        receipt = Receipt(self.gateway, order.order_no, number, order.amount_fen, "CNY", paid_at=paid_at, **facts)
        assert services.settle_order(receipt, source="notice").outcome == services.Settlement.CREDITED
        order.refresh_from_db()
        return order

    def refund(self, order: Order, amount_fen: int, end: str = "succeeded", finished: datetime = NOON) -> Refund:
        """Given back here, or given up, or still unknown; the provider is not asked."""
        number = services.next_number(order)
        refund = services.request_refund(order, amount_fen, number=number, actor=self.staff, reason="test")
        refund.order = order
        if end == "succeeded":
            state = RefundState.SUCCEEDED
            status = RefundStatus(order.order_no, refund.refund_no, state, "", amount_fen, succeeded_at=finished)
            services.settle_refund(refund, status)
        elif end == "failed":
            fail_refund(refund, "test")
        else:
            refund.move(Refund.State.SUBMITTED, submitted_at=NOON)
            refund.move(Refund.State.UNKNOWN)
        refund.refresh_from_db()
        return refund

    # --- There -------------------------------------------------------------------------------------------------------
    def trade(self, order_no: str, amount_fen: int, transaction_id: str = "", paid_at: datetime = NOON) -> Trade:
        """Paid there, whatever we have."""
        return Trade.objects.create(
            merchant=self.merchant,
            out_trade_no=order_no,
            params={},
            sign_type="HMAC-SHA256" if self.gateway == "wechat" else "RSA2",
            amount_fen=amount_fen,
            title="AI服务充值",
            code=secrets.token_hex(16),
            transaction_id=transaction_id or f"42{secrets.randbelow(10**20):020d}",
            state="paid",
            expires_at=paid_at + timedelta(minutes=30),
            scanned_at=paid_at,
            paid_at=paid_at,
        )

    def give_back(self, trade: Trade, number: str, amount_fen: int, when: datetime = NOON) -> ProviderRefund:
        """Given back there, whatever we have."""
        return ProviderRefund.objects.create(
            trade=trade,
            out_refund_no=number,
            refund_id=f"50{secrets.randbelow(10**20):020d}",
            amount_fen=amount_fen,
            state="succeeded",
            ends_as="succeeded",
            created_at=when,
            finished_at=when,
        )

    # --- Both --------------------------------------------------------------------------------------------------------
    def paid(self, paid_at: datetime = NOON) -> tuple[Order, Trade]:
        """As it should be."""
        order = self.order()
        trade = self.trade(order.order_no, order.amount_fen, paid_at=paid_at)
        return self.credit(order, trade.transaction_id, paid_at), trade


def refunded(books: Books) -> None:
    order, trade = books.paid()
    books.give_back(trade, books.refund(order, 100).refund_no, 100)


def not_credited(books: Books) -> str:
    order = books.order()
    return books.trade(order.order_no, order.amount_fen).out_trade_no


def not_credited_closed(books: Books) -> str:
    order = books.order(state="closed")
    return books.trade(order.order_no, order.amount_fen).out_trade_no


def unknown_here(books: Books) -> str:
    return books.trade(Order.new_number(NOON), 1234).out_trade_no


def other_account(books: Books) -> str:
    order = books.order(merchant_id="1999999999")
    return books.trade(order.order_no, order.amount_fen).out_trade_no


def amount_differs(books: Books) -> str:
    order = books.order()
    trade = books.trade(order.order_no, order.amount_fen + 1)
    return books.credit(order, trade.transaction_id).order_no


def transaction_differs(books: Books) -> str:
    order = books.credit(books.order())
    return books.trade(order.order_no, order.amount_fen).out_trade_no


def paid_twice(books: Books) -> str:
    order = books.credit(books.order(), paid_at=NOON - timedelta(days=2))
    return books.trade(order.order_no, order.amount_fen).out_trade_no


def missing_there(books: Books) -> str:
    return books.credit(books.order()).order_no


def refund_unknown_here(books: Books) -> str:
    order, trade = books.paid()
    books.give_back(trade, f"CONSOLE{secrets.token_hex(8)}", 100)
    return order.order_no


def refund_unknown_order(books: Books) -> str:
    trade = books.trade(Order.new_number(NOON), 1234, paid_at=NOON - timedelta(days=1))
    return books.give_back(trade, f"CONSOLE{secrets.token_hex(8)}", 100).trade.out_trade_no


def refund_unfinished(books: Books) -> str:
    order, trade = books.paid()
    books.give_back(trade, books.refund(order, 100, "unknown").refund_no, 100)
    return order.order_no


def refund_amount_differs(books: Books) -> str:
    order, trade = books.paid()
    books.give_back(trade, books.refund(order, 100).refund_no, 200)
    return order.order_no


def refund_state_differs(books: Books) -> str:
    order, trade = books.paid()
    books.give_back(trade, books.refund(order, 100, "failed").refund_no, 100)
    return order.order_no


def refund_missing_there(books: Books) -> str:
    order, _trade = books.paid()
    books.refund(order, 100)
    return order.order_no


# Ways to differ: the kind that must be found, and who makes it; returned is its order number.
INJECTIONS: Mapping[Callable[[Books], str], str] = {
    not_credited: "not_credited",
    not_credited_closed: "not_credited",
    unknown_here: "unknown_here",
    other_account: "other_account",
    amount_differs: "amount_differs",
    transaction_differs: "transaction_differs",
    paid_twice: "paid_twice",
    missing_there: "missing_there",
    refund_unknown_here: "refund_unknown_here",
    refund_unknown_order: "refund_unknown_order",
    refund_unfinished: "refund_unfinished",
    refund_amount_differs: "refund_amount_differs",
    refund_state_differs: "refund_state_differs",
    refund_missing_there: "refund_missing_there",
}
