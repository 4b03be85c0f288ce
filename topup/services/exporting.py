"""What recharging keeps of a user, as parts of the copy of their data."""

from collections.abc import Iterator
from typing import Any

from voicehelper.accounts.exports import Part, Source, as_json
from voicehelper.accounts.models import User
from voicehelper.clock import beijing_iso

from ..models import Order, RedemptionCode, Refund
from ..money import yuan


def _parts(user: User) -> Iterator[Part]:
    yield Part("orders.json", as_json(Order.objects.filter(user=user), _order))
    yield Part("refunds.json", as_json(Refund.objects.filter(order__user=user).select_related("order"), _refund))
    yield Part("codes.json", as_json(RedemptionCode.objects.filter(redeemed_by=user).select_related("batch"), _code))


RECHARGES = Source(lambda _user: 3, _parts)


def _order(order: Order) -> dict[str, Any]:
    return {
        "order_no": order.order_no,
        "state": order.state,
        "gateway": order.gateway,
        "trade_type": order.trade_type,
        "amount": order.amount,
        "money": yuan(order.amount_fen),
        "quota": order.quota,
        "transaction_id": order.transaction_id,
        "created": beijing_iso(order.created),
        "paid": beijing_iso(order.paid_at),
        "credited": beijing_iso(order.credited_at),
        "closed": beijing_iso(order.closed_at),
        "openid": order.openid,
        "address": order.client_ip,
    }


def _refund(refund: Refund) -> dict[str, Any]:
    return {
        "order_no": refund.order.order_no,
        "refund_no": refund.refund_no,
        "state": refund.state,
        "money": yuan(refund.amount_fen),
        "quota": refund.quota,
        "created": beijing_iso(refund.created),
        "finished": beijing_iso(refund.finished_at),
    }


def _code(code: RedemptionCode) -> dict[str, Any]:
    return {"quota": code.batch.quota, "redeemed": beijing_iso(code.redeemed_at)}
