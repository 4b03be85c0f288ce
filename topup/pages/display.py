"""What the pages show, as text: amounts with separators, prices, the state of an order in a person's words."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from voicehelper.accounts.models import User
from voicehelper.numbers import grouped
from voicehelper.qr import qr_image

from ..gateways import GATEWAYS, label_of
from ..gateways.ways import Place
from ..models import Order, RechargeSettings
from ..pricing import OutOfRange, Quote, quote
from ..services import payment_arguments, place_of, seconds_left, service_of
from ..services.offers import pay_methods
from .devices import Browser, Step


def money(amount_fen: int) -> str:
    """730000 → "7,300.00"."""
    return f"{amount_fen // 100:,}.{amount_fen % 100:02d}"


def plain(number: Decimal) -> str:
    """0.9500 → "0.95", 1E+2 → "100"."""
    return f"{number.normalize():f}"


def discount_badge(discount: Decimal) -> str:
    """0.95 → "9.5折" for readers of Chinese, "5% off" for the others: no template can compute one from the other."""
    if discount == 1:
        return ""
    if (get_language() or "").startswith("zh"):
        return f"{plain(discount * 10)}折"
    return _("%(percent)s%% off") % {"percent": plain((1 - discount) * 100)}


@dataclass(frozen=True)
class PriceTag:
    """A quote, as the summary and the presets show it, and as it is sent back; `bonus` in what users type. Empty texts:
    nothing to say."""

    amount: int
    shown: str
    credit: str
    quoted: str
    quoted_quota: int
    pay: str
    original: str
    saving: str
    badge: str
    bonus: str
    bonus_quota: str


def price_of(price: Quote) -> PriceTag:
    saving = price.original_fen - price.amount_fen
    bonus = price.bonus_quota if price.in_tokens else price.bonus_quota // price.quota_per_unit
    return PriceTag(
        amount=price.amount,
        shown=grouped(price.amount),
        credit=grouped(price.quota),
        quoted=price.money,
        quoted_quota=price.quota,
        pay=money(price.amount_fen),
        original=money(price.original_fen),
        saving=money(saving) if saving else "",
        badge=discount_badge(price.discount),
        bonus=grouped(bonus) if bonus else "",
        bonus_quota=grouped(price.bonus_quota) if bonus else "",
    )


def prices(recharge: RechargeSettings, user: User, amounts: Sequence[int]) -> list[PriceTag]:
    """The price of each amount that can be priced."""
    found = []
    for amount in amounts:
        try:
            found.append(price_of(quote(recharge.terms(), amount, user.group)))
        except OutOfRange:
            continue
    return found


def presets(recharge: RechargeSettings, user: User) -> list[PriceTag]:
    """The amounts on offer, as typed."""
    return prices(recharge, user, [recharge.shown_amount(int(units)) for units in recharge.amount_options])


def savings(recharge: RechargeSettings, user: User) -> dict[str, dict[str, str]]:
    """Original price and saving of every discounted amount: all the browser has to know besides the live quote."""
    amounts = [recharge.shown_amount(int(units)) for units in recharge.amount_discounts]
    return {
        str(price.amount): {"original": price.original, "saving": price.saving}
        for price in prices(recharge, user, amounts)
        if price.saving
    }


def list_price(recharge: RechargeSettings, user: User) -> str:
    """Yuan for one unit in the user's group, with two decimals or as many as it needs."""
    price = recharge.price * (recharge.terms().ratios.get(user.group) or Decimal(1))
    whole, _point, decimals = plain(price).partition(".")
    return f"{int(whole):,}.{decimals:0<2}"


@dataclass(frozen=True)
class Method:
    """A way to pay, and whether it takes the amount that is chosen. `trade_type` is how this browser pays."""

    type: str
    name: str
    api: str
    minimum: int
    shown_minimum: str
    takes_it: bool
    trade_type: str
    icon: str


def methods_for(recharge: RechargeSettings, amount: int | None, browser: Browser) -> list[Method]:
    """The ways to pay that work; where only one app opens, that one alone, unless it is switched off."""
    found = pay_methods(recharge)
    return [
        Method(
            type=method["type"],
            name=method["name"],
            api=reverse(f"topup:pay_{method['type']}"),
            minimum=method["min_topup"],
            shown_minimum=grouped(method["min_topup"]),
            takes_it=amount is not None and amount >= method["min_topup"],
            trade_type=browser.way(method["type"]).trade_type,
            icon=icon(method["type"]),
        )
        for method in [method for method in found if browser.takes(method["type"])] or found
    ]


def any_gateway() -> str:
    """All of them, for whoever may choose one: "this or that"."""
    return _(" or ").join(map(label_of, GATEWAYS))


def app_name(gateway: str) -> str:
    """The app that scans the code."""
    return str(GATEWAYS[gateway].app_label) if gateway in GATEWAYS else gateway


def icon(gateway: str) -> str:
    """Its picture's name in static/img/icons.svg."""
    return GATEWAYS[gateway].icon if gateway in GATEWAYS else ""


class View:
    """The faces of the payment card; each has its own picture and next step."""

    WAITING = "waiting"
    UNANSWERED = "unanswered"
    PAID = "paid"
    CONFIRMING = "confirming"
    CHECKED = "checked"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    GIVEN_BACK = "given_back"
    FAILED = "failed"


