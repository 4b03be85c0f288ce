"""The two bills of each day beside the books. They agree but for two payments that no order here knows."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from notifications.models import Alert
from sandbox.models import Trade
from topup.models import Difference, Reconciliation
from topup.services.reconciliation.alerts import key_of, tell

from . import MARK
from .calendar import BEIJING, Calendar
from .recharges import Recharges
from .refunds import Refunds

# Whose, how many days ago, and what became of it.
_STRANGERS = (("wechat", 9, Difference.State.SETTLED), ("alipay", 2, Difference.State.OPEN))


@dataclass
class Bills:
    """The days compared so far, as the beat at half past ten would have done it."""

    calendar: Calendar
    recharges: Recharges
    refunds: Refunds
    strangers: dict[str, str] = field(default_factory=dict)

    def add_strangers(self) -> None:
        """On different days. Before the trades are saved."""
        for name, back, state in _STRANGERS:
            at = self.calendar.at(self.calendar.days[-1 - back], 15, 1200)
            # Numbered like ours: what cannot be ours is no difference.
            order_no = f"{at:%Y%m%d}{self.calendar.digits(24)}"
            trade = self.recharges.trade(name, order_no, 7300, f"https://sandbox.invalid/{order_no}")
            trade.created_at = trade.expires_at = at
            self.recharges.settle(trade, f"{at:%Y%m%d}22001{self.calendar.digits(15)}", at)
            self.strangers[order_no] = state

    def save(self) -> None:
        for name, gateway in self.recharges.gateways.items():
            account = {"gateway": name, "merchant_id": gateway.merchant_id, "live": gateway.live}
            for day in self.calendar.days[:-1]:
                compared = self.calendar.at(day + timedelta(days=1), 10, 1800)
                if compared < self.calendar.now:
                    row = Reconciliation(**account, day=day, actor="schedule", runs=1, started=compared)
                    self._compare(row, compared)

    def _compare(self, row: Reconciliation, compared: datetime) -> None:
        trades = [trade for trade in self.recharges.trades if _is_of(trade, row) and _day(trade.paid_at) == row.day]
        known = [trade.amount_fen for trade in trades if trade.out_trade_no not in self.strangers]
        back = [
            each.amount_fen
            for each in self.refunds.there
            if _is_of(each.trade, row) and _day(each.created_at) == row.day
        ]
        row.theirs_payments, row.theirs_payments_fen = len(trades), sum(trade.amount_fen for trade in trades)
        row.ours_payments, row.ours_payments_fen = len(known), sum(known)
        row.theirs_refunds = row.ours_refunds = len(back)
        row.theirs_refunds_fen = row.ours_refunds_fen = sum(back)
        row.compared = compared
        found = [
            _stranger(trade, compared, self.strangers[trade.out_trade_no])
            for trade in trades
            if trade.out_trade_no in self.strangers
        ]
        is_open = any(each.state == Difference.State.OPEN for each in found)
        row.state = Reconciliation.State.DIFFERS if is_open else Reconciliation.State.AGREED
        row.save()
        for each in found:
            each.reconciliation = row
            each.save()
        if is_open:
            tell(row)
            # Told when it was found, which is over.
            Alert.objects.filter(key=key_of(row)).update(created=compared, last=compared, told=1)


def _is_of(trade: Trade, row: Reconciliation) -> bool:
    return trade.merchant.merchant_id == row.merchant_id and trade.merchant.gateway == row.gateway


def _day(moment: datetime | None) -> date | None:
    return moment.astimezone(BEIJING).date() if moment else None


def _stranger(trade: Trade, compared: datetime, state: str) -> Difference:
    settled = state == Difference.State.SETTLED
    return Difference(
        kind=Difference.Kind.UNKNOWN_HERE,
        order_no=trade.out_trade_no,
        transaction_id=trade.transaction_id,
        theirs_fen=trade.amount_fen,
        at=trade.paid_at,
        state=state,
        note=f"同一商户号的测试环境的订单。（{MARK}）" if settled else "",
        actor="admin" if settled else "",
        ended=compared + timedelta(hours=1) if settled else None,
        created=compared,
        seen=1,
    )
