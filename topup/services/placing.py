"""Quoting and placing orders, and the ways to pay them."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text
from voicehelper import clock, rows
from voicehelper.accounts.minors import admit_recharge
from voicehelper.accounts.models import User

from ..gateways import GATEWAYS
from ..gateways.base import Gateway
from ..gateways.errors import NumberTaken, Refused, Retryable, Unknown
from ..gateways.orders import NewOrder, Offer, TradeState
from ..gateways.ways import Place
from ..models import GatewaySettings, Order, RechargeSettings
from ..money import yuan
from ..pricing import OutOfRange, Quote, quote
from .configured import Configured, configured
from .errors import (
    AmountInvalid,
    AmountTooSmall,
    IdempotencyConflict,
    NobodyPays,
    PaymentNotOffered,
    PriceChanged,
    UnknownWay,
)
from .following import ASK_EVERY, WATCH_EVERY, ask_provider, seconds_left
from .gateways import gateway_for, gateway_for_new_orders, place_of

log = logging.getLogger(__name__)

# For how long an address that the buyer's browser opens is surely good: some live for five minutes, and some providers
# compare the time in it with the clock.
ADDRESS_LIFE = timedelta(minutes=4)
SUBJECT = "AI服务充值"


@dataclass(frozen=True)
class Way:
    """How a buyer pays: a trade type of the gateway, empty for the QR code. Inside the gateway's app, it wants to know
    our app there, and the buyer's openid, which must come from the provider and never from a request."""

    trade_type: str = ""
    app_id: str = ""
    openid: str = ""


QR_CODE = Way()


@dataclass(frozen=True)
class Quoted:
    """What the buyer was told: what it costs, in yuan, and how much quota it brings; None: he was not."""

    pay: Decimal | None = None
    quota: int | None = None


def quote_for(user: User, gateway: str, amount: int) -> Quote:
    """What `amount` costs this user. Raises UnknownGateway, AmountTooSmall, AmountInvalid."""
    now = configured()
    return _quote(now.recharge, now.section(gateway), user, amount)


def _quote(recharge: RechargeSettings, section: GatewaySettings, user: User, amount: int) -> Quote:
    minimum = recharge.shown_amount(max(1, section.min_topup))
    if amount < minimum:
        raise AmountTooSmall(minimum)
    try:
        return quote(recharge.terms(), amount, user.group)
    except OutOfRange as error:
        raise AmountInvalid(str(error)) from error


def place_order(
    user: User,
    gateway_name: str,
    amount: int,
    *,
    client_ip: str,
    way: Way = QR_CODE,
    idempotency_key: str | None = None,
    quoted: Quoted = Quoted(),
) -> Order:
    """Create an order and have the provider offer payment; the returned order is pending (or already paid).

    The order is committed before the provider hears of it. With an idempotency key that was used before, the same order
    comes back, whatever has been set since. With `quoted` it is placed only if that still holds, else PriceChanged.
    Raises the TopupErrors, MinorsLimit; after PaymentNotOffered(unknown=True) the sweep goes on asking.
    """
    known = _known_order(user, idempotency_key)
    if known and known.state != Order.State.CREATED and known.gateway == gateway_name:
        return _same(known, amount, way, quoted)
    now = configured()
    gateway = _gateway_of_way(gateway_name, way, now)
    price = _quote(now.recharge, now.section(gateway_name), user, amount)
    _check_quoted(known or price, quoted)
    order = known or _insert_order(
        user, gateway, price, now, way=way, client_ip=client_ip, idempotency_key=idempotency_key
    )
    if order.gateway != gateway_name:
        raise IdempotencyConflict(idempotency_key)
    _same(order, amount, way, quoted)
    if order.state == Order.State.CREATED:
        # Placed by an earlier try, perhaps in the name of an app that the settings have changed since.
        same = (gateway.account, gateway.app_id) == (order.account_id, order.app_id)
        its_own = gateway if same else gateway_for(order)
        if its_own is None:
            raise PaymentNotOffered(order, unknown=True)
        _offer_payment(order, its_own, now.recharge)
    return order


