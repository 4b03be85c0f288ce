"""What the buyer does: scan a code, pay; and the notice that follows."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from . import deliveries
from .base import Faults, Fields
from .faults import take
from .gateways import gateway_of
from .models import Delivery, Trade, TradeState


class CannotPay(Exception):
    """The payment does not go through; `state` says why."""

    def __init__(self, state: TradeState) -> None:
        super().__init__(f"the trade is {state}")
        self.state = state


def scan(code: str) -> Trade | None:
    """Open a QR code's content. None: no such code. For Alipay this is what makes the trade exist."""
    trade = _with_code(code)
    if trade is not None and trade.scanned_at is None:
        gateway_of(trade).scan(trade, timezone.now())
        trade = _with_code(code)
    return trade


def _with_code(code: str) -> Trade | None:
    if not code or "\0" in code:
        return None
    return Trade.objects.select_related("merchant").filter(code=code).first()


def waiting_trades(limit: int) -> list[Trade]:
    """The newest trades that somebody could pay now."""
    waiting = Q(state=TradeState.WAITING, expires_at__gt=timezone.now())
    return list(Trade.objects.select_related("merchant").filter(waiting).order_by("-pk")[:limit])


def pay(trade: Trade, asked: Faults | None = None, *, wait: bool = False) -> Trade:
    """Pay, and tell the merchant; `wait` returns only after the notice was answered. Raises CannotPay.

    `asked` are faults for this payment alone; scripted ones come on top.
    """
    gateway, now = gateway_of(trade), timezone.now()
    trade = scan(trade.code) or trade
    if trade.state == TradeState.PAID:
        raise CannotPay(TradeState.PAID)
    faults = {**take(gateway.NAME, "pay", trade.out_trade_no), **(asked or {})}
    with transaction.atomic():
        paid = trade.pay(
            now,
            trade.transaction_id or gateway.new_transaction_id(now),
            coupon_fen=int(faults.get("coupon", {}).get("amount_fen", 0)),
            late="late" in faults,
        )
        trade.refresh_from_db()
        if not paid:
            raise CannotPay(trade.state_at(now))
        delivery = _write_notice(trade, {**take(gateway.NAME, "notify", trade.out_trade_no), **faults})
    _send(delivery, wait=wait)
    return trade


def notify(trade: Trade) -> Delivery | None:
    """One more notice of a paid trade, an honest one. None: it is not paid, or nobody wants notices."""
    if trade.state != TradeState.PAID:
        return None
    delivery = _write_notice(trade, {})
    _send(delivery, wait=False)
    return delivery


def _send(delivery: Delivery | None, *, wait: bool) -> None:
    if delivery is None or delivery.next_try_at is None:
        return
    if wait:
        deliveries.send(delivery.pk)
    else:
        transaction.on_commit(lambda: deliveries.send_soon(delivery))


def _write_notice(trade: Trade, faults: Faults) -> Delivery | None:
    """Sign the notice and put it down, to be sent at the time the faults allow."""
    if not trade.notify_url:
        return None
    gateway = gateway_of(trade)
    fields = _with_lies(trade, gateway.notice(trade), faults)
    delay = timedelta(seconds=float(faults.get("delay", {}).get("seconds", 0)))
    hurry = [faults["hurry"]["seconds"]] * len(gateway.SCHEDULE) if "hurry" in faults else None
    return Delivery.objects.create(
        trade=trade,
        url=trade.notify_url,
        body=gateway.seal(trade, fields, genuine="wrong_signature" not in faults),
        faults=dict(faults),
        copies=int(faults.get("duplicate", {}).get("copies", 1)),
        schedule=hurry or list(gateway.SCHEDULE),
        next_try_at=None if "drop" in faults else timezone.now() + delay,
    )


def _with_lies(trade: Trade, fields: Fields, faults: Faults) -> Fields:
    """Another amount, another merchant; what comes out is signed as if it were true."""
    gateway = gateway_of(trade)
    if (lie := faults.get("wrong_amount")) is not None:
        another = gateway.format_amount(1 if trade.amount_fen != 1 else 2)
        fields = fields | {gateway.AMOUNT_FIELD: str(lie.get("amount", another))}
    if (lie := faults.get("wrong_merchant")) is not None:
        merchant = trade.merchant
        named = lie or {"app_id": _another(merchant.app_id), "merchant_id": _another(merchant.merchant_id)}
        for field, name in ((gateway.APP_FIELD, "app_id"), (gateway.MERCHANT_FIELD, "merchant_id")):
            fields = fields | ({field: str(named[name])} if name in named else {})
    return fields


def _another(number: str) -> str:
    """A number of the same shape that is not this one."""
    return number[:-1] + ("1" if number.endswith("0") else "0")
