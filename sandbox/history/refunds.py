"""Refunds: most succeeded, whole or in part; one failed, and one waits for a second person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sandbox.models import Refund as RefundThere
from sandbox.models import RefundState, Trade
from topup.models import Order, Refund
from voicehelper.wallet.models import Entry

from . import MARK
from .calendar import Calendar
from .ledger import Ledger, Line


@dataclass
class Refunds:
    """Made of paid orders, before anything of them is spent."""

    calendar: Calendar
    ledger: Ledger
    here: list[Refund] = field(default_factory=list)
    there: list[RefundThere] = field(default_factory=list)

    def make(self, orders: Sequence[Order], *, whole: Sequence[Order], waiting: Order) -> None:
        """Of every tenth that was paid in the weeks before yesterday; all of `whole`, and `waiting`. The orders'
        states change along with it."""
        since, until = self.calendar.ago(days=27), self.calendar.ago(days=1)
        paid = [
            order
            for order in orders
            if order.state == Order.State.PAID
            and order.paid_at
            and since < order.paid_at < until
            and not order.review
            and order not in (*whole, waiting)
        ]
        for number, order in enumerate(paid[4::10]):
            refund = self._of(order, order.amount_fen * 2 // 5 if number % 3 == 1 else order.amount_fen)
            if number == 2:
                self._fail(refund)
            else:
                self._succeed(refund)
        for order in whole:
            self._succeed(self._of(order, order.amount_fen))
        self._wait(self._of(waiting, waiting.amount_fen))

    def _of(self, order: Order, amount_fen: int) -> Refund:
        """The first refund of an order, as it was asked for."""
        ref = f"R{order.order_no}01"
        quota = order.quota * amount_fen // order.amount_fen
        at = (order.credited_at or order.created) + timedelta(minutes=4)
        refund = Refund(
            order=order,
            number=1,
            ref=ref,
            refund_no=ref,
            amount_fen=amount_fen,
            quota_due=quota,
            quota=quota,
            reason=MARK,
            requested_by="operator-01",
            created=at,
        )
        self.here.append(refund)
        return refund

    def _succeed(self, refund: Refund) -> None:
        order, at = refund.order, refund.created + timedelta(seconds=5)
        refund.state, refund.said = Refund.State.SUCCEEDED, "SUCCESS"
        refund.submitted_at = refund.created
        refund.finished_at = refund.succeeded_at = at
        refund.refund_id = f"50{self.calendar.digits(26)}"
        whole = refund.amount_fen == order.amount_fen
        order.state = Order.State.REFUNDED if whole else Order.State.PARTLY_REFUNDED
        self.ledger.note(order.user, Line(at, refund.ref, Entry.Kind.REFUND, -refund.quota, refund.requested_by))

    @staticmethod
    def _fail(refund: Refund) -> None:
        refund.state, refund.said = Refund.State.FAILED, f"USER_ACCOUNT_ABNORMAL ({MARK})"
        refund.submitted_at = refund.created
        refund.finished_at = refund.created + timedelta(minutes=2)

    def _wait(self, refund: Refund) -> None:
        """For a second person: it is above the limit."""
        refund.needs_approval, refund.created = True, self.calendar.ago(hours=5)
        user, until = refund.order.user, self.calendar.now + timedelta(days=3650)
        self.ledger.hold(user, refund.ref, refund.quota, at=refund.created, until=until)

    def save(self, trades: Mapping[str, Trade]) -> None:
        """After the orders, and the trades behind them."""
        self.here.sort(key=lambda refund: refund.created)
        Refund.objects.bulk_create(self.here)
        done = [refund for refund in self.here if refund.state == Refund.State.SUCCEEDED]
        self.there = [
            RefundThere(
                trade=trades[refund.order.order_no],
                out_refund_no=refund.refund_no,
                refund_id=refund.refund_id,
                amount_fen=refund.amount_fen,
                state=RefundState.SUCCEEDED,
                reason=MARK,
                created_at=refund.created,
                finished_at=refund.finished_at,
            )
            for refund in done
        ]
        RefundThere.objects.bulk_create(self.there)