def view_of(order: Order, left_s: int) -> str:
    """Which face an order shows. "Expired, not charged" is only said once the provider has confirmed it."""
    if order.state in Order.CREDITED:
        return View.PAID
    if order.given_back:
        return View.GIVEN_BACK
    if order.state == Order.State.FAILED:
        return View.FAILED
    if order.state == Order.State.CLOSED:
        return View.CANCELLED if order.cancelled_at else View.EXPIRED
    if order.cancelled_at:
        return View.CANCELLING
    if left_s == 0:
        return View.CHECKED if order.review else View.CONFIRMING
    return View.WAITING if order.is_offered else View.UNANSWERED


# Faces that can still change by themselves, so the page goes on asking.
LIVE = (View.WAITING, View.UNANSWERED, View.CONFIRMING, View.CANCELLING)
ENDED = (View.EXPIRED, View.CANCELLED)
# Faces that offer to order the same again: certainly nothing was or can be paid.
REPEATABLE = (View.UNANSWERED, View.EXPIRED, View.CANCELLED, View.FAILED)


@dataclass(frozen=True)
class PaymentCard:
    """The payment card of one order. `step` is how it is paid in this browser, `payment` (JSON) what the app around it
    is handed, `here` the card's address for another browser, `service` how its gateway serves it ("": it has ended)."""

    order: Order
    view: str
    browser: Browser
    step: Step
    payment: str
    here: str
    service: str
    live: bool
    left_s: int
    left: str
    pay: str
    credit: str
    bonus: str
    merchant: str
    contact: str
    gateway_name: str
    app_name: str
    icon: str
    in_app: bool
    code: str
    again: Method | None
    again_price: PriceTag | None
    others: list[Method]


def card_of(order: Order, recharge: RechargeSettings, now: datetime, browser: Browser) -> PaymentCard:
    left_s = seconds_left(order, now)
    view = view_of(order, left_s)
    step = browser.step(order)
    waits = view == View.WAITING
    price, methods = _same_again(order, recharge, browser) if view in REPEATABLE else (None, [])
    again = next((method for method in methods if method.type == order.gateway), None)
    return PaymentCard(
        order=order,
        view=view,
        browser=browser,
        step=step,
        payment=_handed_to_app(order) if waits and step == Step.IN_APP else "",
        here=f"{recharge.address}{reverse('topup:payment', args=[order.order_no])}",
        service=service_of(order) if view in LIVE else "",
        live=view in LIVE,
        left_s=left_s,
        left=f"{left_s // 60:02d}:{left_s % 60:02d}",
        pay=money(order.amount_fen),
        credit=grouped(order.quota),
        bonus=grouped(order.bonus_quota) if order.bonus_quota else "",
        merchant=seller(recharge),
        contact=recharge.support_contact,
        gateway_name=label_of(order.gateway),
        app_name=app_name(order.gateway),
        icon=icon(order.gateway),
        in_app=place_of(order) is Place.APP,
        code=qr_image(order.pay_url) if waits and step == Step.SCAN else "",
        again=again,
        again_price=price,
        others=[method for method in methods if method != again and (view not in ENDED or again is None)],
    )


def seller(recharge: RechargeSettings) -> str:
    """Whom buyers pay."""
    return recharge.merchant_name or "VoiceHelper"


def _handed_to_app(order: Order) -> str:
    """What WeixinJSBridge wants: the arguments of the payment and the app id they are signed with."""
    return json.dumps({"appId": order.app_id} | payment_arguments(order))


def _same_again(order: Order, recharge: RechargeSettings, browser: Browser) -> tuple[PriceTag | None, list[Method]]:
    """Today's price of the same amount, and the ways to pay it.

    An amount means units or tokens by the setting of its day; after a change it cannot be ordered again as it is.
    """
    price = prices(recharge, order.user, [order.amount]) if order.in_tokens == recharge.in_tokens else []
    if not price:
        return None, []
    return price[0], [method for method in methods_for(recharge, order.amount, browser) if method.takes_it]


@dataclass(frozen=True)
class OrderRow:
    """One order in a list."""

    order: Order
    gateway_name: str
    credit: str
    bonus: str
    pay: str
    tone: str
    label: str
    open: bool


def row_of(order: Order, now: datetime) -> OrderRow:
    tone, label = _standing(order, view_of(order, seconds_left(order, now)))
    return OrderRow(
        order=order,
        gateway_name=label_of(order.gateway),
        credit=grouped(order.quota),
        bonus=grouped(order.bonus_quota) if order.bonus_quota else "",
        pay=money(order.amount_fen),
        tone=tone,
        label=label,
        open=tone == "wait",
    )


def rows_of(orders: Any, now: datetime) -> list[OrderRow]:
    return [row_of(order, now) for order in orders]


def _standing(order: Order, view: str) -> tuple[str, str]:
    """The colour and the word of an order in a list."""
    match order.state, view:
        case (Order.State.REFUNDED, _) | (_, View.GIVEN_BACK):
            return "off", _("Refunded")
        case Order.State.PARTLY_REFUNDED, _view:
            return "good", _("Partly refunded")
        case _state, View.PAID:
            return "good", _("Credited")
        case _state, View.WAITING:
            return "wait", _("Waiting for payment")
        case _state, View.UNANSWERED:
            return "wait", _("In progress")
        case _state, View.CONFIRMING:
            return "off", _("Being confirmed")
        case _state, View.CHECKED:
            return "bad", _("Being checked")
        case _state, View.FAILED:
            return "bad", _("Failed")
        case _state, View.CANCELLING | View.CANCELLED:
            return "off", _("Cancelled")
    return "off", _("Expired")
