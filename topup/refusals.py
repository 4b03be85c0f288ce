"""What keeps a recharge from happening, in the words the field knows; the Chinese originals are in locale/."""

from django.utils.translation import gettext_lazy as _

from voicehelper.api.errors import INVALID, ErrorAnswer, Rule
from voicehelper.numbers import grouped

from . import services
from .gateways import GATEWAYS
from .services.options import OptionsForbidden, OptionsRefused


def _price_changed(error: services.PriceChanged) -> ErrorAnswer:
    if error.quota is not None:
        facts = {"pay": error.pay, "quota": grouped(error.quota)}
        words = _("What you get has changed: ¥%(pay)s now buy %(quota)s quota. Pay again to agree.") % facts
        return ErrorAnswer(409, words, more={"quoted": error.pay, "quoted_quota": error.quota})
    words = _("The price has changed: you now pay ¥%(pay)s. Pay again to agree.") % {"pay": error.pay}
    return ErrorAnswer(409, words, more={"quoted": error.pay})


def _not_offered(error: services.PaymentNotOffered) -> ErrorAnswer:
    """The order exists, and its page says what to do next."""
    words = _("Starting the payment failed")
    return ErrorAnswer(502, words, headers={"X-Order-Id": error.order.order_no})


def _used(error: services.CodeUsed) -> ErrorAnswer:
    mine = _("You have redeemed this code already; its quota is in your balance")
    return ErrorAnswer(409, mine if error.mine else _("This code has been used already"))


REFUSALS: dict[type[Exception], Rule] = {
    services.AmountInvalid: INVALID,
    services.UnknownWay: INVALID,
    services.AmountTooSmall: ErrorAnswer(400, _("The amount must not be less than %(minimum)s")),
    services.UnknownGateway: ErrorAnswer(400, _("Unsupported payment channel")),
    services.GatewayOff: lambda error: ErrorAnswer(503, str(GATEWAYS[error.gateway].off)),
    services.NobodyPays: ErrorAnswer(
        409, _("Sign in through WeChat first: only then does WeChat Pay know who pays here")
    ),
    services.IdempotencyConflict: ErrorAnswer(409, _("This idempotency key was used for a different order")),
    services.PriceChanged: _price_changed,
    services.PaymentNotOffered: _not_offered,
    services.NoSuchOrder: ErrorAnswer(404, _("There is no such order")),
    services.CodeInvalid: ErrorAnswer(400, _("This code does not exist. Check it, letter by letter.")),
    services.CodeExpired: ErrorAnswer(410, _("This code has expired")),
    services.CodeUsed: _used,
    OptionsRefused: lambda error: ErrorAnswer(400, str(error), more={"data": error.errors}),
    OptionsForbidden: lambda error: ErrorAnswer(403, str(error)),
}
