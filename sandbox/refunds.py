"""Refunds from the providers' side: made by a call or in the console, and announced like payments."""

import secrets
from datetime import date, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from . import deliveries
from .base import BEIJING, Faults
from .faults import take
from .gateways import gateway_of
from .models import Delivery, Merchant, Refund, RefundState, Trade, TradeState
from .refund_notices import NOTICES, wechat_v3_notice
from .wechat_v3 import protocol

# What a script may ask for, in the words of both providers.
ENDS = {"SUCCESS": RefundState.SUCCEEDED, "REFUNDCLOSE": RefundState.CLOSED, "CHANGE": RefundState.ABNORMAL}


class CannotRefund(Exception):
    """More than is left, or nothing was paid; the text is what WeChat Pay says."""


def accept(
    trade: Trade, number: str, amount_fen: int, *, notify_url: str, reason: str, faults: Faults, by_call: bool = True
) -> Refund:
    """A new refund, carried out at once unless a script says otherwise. Raises CannotRefund."""
    slow = faults.get("refund_slow")
    with transaction.atomic():
        trade = Trade.objects.select_for_update(of=("self",)).select_related("merchant").get(pk=trade.pk)
        if not 0 < amount_fen <= trade.rest_fen:
            raise CannotRefund("累计退款金额大于支付金额" if trade.rest_fen else "订单已全额退款")
        refund = Refund.objects.create(
            trade=trade,
            out_refund_no=number,
            refund_id=f"5030{timezone.now():%Y%m%d}{secrets.randbelow(10**17):017d}",
            amount_fen=amount_fen,
            notify_url=notify_url,
            reason=reason,
            by_call=by_call,
            queries_left=int(slow["queries"]) if slow else 0,
            ends_as=ENDS[str(slow["then"])] if slow else RefundState.SUCCEEDED,
        )
    if not refund.queries_left:
        finish(refund)
    return refund


def refund_in_console(trade: Trade, amount_fen: int | None = None) -> Refund:
    """What staff do at the provider, past the merchant's server; all that is left by default. Raises CannotRefund."""
    amount_fen = trade.rest_fen if amount_fen is None else amount_fen
    # Where such a notice goes is set in the real console; here it is derived from the order's own address.
    wechat = trade.merchant.gateway == "wechat"
    url = trade.notify_url.replace("/notify", "/refund-notify") if wechat else trade.notify_url
    number = f"CONSOLE{secrets.token_hex(12)}"
    return accept(trade, number, amount_fen, notify_url=url, reason="", faults={}, by_call=False)


def look(refund: Refund) -> Refund:
    """Somebody asks: a slow refund comes nearer to its end."""
    if refund.state == RefundState.PROCESSING:
        refund.queries_left = max(0, refund.queries_left - 1)
        Refund.objects.filter(pk=refund.pk).update(queries_left=refund.queries_left)
        if not refund.queries_left:
            finish(refund)
    return refund


def finish(refund: Refund) -> None:
    """Carry it out, or not, as its script says; and tell the merchant."""
    ended = Refund.objects.filter(pk=refund.pk, state=RefundState.PROCESSING)
    if ended.update(state=refund.ends_as, finished_at=timezone.now()):
        refund.refresh_from_db()
        announce(refund)


def announce(refund: Refund) -> None:
    """The notice, written down and sent as those of payments are."""
    trade = refund.trade
    gateway = gateway_of(trade)
    body = wechat_v3_notice(refund) if gateway is protocol else NOTICES[trade.merchant.gateway](refund)
    url = refund.notify_url or trade.notify_url
    if not url or not body:
        return
    faults = take(gateway.NAME, "notify", trade.out_trade_no)
    delay = timedelta(seconds=float(faults.get("delay", {}).get("seconds", 0)))
    hurry = [faults["hurry"]["seconds"]] * len(gateway.SCHEDULE) if "hurry" in faults else None
    delivery = Delivery.objects.create(
        trade=trade,
        url=url,
        body=body,
        faults=dict(faults),
        copies=int(faults.get("duplicate", {}).get("copies", 1)),
        schedule=hurry or list(gateway.SCHEDULE),
        next_try_at=None if "drop" in faults else timezone.now() + delay,
    )
    if delivery.next_try_at is not None:
        transaction.on_commit(lambda: deliveries.send_soon(delivery))


# --- What a bill is made of ------------------------------------------------------------------------------------------
def trades_of(merchant: Merchant, day: date) -> list[Trade]:
    """What was paid on a Beijing day."""
    start = datetime(day.year, day.month, day.day, tzinfo=BEIJING)
    paid = Trade.objects.filter(merchant=merchant, state=TradeState.PAID, paid_at__gte=start)
    return list(paid.filter(paid_at__lt=start + timedelta(days=1)).select_related("merchant").order_by("paid_at"))


def refunds_of(merchant: Merchant, day: date) -> list[Refund]:
    """What was begun to be given back on a Beijing day, and not given up."""
    start = datetime(day.year, day.month, day.day, tzinfo=BEIJING)
    begun = Refund.objects.filter(trade__merchant=merchant, created_at__gte=start).exclude(state=RefundState.CLOSED)
    return list(begun.filter(created_at__lt=start + timedelta(days=1)).select_related("trade__merchant").order_by("pk"))