def _same(order: Order, amount: int, way: Way, quoted: Quoted) -> Order:
    """The order of a key, if it is what is asked for now and was not refused. Raises PriceChanged,
    IdempotencyConflict, PaymentNotOffered."""
    _check_quoted(order, quoted)
    trade_type = way.trade_type or next(iter(GATEWAYS[order.gateway].trade_types))
    if (order.trade_type, order.amount) != (trade_type, amount):
        raise IdempotencyConflict(order.idempotency_key)
    if order.state == Order.State.FAILED:
        raise PaymentNotOffered(order, unknown=False)
    return order


def _check_quoted(found: Order | Quote, quoted: Quoted) -> None:
    """Raises PriceChanged."""
    pay = yuan(found.amount_fen)
    if quoted.pay is not None and quoted.pay != Decimal(pay):
        raise PriceChanged(pay)
    if quoted.quota is not None and quoted.quota != found.quota:
        raise PriceChanged(pay, found.quota)


def _gateway_of_way(name: str, way: Way, now: Configured) -> Gateway:
    """The gateway, in the name of the app the buyer is in. Raises UnknownWay, NobodyPays and what
    gateway_for_new_orders does."""
    gateway = gateway_for_new_orders(name, now=now)
    if way.trade_type and way.trade_type not in gateway.trade_types:
        raise UnknownWay(way.trade_type)
    if gateway.place(way.trade_type) is not Place.APP:
        return gateway
    if not way.openid:
        raise NobodyPays
    return gateway_for_new_orders(name, app_id=way.app_id, now=now)


def _known_order(user: User, idempotency_key: str | None) -> Order | None:
    return Order.objects.filter(user=user, idempotency_key=idempotency_key).first() if idempotency_key else None


def agreed(gateway: Gateway, price: Quote) -> dict[str, Any]:
    """What an order keeps of whom it is placed with, and of the price, by column."""
    return {
        "account_id": gateway.account,
        "gateway": gateway.name,
        "app_id": gateway.app_id,
        "merchant_id": gateway.merchant_id,
        "live": gateway.live,
        "sign_type": gateway.sign_type,
        "amount": price.amount,
        "amount_fen": price.amount_fen,
        "quota": price.quota,
        "bonus_quota": price.bonus_quota,
        "unit_price": price.unit_price,
        "ratio": price.ratio,
        "discount": price.discount,
        "quota_per_unit": price.quota_per_unit,
        "in_tokens": price.in_tokens,
    }


def _insert_order(
    user: User,
    gateway: Gateway,
    price: Quote,
    now: Configured,
    *,
    way: Way,
    client_ip: str,
    idempotency_key: str | None,
) -> Order:
    order = Order(
        order_no=Order.new_number(now.at),
        user=user,
        trade_type=way.trade_type or gateway.qr_code,
        openid=way.openid,
        **agreed(gateway, price),
        created=now.at,
        # Whole seconds: the provider is told this moment, and a repeated request must tell it the same.
        expires_at=(now.at + timedelta(minutes=now.recharge.order_life_minutes)).replace(microsecond=0),
        idempotency_key=idempotency_key or None,
        client_ip=client_ip,
        next_ask_at=now.at + ASK_EVERY,
    )
    try:
        with transaction.atomic() if idempotency_key or user.minor else nullcontext():
            if user.minor:
                admit_recharge(user, order.amount_fen, lambda: _ordered_today(user))
            rows.insert(order)
    except IntegrityError:
        # A double click: the other request with this key was first.
        known = _known_order(user, idempotency_key)
        if known is None:
            raise
        return known
    return order


def _ordered_today(user: User) -> int:
    """Fen of the user's orders of this Beijing day, those aside that ended without a payment."""
    of_today = Order.objects.filter(user=user, created__gte=clock.midnight(clock.today()))
    ended = [Order.State.CLOSED, Order.State.FAILED]
    return int(of_today.exclude(state__in=ended).aggregate(fen=Sum("amount_fen"))["fen"] or 0)


