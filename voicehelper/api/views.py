"""Routes for programs: their base, the shapes of their errors, and what writes these."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from django.http import JsonResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from voicehelper.accounts.models import User
from voicehelper.later import Later

from .errors import ErrorAnswer, answer_to, known_answer


def coded(answer: ErrorAnswer) -> dict[str, Any]:
    """{"success": false, "message": …, "code": …}; the message says which value was wrong."""
    message = f"{answer.text}: {answer.detail}" if answer.detail else answer.text
    return {"success": False, "message": message, "code": answer.code or "invalid_parameters", **answer.more}


def plain(answer: ErrorAnswer) -> dict[str, Any]:
    """{"success": false, "message": …}."""
    return {"success": False, "message": answer.text, **answer.more}


def payment(answer: ErrorAnswer) -> dict[str, Any]:
    """{"message": "error", "data": …}, as clients of the field's payment routes read it."""
    return {"message": "error", "data": answer.text, **answer.more}


def write_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER. What is nobody's mistake but ours goes on to `nowhere.server_error`."""
    answer = known_answer(error)
    if answer is None:
        return None
    # DRF decides between 401 and 403, and names the scheme; its own body is replaced.
    response = exception_handler(error, context) or Response(status=answer.status)
    response.data = getattr(context["view"], "error_shape", coded)(answer)
    for name, value in answer.all_headers.items():
        response[name] = value
    return response


class UserView(APIView):
    """Base of the routes: what services raise is answered out of the registry, in the shape the class names."""

    error_shape = staticmethod(coded)

    @property
    def user(self) -> User:
        """Who is signed in."""
        return cast(User, self.request.user)

    def form(self, kind: type[serializers.Serializer[Any]], data: Any, *, partial: bool = False) -> dict[str, Any]:
        """What was sent, checked; of a `partial` one any field may be left out. Raises ValidationError."""
        form = kind(data=data, partial=partial)
        form.is_valid(raise_exception=True)
        return cast(dict[str, Any], form.validated_data)

    def later(self, make: Callable[[], Awaitable[HttpResponseBase]]) -> Later:
        """What `make` returns on the event loop, or why it did not."""
        language = translation.get_language()

        async def made() -> HttpResponseBase:
            with translation.override(language):
                try:
                    return await make()
                except Exception as error:  # noqa: BLE001  # the edge: every error has an answer
                    answer = answer_to(error)
            return JsonResponse(self.error_shape(answer), status=answer.status, headers=answer.all_headers)

        return Later(made)


class PlainView(UserView):
    """Base of the routes whose errors have no code."""

    error_shape = staticmethod(plain)


class PaymentView(UserView):
    """Base of the payment routes."""

    error_shape = staticmethod(payment)


def idempotency_key(request: Request) -> str:
    """The header that makes a repeat safe; empty without one. Raises ValidationError."""
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > 128 or not key.isprintable():
        raise serializers.ValidationError({"Idempotency-Key": [_("at most 128 printable characters")]})
    return key
