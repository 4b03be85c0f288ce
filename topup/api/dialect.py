"""How the user routes answer: the field's own JSON dialect, with an honest HTTP status beside it.

Payment routes say {"message": "success" | "error", "data": …}; the others {"success": true | false, …}.
"""

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import APIView

from ..services import (
    AmountInvalid,
    AmountTooSmall,
    CodeExpired,
    CodeInvalid,
    CodeUsed,
    GatewayOff,
    IdempotencyConflict,
    NobodyPays,
    PaymentNotOffered,
    PriceChanged,
    UnknownGateway,
    UnknownWay,
)

_BAD_REQUEST = (
    AmountInvalid,
    UnknownWay,
    exceptions.ParseError,
    exceptions.ValidationError,
    exceptions.UnsupportedMediaType,
)
# The words the field knows; msgids here, the Chinese originals in locale/.
_WORDS: list[tuple[type[Exception] | tuple[type[Exception], ...], int, Promise]] = [
    (_BAD_REQUEST, 400, _("Invalid parameters")),
    (UnknownGateway, 400, _("Unsupported payment channel")),
    (NobodyPays, 409, _("Sign in through WeChat first: only then does WeChat Pay know who pays here")),
    (IdempotencyConflict, 409, _("This idempotency key was used for a different order")),
    (CodeInvalid, 400, _("This code does not exist. Check it, letter by letter.")),
    (CodeExpired, 410, _("This code has expired")),
    (CodeUsed, 409, _("This code has been used already")),
    (PaymentNotOffered, 502, _("Starting the payment failed")),
    (exceptions.Throttled, 429, _("Too many requests, please try again later")),
    (exceptions.NotAuthenticated, 401, _("Please sign in first")),
    (exceptions.AuthenticationFailed, 401, _("Your session has expired, please sign in again")),
    (exceptions.PermissionDenied, 403, _("You may not do this")),
    (exceptions.NotFound, 404, _("There is no such order")),
]

_OFF = {
    "wechat": _("The administrator has not enabled WeChat Pay!"),
    "alipay": _("The administrator has not enabled Alipay!"),
}


def explain(error: Exception) -> tuple[int, str]:
    """The HTTP status and the words for an error of a user route; raises what is nobody's mistake but ours."""
    if isinstance(error, AmountTooSmall):
        return 400, gettext("The amount must not be less than %(minimum)s") % {"minimum": error.minimum}
    if isinstance(error, GatewayOff):
        return 503, str(_OFF[error.gateway])
    if isinstance(error, PriceChanged):
        return 409, gettext("The price has changed: you now pay ¥%(pay)s. Pay again to agree.") % {"pay": error.pay}
    if isinstance(error, CodeUsed) and error.mine:
        return 409, gettext("You have redeemed this code already; its quota is in your balance")
    for kinds, status, words in _WORDS:
        if isinstance(error, kinds):
            return status, str(words)
    if isinstance(error, exceptions.APIException):
        return error.status_code, str(error.detail)
    raise error


class UserView(APIView):
    """Base of the user routes; errors are {"success": false, "message": …}."""

    def error_body(self, text: str) -> dict[str, Any]:
        return {"success": False, "message": text}

    def handle_exception(self, exc: Exception) -> Response:
        # DRF decides here between 401 and 403, and names the scheme; its own body is replaced.
        answer = super().handle_exception(exc) if isinstance(exc, exceptions.APIException) else Response()
        status, text = explain(exc)
        answer.status_code = answer.status_code if isinstance(exc, exceptions.APIException) else status
        answer.data = self.error_body(text)
        answer.exception = True
        if isinstance(exc, PaymentNotOffered):
            # The order exists, and its page says what to do next.
            answer["X-Order-Id"] = exc.order.order_no
        if isinstance(exc, PriceChanged):
            answer.data["quoted"] = exc.pay
        return answer


class PaymentView(UserView):
    """Base of the payment routes; errors are {"message": "error", "data": …}."""

    def error_body(self, text: str) -> dict[str, Any]:
        return {"message": "error", "data": text}
