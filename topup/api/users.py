"""What signed-in users call: pay, ask for a price, see what is offered, see their orders."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper import clock
from voicehelper.accounts.authentication import SessionCookie
from voicehelper.accounts.models import MiniProgramSettings
from voicehelper.accounts.services import openid_of
from voicehelper.api.paging import PAGING, page_of
from voicehelper.api.views import PaymentView, PlainView, idempotency_key
from voicehelper.net.addresses import client_address
from voicehelper.wallet.services import wallet_of

from .. import services
from ..gateways import GATEWAYS
from ..gateways.ways import Place
from ..models import Order
from ..models.codes import LONGEST_TYPED
from ..money import yuan
from ..services import brakes, wechat_payer
from ..services.offers import recharge_offer

_TRADE_TYPES = "; ".join(f"{name}: {', '.join(gateway.trade_types)}" for name, gateway in GATEWAYS.items())


class PayRequest(serializers.Serializer[Any]):
    """`amount` is a JSON integer: units, or tokens when the display type is tokens."""

    amount = serializers.IntegerField(min_value=-(2**63), max_value=2**63 - 1)
    payment_method = serializers.CharField(max_length=32, default="", allow_blank=True)
    trade_type = serializers.CharField(
        max_length=16,
        default="",
        allow_blank=True,
        help_text=f"{_TRADE_TYPES}. Default: the QR code.",
    )
    quoted = serializers.DecimalField(
        max_digits=11,
        decimal_places=2,
        min_value=0,
        default=None,
        allow_null=True,
        help_text="What the buyer was told it costs, from /api/user/amount. When it costs something else, nothing is"
        " ordered: 409, with the price of now as `quoted`.",
    )
    quoted_quota = serializers.IntegerField(
        min_value=0,
        max_value=2**63 - 1,
        default=None,
        allow_null=True,
        help_text="What the buyer was told it brings. When it brings something else, the same, with `quoted_quota`.",
    )

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict) or type(data.get("amount")) is not int:
            raise serializers.ValidationError({"amount": ["a JSON integer"]})
        return super().to_internal_value(data)


class PayAnswer(serializers.Serializer[Any]):
    message = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]  # the dialect names it so


class AmountAnswer(serializers.Serializer[Any]):
    message = serializers.CharField()
    data = serializers.CharField()  # type: ignore[assignment]


class UserAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    data = serializers.DictField()  # type: ignore[assignment]  # the dialect names it so


class PayView(PaymentView):
    """Place an order and get `pay_url`: what to show as a QR code, or (MWEB, wap, page) where to send the browser. For
    JSAPI it is empty, and `payment` holds the five arguments of wx.requestPayment, signed for who is signed in.

    `Idempotency-Key` (≤128 characters) makes a repeat safe.
    """

    gateway = ""

    @extend_schema(summary=_("Place an order, and get what to pay it with"), request=PayRequest, responses=PayAnswer)
    def post(self, request: Request) -> Response:
        asked = self.form(PayRequest, request.data)
        if asked["payment_method"] != self.gateway:
            raise services.UnknownGateway(asked["payment_method"])
        key = idempotency_key(request)
        client_ip = client_address(request._request)
        brakes.brake_payment(self.user, client_ip)
        order = services.place_order(
            self.user,
            self.gateway,
            asked["amount"],
            client_ip=client_ip,
            way=self._way(asked["trade_type"].upper()),
            idempotency_key=key or None,
            quoted=services.Quoted(asked["quoted"], asked["quoted_quota"]),
        )
        data: dict[str, Any] = {"pay_url": order.pay_url if order.is_payable else "", "order_id": order.order_no}
        if services.place_of(order) is Place.APP:
            data["payment"] = services.payment_arguments(order)
        return Response({"message": "success", "data": data})

    def _way(self, trade_type: str) -> services.Way:
        """Who pays inside WeChat is known to us, from WeChat: a page's session asked it, the mini program signed in."""
        if GATEWAYS[self.gateway].place(trade_type) is not Place.APP:
            return services.Way(trade_type)
        if isinstance(self.request.successful_authenticator, SessionCookie):
            return wechat_payer.payer_of(self.request.session)
        app_id = MiniProgramSettings.load().app_id
        return services.Way(trade_type, app_id, openid_of(self.user, app_id))


class AmountView(PaymentView):
    """What exactly will be charged."""

    @extend_schema(summary=_("What exactly will be charged"), request=PayRequest, responses=AmountAnswer)
    def post(self, request: Request) -> Response:
        asked = self.form(PayRequest, request.data)
        price = services.quote_for(self.user, asked["payment_method"], asked["amount"])
        return Response({"message": "success", "data": price.money})


class RedeemRequest(serializers.Serializer[Any]):
    key = serializers.CharField(max_length=LONGEST_TYPED)


class RedeemAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    message = serializers.CharField()
    data = serializers.IntegerField()  # type: ignore[assignment]  # the dialect names it so


class Redeem(PlainView):
    """Redeem a code (`key`); `data` is the quota that was credited. Wrong codes are rate limited."""

    @extend_schema(summary=_("Redeem a code"), request=RedeemRequest, responses=RedeemAnswer)
    def post(self, request: Request) -> Response:
        key = self.form(RedeemRequest, request.data)["key"]
        quota = brakes.redeem_guess(self.user, key, client_address(request._request))
        return Response({"success": True, "message": "", "data": quota})


class Info(PlainView):
    """What can be bought, and how it can be paid for."""

    @extend_schema(summary=_("What can be bought, and how it can be paid for"), responses=UserAnswer)
    def get(self, request: Request) -> Response:
        return Response({"success": True, "data": recharge_offer(self.user)})


class Orders(PlainView):
    """The user's own orders, newest first; `page` from 1, `page_size` up to 100."""

    @extend_schema(summary=_("One’s orders, newest first"), responses=UserAnswer, parameters=PAGING)
    def get(self, request: Request) -> Response:
        data = page_of(request, Order.objects.filter(user=self.user), order_json)
        return Response({"success": True, "data": data})


class OneOrder(PlainView):
    """One of the user's own orders, for polling: asks the provider when the callback is late."""

    @extend_schema(summary=_("One order, for polling"), operation_id="user_topup_order_retrieve", responses=UserAnswer)
    def get(self, request: Request, order_no: str) -> Response:
        order = services.poll_order(services.order_of(self.user, order_no))
        data = order_json(order) | {"seconds_left": services.seconds_left(order)}
        if order.state in Order.CREDITED:
            data["balance"] = wallet_of(self.user).balance
        return Response({"success": True, "data": data})


def order_json(order: Order) -> dict[str, Any]:
    """What its owner may know of an order. Times are ISO 8601 in Beijing time."""
    return {
        "order_id": order.order_no,
        "status": order.state,
        "amount": order.amount,
        "money": yuan(order.amount_fen),
        "quota": order.quota,
        "bonus_quota": order.bonus_quota,
        "payment_method": order.gateway,
        "trade_type": order.trade_type,
        "pay_url": order.pay_url if order.is_payable else "",
        "created_at": clock.beijing_iso(order.created),
        "expires_at": clock.beijing_iso(order.expires_at),
        "paid_at": clock.beijing_iso(order.paid_at),
    }
