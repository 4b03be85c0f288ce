"""What keeps a recharge from happening, in the words the field knows; the Chinese originals are in locale/."""

from django.utils.translation import gettext_lazy as _

from voicehelper.api.errors import ErrorAnswer, Rule

from .services import (
    AmountInvalid,
    AmountTooSmall,
    CodeExpired,
    CodeInvalid,
    CodeUsed,
    GatewayOff,
    IdempotencyConflict,
    NobodyPays,
    NoSuchOrder,
    PaymentNotOffered,
    PriceChanged,
    UnknownGateway,
    UnknownWay,
)
from .services.options import OptionsForbidden, OptionsRefused

_INVALID = ErrorAnswer(400, "invalid_parameters", _("Invalid parameters"))
_OFF = {
    "wechat": _("The administrator has not enabled WeChat Pay!"),
    "alipay": _("The administrator has not enabled Alipay!"),
}


def _price_changed(error: PriceChanged) -> ErrorAnswer:
    words = _("The price has changed: you now pay ¥%(pay)s. Pay again to agree.") % {"pay": error.pay}
    return ErrorAnswer(409, "price_changed", words, more={"quoted": error.pay})


def _not_offered(error: PaymentNotOffered) -> ErrorAnswer:
    """The order exists, and its page says what to do next."""
    words = _("Starting the payment failed")
    return ErrorAnswer(502, "payment_not_offered", words, headers={"X-Order-Id": error.order.order_no})


def _used(error: CodeUsed) -> ErrorAnswer:
    mine = _("You have redeemed this code already; its quota is in your balance")
    return ErrorAnswer(409, "code_used", mine if error.mine else _("This code has been used already"))


REFUSALS: dict[type[Exception], Rule] = {
    AmountInvalid: _INVALID,
    UnknownWay: _INVALID,
    AmountTooSmall: ErrorAnswer(400, "amount_too_small", _("The amount must not be less than %(minimum)s")),
    UnknownGateway: ErrorAnswer(400, "unknown_gateway", _("Unsupported payment channel")),
    GatewayOff: lambda error: ErrorAnswer(503, "gateway_off", _OFF[error.gateway]),
    NobodyPays: ErrorAnswer(
        409, "nobody_pays", _("Sign in through WeChat first: only then does WeChat Pay know who pays here")
    ),
    IdempotencyConflict: ErrorAnswer(
        409, "idempotency_conflict", _("This idempotency key was used for a different order")
    ),
    PriceChanged: _price_changed,
    PaymentNotOffered: _not_offered,
    NoSuchOrder: ErrorAnswer(404, "not_found", _("There is no such order")),
    CodeInvalid: ErrorAnswer(400, "code_invalid", _("This code does not exist. Check it, letter by letter.")),
    CodeExpired: ErrorAnswer(410, "code_expired", _("This code has expired")),
    CodeUsed: _used,
    OptionsRefused: lambda error: ErrorAnswer(400, "options_refused", str(error), more={"data": error.errors}),
    OptionsForbidden: lambda error: ErrorAnswer(403, "forbidden", str(error)),
}
