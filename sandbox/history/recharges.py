"""Orders of both gateways in all states, their notices and calls; and the trades of the stand-ins behind them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sandbox.gateways import GATEWAYS, gateway_of
from sandbox.models import Merchant, Trade, TradeState
from topup.gateways.base import Gateway
from topup.models import GatewayCall, Notice, Order, RechargeSettings
from topup.models.orders import MANUAL_MARK
from topup.pricing import quote
from topup.services import open_gateway
from topup.services.placing import agreed
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry

from . import MARK
from .calendar import BEIJING, Calendar
from .ledger import Ledger, Line

AMOUNTS, _AMOUNT_WEIGHTS = [10, 20, 50, 100, 200], [40, 30, 18, 10, 2]
_SOURCES, _SOURCE_WEIGHTS = ["notice", "poll", "sweep"], [90, 7, 3]
_ENDS, _END_WEIGHTS = ["paid", "closed", "failed"], [82, 15, 3]
_LIFE = timedelta(minutes=30)
_TRADE_STATES = {Order.State.PENDING: TradeState.WAITING, Order.State.CLOSED: TradeState.CLOSED}


@dataclass
class Recharges:
    """The orders made so far, in the order of their times when they are saved."""

    calendar: Calendar
    ledger: Ledger
    gateways: dict[str, Gateway] = field(default_factory=lambda: {name: open_gateway(name) for name in GATEWAYS})
    orders: list[Order] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._recharge = RechargeSettings.load()
        self._merchants = {
            name: Merchant.objects.get(gateway=name, merchant_id=gateway.merchant_id)
            for name, gateway in self.gateways.items()
        }

    # --- Orders ------------------------------------------------------------------------------------------------------
    def make(self, customers: Sequence[User]) -> None:
        """A month of them. Every day has payments of both gateways, so that every day has two bills."""
        chance = self.calendar.chance
        names = list(self.gateways)
        for number, day in enumerate(self.calendar.days):
            wanted = 5 + number // 8 + chance.randrange(4)
            for turn, moment in enumerate(self.calendar.moments(day, wanted)):
                end = "paid" if turn < len(names) else chance.choices(_ENDS, _END_WEIGHTS)[0]
                self.one(chance.choice(customers), names[turn % len(names)], moment, end)

    def one(self, user: User, name: str, at: datetime, end: str, amount: int = 0) -> Order:
        """An order as it stands after it ended as `end`: paid, by_hand, late, closed, failed, pending or created."""
        chance = self.calendar.chance
        order = self._agreed(user, name, at, amount or chance.choices(AMOUNTS, _AMOUNT_WEIGHTS)[0])
        if end == "failed":
            order.state, order.failure = Order.State.FAILED, f"SYSTEMERROR: {MARK}"
        elif end == "closed":
            order.state, order.closed_at = Order.State.CLOSED, order.expires_at
        elif end == "pending":
            order.state, order.next_ask_at = Order.State.PENDING, at + _LIFE
        elif end == "created":
            order.next_ask_at = at + _LIFE
        else:
            self._pay(order, end)
        if end not in ("failed", "created"):
            order.pay_url = self._offer(order)
        self.orders.append(order)
        return order

    def _agreed(self, user: User, name: str, at: datetime, amount: int) -> Order:
        gateway, chance = self.gateways[name], self.calendar.chance
        price = quote(self._recharge.terms(), amount, user.group)
        return Order(
            order_no=f"{at.astimezone(BEIJING):%Y%m%d}DEMO{chance.getrandbits(80):020x}",
            user=user,
            trade_type=gateway.qr_code,
            **agreed(gateway, price),
            created=at,
            expires_at=(at + _LIFE).replace(microsecond=0),
            offered_at=at,
            client_ip=f"203.0.113.{chance.randrange(1, 255)}",
        )

    def _pay(self, order: Order, end: str) -> None:
        chance = self.calendar.chance
        order.state, order.paid_late = Order.State.PAID, end == "late"
        wait = timedelta(minutes=31) if order.paid_late else timedelta(seconds=chance.randrange(9, 100))
        order.credited_by = "manual" if end == "by_hand" else chance.choices(_SOURCES, _SOURCE_WEIGHTS)[0]
        if end == "by_hand":
            order.transaction_id = f"{MANUAL_MARK}{order.order_no}"
            order.credited_at = order.created + timedelta(minutes=12)
        else:
            order.paid_at = (order.created + wait).replace(microsecond=0)
            order.transaction_id = self._transaction(order, order.paid_at)
            order.credited_at = order.paid_at + timedelta(seconds=20 if order.credited_by == "sweep" else 1)
        actor = "admin" if end == "by_hand" else order.credited_by
        line = Line(order.credited_at, order.order_no, Entry.Kind.TOPUP, order.quota, actor)
        self.ledger.note(order.user, line)

    def _transaction(self, order: Order, at: datetime) -> str:
        day = f"{at.astimezone(BEIJING):%Y%m%d}"
        digits = self.calendar.digits
        return f"42000000{day}{digits(12)}" if order.gateway == "wechat" else f"{day}22001{digits(15)}"

    # --- The stand-ins' side -----------------------------------------------------------------------------------------
    def _offer(self, order: Order) -> str:
        """The trade behind an order; the content of its QR code."""
        paid = order.paid_at is not None
        mark = f"{self.calendar.chance.getrandbits(40):010x}"
        wechat = order.gateway == "wechat"
        code = f"weixin://wxpay/bizpayurl?pr=demo{mark}" if wechat else f"https://qr.alipay.com/demo{mark}"
        trade = self.trade(order.gateway, order.order_no, order.amount_fen, code)
        trade.created_at, trade.expires_at = order.created, order.expires_at
        if paid:
            self.settle(trade, order.transaction_id or "", order.paid_at)
        else:
            trade.state = _TRADE_STATES.get(Order.State(order.state), TradeState.CLOSED)
            trade.closed_at = order.closed_at
        return code

    def trade(self, name: str, order_no: str, amount_fen: int, code: str) -> Trade:
        gateway = self.gateways[name]
        facts = {"appid": gateway.app_id, "out_trade_no": order_no, "trade_type": gateway.qr_code}
        trade = Trade(
            merchant=self._merchants[name],
            out_trade_no=order_no,
            params=facts,
            sign_type=gateway.sign_type,
            amount_fen=amount_fen,
            title=MARK,
            notify_url=f"{self._recharge.address}/api/{name}/notify",
            code=code,
        )
        self.trades.append(trade)
        return trade

    @staticmethod
    def settle(trade: Trade, transaction_id: str, at: datetime | None) -> None:
        trade.state, trade.transaction_id = TradeState.PAID, transaction_id
        trade.scanned_at = trade.paid_at = at

    # --- Rows --------------------------------------------------------------------------------------------------------
    def save(self) -> None:
        self.orders.sort(key=lambda order: order.created)
        Order.objects.bulk_create(self.orders)
        Trade.objects.bulk_create(self.trades)
        self._save_notices()
        self._save_calls()

    def _save_notices(self) -> None:
        trades = {trade.out_trade_no: trade for trade in self.trades}
        notices = []
        for order in self.orders:
            if order.credited_by == "notice":
                notices.append(self._notice(order, trades[order.order_no], Notice.Verdict.CREDITED))
                if self.calendar.chance.random() < 0.08:
                    notices.append(self._notice(order, trades[order.order_no], Notice.Verdict.DUPLICATE))
        forged = self.calendar.ago(days=6, hours=3)
        body = f"<xml><appid>{MARK}</appid><total_fee>1</total_fee><sign>0</sign></xml>"
        notices += [
            Notice(gateway="wechat", received=forged, source="198.51.100.7", body=body, verdict=verdict, detail=detail)
            for verdict, detail in (
                (Notice.Verdict.FORGED, "The notice is not signed with our API key."),
                (Notice.Verdict.MALFORMED, "The notice does not say return_code SUCCESS."),
            )
        ]
        Notice.objects.bulk_create(sorted(notices, key=lambda notice: notice.received))

    @staticmethod
    def _notice(order: Order, trade: Trade, verdict: Notice.Verdict) -> Notice:
        gateway = gateway_of(trade)
        later = 0 if verdict == Notice.Verdict.CREDITED else 15
        return Notice(
            gateway=order.gateway,
            received=(order.credited_at or order.created) + timedelta(seconds=later),
            source="127.0.0.1",
            body=gateway.seal(trade, gateway.notice(trade), genuine=True),
            order_no=order.order_no,
            order=order,
            verdict=verdict,
            detail="",
            acknowledged=True,
        )

    def _save_calls(self) -> None:
        """What was asked of the platforms in the last days; older calls say nothing more."""
        calls: list[GatewayCall] = []
        for order in self.orders:
            if order.created > self.calendar.ago(days=4) and order.pay_url:
                calls.append(self._call(order, "create", order.created, {"code": order.pay_url}))
                if order.credited_by in ("poll", "sweep") and order.credited_at:
                    answer = {"trade_state": "SUCCESS", "transaction_id": order.transaction_id}
                    calls.append(self._call(order, "query", order.credited_at, answer))
        GatewayCall.objects.bulk_create(calls)

    def _call(self, order: Order, operation: str, at: datetime, answer: dict[str, Any]) -> GatewayCall:
        return GatewayCall(
            gateway=order.gateway,
            account_id=order.account_id,
            operation=operation,
            order_no=order.order_no,
            request=f"out_trade_no = {order.order_no}\n{MARK}",
            response="\n".join(f"{key} = {value}" for key, value in answer.items()),
            outcome="ok",
            elapsed_ms=self.calendar.chance.randrange(40, 400),
            created=at,
        )
