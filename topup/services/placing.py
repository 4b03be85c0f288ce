"""Quoting and placing orders."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from voicehelper import clock
from voicehelper.accounts.models import User

from ..gateways.base import Gateway, NewOrder, NumberTaken, Refused, Retryable, TradeState, Unknown
from ..models import Order, RechargeSettings
from ..models.sections import GatewaySettings
from ..pricing import OutOfRange, Quote, quote
from .errors import AmountInvalid, AmountTooSmall, IdempotencyConflict, PaymentNotOffered, UnknownGateway
from .following import ASK_EVERY, ask_provider
from .gateways import SECTIONS, open_gateway

TRADE_TYPES = {"wechat": "NATIVE", "alipay": "PRECREATE"}
SUBJECT = "AI服务充值"


def quote_for(user: User, gateway: str, amount: int) -> Quote:
    """What `amount` costs this user. Raises UnknownGateway, AmountTooSmall, AmountInvalid."""
    if gateway not in SECTIONS:
        raise UnknownGateway(gateway)
    recharge = RechargeSettings.load()
    return _quote(recharge, SECTIONS[gateway].load(), user, amount)


def _quote(recharge: RechargeSettings, section: GatewaySettings, user: User, amount: int) -> Quote:
    minimum = recharge.shown_amount(max(1, section.min_topup))
    if amount < minimum:
        raise AmountTooSmall(minimum)
    try:
        return quote(recharge.terms(), amount, user.group)
    except OutOfRange as error:
        raise AmountInvalid(str(error)) from error


def place_order(
    user: User, gateway_name: str, amount: int, *, client_ip: str, idempotency_key: str | None = None
) -> Order:
    """Create an order and have the provider offer payment; the returned order is pending (or already paid).

    The order is committed before the provider hears of it. With an idempotency key that was used before, the same order
    comes back. Raises the TopupErrors; after PaymentNotOffered(unknown=True) the sweep goes on asking.
    """
    gateway = open_gateway(gateway_name)
    recharge = RechargeSettings.load()
    price = _quote(recharge, SECTIONS[gateway_name].load(), user, amount)
    order = _known_order(user, idempotency_key) or _insert_order(
        user, gateway, price, recharge, client_ip=client_ip, idempotency_key=idempotency_key
    )
    if (order.gateway, order.amount) != (gateway_name, amount):
        raise IdempotencyConflict(idempotency_key)
    if order.state == Order.State.CREATED:
        _offer_payment(order, gateway, recharge)
        order.refresh_from_db()
    return order


def _known_order(user: User, idempotency_key: str | None) -> Order | None:
    return Order.objects.filter(user=user, idempotency_key=idempotency_key).first() if idempotency_key else None


def _insert_order(
    user: User,
    gateway: Gateway,
    price: Quote,
    recharge: RechargeSettings,
    *,
    client_ip: str,
    idempotency_key: str | None,
) -> Order:
    now = clock.now()
    order = Order(
        order_no=Order.new_number(now),
        user=user,
        gateway=gateway.name,
        trade_type=TRADE_TYPES[gateway.name],
        app_id=gateway.app_id,
        merchant_id=gateway.merchant_id,
        live=gateway.live,
        sign_type=gateway.sign_type,
        amount=price.amount,
        amount_fen=price.amount_fen,
        quota=price.quota,
        bonus_quota=price.bonus_quota,
        unit_price=price.unit_price,
        ratio=price.ratio,
        discount=price.discount,
        quota_per_unit=price.quota_per_unit,
        in_tokens=price.in_tokens,
        created=now,
        # Whole seconds: the provider is told this moment, and a repeated request must tell it the same.
        expires_at=(now + timedelta(minutes=recharge.order_life_minutes)).replace(microsecond=0),
        idempotency_key=idempotency_key or None,
        client_ip=client_ip,
        next_ask_at=now + ASK_EVERY,
    )
    try:
        with transaction.atomic():
            order.save(force_insert=True)
    except IntegrityError:
        # A double click: the other request with this key was first.
        known = _known_order(user, idempotency_key)
        if known is None:
            raise
        return known
    return order


def _offer_payment(order: Order, gateway: Gateway, recharge: RechargeSettings) -> None:
    """Have the provider register the order. Repeating it with the same order is harmless, on both sides."""
    new = NewOrder(
        order_no=order.order_no,
        amount_fen=order.amount_fen,
        subject=SUBJECT,
        expires_at=order.expires_at,
        notify_url=f"{recharge.address}/api/{gateway.name}/notify",
        client_ip=order.client_ip,
    )
    try:
        try:
            offer = gateway.create(new)
        except Retryable:
            offer = gateway.create(new)
    except NumberTaken as error:
        # Our own earlier try may have been paid meanwhile.
        trade = ask_provider(order, gateway=gateway, source="create")
        if trade is None or trade.state != TradeState.PAID:
            raise PaymentNotOffered(order, unknown=True) from error
        return
    except Refused as error:
        order.move(Order.State.FAILED, failure=str(error)[:200], next_ask_at=None)
        raise PaymentNotOffered(order, unknown=False) from error
    except Unknown as error:
        Order.objects.filter(pk=order.pk, state=Order.State.CREATED).update(failure=str(error)[:200])
        raise PaymentNotOffered(order, unknown=True) from error
    # False when somebody paid before this line; the order is then further on, and that is fine.
    order.move(Order.State.PENDING, pay_url=offer.pay_url, offered_at=Now(), failure="")