def _offer_payment(order: Order, gateway: Gateway, recharge: RechargeSettings) -> None:
    """Have the provider register the order. Repeating it with the same order is harmless, on both sides."""
    try:
        offer = _offer_of(order, gateway, recharge)
    except NumberTaken as error:
        # Our own earlier try may have been paid meanwhile.
        trade = ask_provider(order, gateway=gateway, source="create")
        if trade is None or trade.state != TradeState.PAID:
            raise PaymentNotOffered(order, unknown=True) from error
        order.refresh_from_db()
        return
    except Refused as error:
        # An earlier try without an answer may have got there: then it is watched like any other that has ended here.
        watch = clock.now() + WATCH_EVERY if order.failure else None
        order.move(Order.State.FAILED, failure=str(error)[:200], next_ask_at=watch)
        raise PaymentNotOffered(order, unknown=False) from error
    except Unknown as error:
        Order.objects.filter(pk=order.pk, state=Order.State.CREATED).update(failure=str(error)[:200])
        raise PaymentNotOffered(order, unknown=True) from error
    shown = {"pay_url": offer.pay_url, "prepay_id": offer.prepay_id, "failure": ""}
    if order.move(Order.State.PENDING, offered_at=Now(), **shown):
        order.moved_to(Order.State.PENDING, **shown)
        # When, by the database's clock, is read by whoever wants to know.
        del order.offered_at
    else:
        # Somebody paid before this line; the order is then further on, and that is fine.
        order.refresh_from_db()


def _offer_of(order: Order, gateway: Gateway, recharge: RechargeSettings) -> Offer:
    """What the provider answers to the order, however often it is sent: nothing in it changes."""
    new = NewOrder(
        order_no=order.order_no,
        amount_fen=order.amount_fen,
        subject=SUBJECT,
        expires_at=order.expires_at,
        notify_url=f"{recharge.address}/api/{gateway.name}/{gateway.payment_callbacks[0]}",
        client_ip=order.client_ip,
        trade_type=order.trade_type,
        openid=order.openid,
        return_url=f"{recharge.address}/recharge/orders/{order.order_no}",
    )
    try:
        offer = gateway.create(new)
    except Retryable:
        offer = gateway.create(new)
    if offer.pay_url and not gateway.offers(order.trade_type, offer.pay_url):
        _report_odd_address(order, offer.pay_url)
        raise Unknown("The platform answered with an odd address to pay at, which is shown to nobody.")
    return offer


def _report_odd_address(order: Order, address: str) -> None:
    log.error("Order %s: %s offered to be paid at %r", order.order_no, order.gateway, address[:200])
    raise_alert(
        "odd_pay_address",
        title=Text(gettext_noop("Order %(order)s: an odd address to pay at came back"), order=order.order_no),
        content=[
            address[:200],
            Text(
                gettext_noop(
                    "It was not shown to the buyer; the order is asked about. Look at who answers in the platform’s "
                    "name: the address of its API, proxies, certificates."
                )
            ),
        ],
        key=f"odd-address:{order.gateway}",
        about=order,
        platform=order.gateway,
    )


# --- Handing the payment to the buyer --------------------------------------------------------------------------------
def address_to_open(order: Order) -> str:
    """Where the buyer's browser goes to pay, made anew when it may be stale; empty when the order cannot be paid so.
    Raises PaymentNotOffered."""
    if not order.is_payable or not place_of(order).is_page or not seconds_left(order):
        return ""
    if order.offered_at and order.offered_at > clock.now() - ADDRESS_LIFE:
        return order.pay_url
    gateway = gateway_for(order)
    if gateway is None:
        raise PaymentNotOffered(order, unknown=True)
    try:
        offer = _offer_of(order, gateway, RechargeSettings.load())
    except NumberTaken:
        ask_provider(order, gateway=gateway, source="poll")
        return ""
    except (Refused, Unknown) as error:
        raise PaymentNotOffered(order, unknown=isinstance(error, Unknown)) from error
    Order.objects.filter(pk=order.pk, state=Order.State.PENDING).update(pay_url=offer.pay_url, offered_at=Now())
    return offer.pay_url


def payment_arguments(order: Order) -> dict[str, str]:
    """What the gateway's app is handed, signed now; empty when there is nothing to pay inside it."""
    gateway = gateway_for(order) if order.is_payable and order.prepay_id else None
    return gateway.payment_arguments(order.prepay_id) if gateway else {}
