"""How the user routes of this app answer: {"success": true, "data": …}, and errors as
{"success": false, "message": …, "code": …} with an honest HTTP status. The message is in the user's language.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from django.conf import settings
from django.db import DatabaseError
from django.http import JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from storage_backends.services import FileNotFound, StoreDown
from voicehelper.accounts.models import User
from voicehelper.accounts.services import TooManyKeys
from voicehelper.later import Later

from ..chat.conversations import AnswerUnderWay, KeyConflict, NotFound, UnknownPriority
from ..chat.voice import NothingToSay
from ..relay.audio import NotARecording, TooLong
from ..relay.errors import LedgerAway
from .errors import ApiError, answer_to

_INVALID = _("Invalid parameters")
_FOREIGN: list[tuple[type[Exception], int, str, Promise]] = [
    (NotFound, 404, "not_found", _("There is no such thing")),
    (
        UnknownPriority,
        400,
        "unknown_priority",
        _("Choose auto, auto:cost, auto:speed or auto:quality, or name a model"),
    ),
    (
        NotARecording,
        400,
        "not_a_recording",
        _("This file is no recording that can be understood: send mp3, wav, m4a, ogg, webm or flac"),
    ),
    (TooLong, 400, "too_long", _("The recording is too long: a minute at the most")),
    (NothingToSay, 400, "nothing_to_say", _("There is nothing in it that could be spoken")),
    (FileNotFound, 404, "not_found", _("There is no such file")),
    (StoreDown, 503, "store_down", _("Files cannot be reached at the moment, please try again later")),
    (KeyConflict, 409, "idempotency_conflict", _("This idempotency key was used for a different question")),
    (AnswerUnderWay, 409, "under_way", _("This question is being answered")),
    (TooManyKeys, 409, "too_many_keys", _("You have as many keys as one may have: delete one first")),
    (exceptions.Throttled, 429, "rate_limited", _("Too many requests, please try again later")),
    (exceptions.NotAuthenticated, 401, "not_signed_in", _("Please sign in first")),
    (exceptions.AuthenticationFailed, 401, "not_signed_in", _("Your session has expired, please sign in again")),
    (exceptions.PermissionDenied, 403, "forbidden", _("You may not do this")),
    (exceptions.NotFound, 404, "not_found", _("There is no such thing")),
    (exceptions.UnsupportedMediaType, 415, "invalid_parameters", _INVALID),
    (exceptions.ParseError, 400, "invalid_parameters", _INVALID),
]
# What calls of models end with, in words for those who chat. Other codes bring a text that says more.
_CALLS: dict[str | None, Promise] = {
    "insufficient_quota": _("Your quota does not cover this question: recharge at %(url)s, or choose a cheaper model"),
    "model_not_found": _("This model does not exist or is switched off: choose another one"),
    "no_provider": _("No model is available yet"),
    "upstream_rate_limited": _("The model is overloaded, please try again later"),
    "upstream_timeout": _("The model did not answer in time, please try again"),
    "upstream_error": _("The model failed, please try again or choose another one"),
    "unavailable": _("The service is not available for a moment, please try again"),
    "internal_error": _("Something went wrong on our side"),
}


def refusal_of(error: Exception) -> ApiError:
    """The answer to whatever went wrong, in the current language."""
    if isinstance(error, exceptions.ValidationError):
        return ApiError(400, f"{_INVALID}: {_first(error.detail)}", "invalid_parameters")
    for kind, status, code, words in _FOREIGN:
        if isinstance(error, kind):
            return ApiError(status, str(words), code)
    if isinstance(error, exceptions.APIException):
        return ApiError(error.status_code, str(error.detail), error.default_code)
    known = answer_to(LedgerAway(str(error)) if isinstance(error, DatabaseError) else error)
    if known.code in _CALLS:
        url = f"{settings.SERVER_ADDRESS}{reverse('topup:recharge')}"
        known.message = str(_CALLS[known.code]) % {"url": url}
    return known


def body_of(refusal: ApiError) -> dict[str, Any]:
    return {"success": False, "message": refusal.message, "code": refusal.code or "invalid_parameters"}


def _first(detail: Any) -> str:
    """The first complaint in a tree of them, with the name of its field."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        return _first(inner) if name == "non_field_errors" else f"{name}: {_first(inner)}"
    return _first(detail[0]) if isinstance(detail, list) else str(detail)


class UserView(APIView):
    """Base of the routes."""

    @property
    def user(self) -> User:
        return cast(User, self.request.user)

    def form(self, kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
        """What was sent, checked. Raises ValidationError."""
        form = kind(data=request.data)
        form.is_valid(raise_exception=True)
        return cast(dict[str, Any], form.validated_data)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, DatabaseError):
            # The middleware has an answer for all routes.
            raise exc
        refusal = refusal_of(exc)
        # DRF decides between 401 and 403, and names the scheme and the time to wait; its own body is replaced.
        answer = super().handle_exception(exc) if isinstance(exc, exceptions.APIException) else Response()
        if not isinstance(exc, exceptions.APIException):
            answer.status_code = refusal.status
            if refusal.retry_after_s:
                answer["Retry-After"] = str(refusal.retry_after_s)
        answer.data = body_of(refusal)
        answer.exception = True
        return answer

    def later(self, make: Callable[[], Awaitable[HttpResponseBase]]) -> Later:
        """What `make` returns on the event loop, or why it did not."""
        language = translation.get_language()

        async def made() -> HttpResponseBase:
            with translation.override(language):
                try:
                    return await make()
                except Exception as error:  # noqa: BLE001  # the edge: every error has an answer
                    refusal = refusal_of(error)
            headers = {"Retry-After": str(refusal.retry_after_s)} if refusal.retry_after_s else {}
            return JsonResponse(body_of(refusal), status=refusal.status, headers=headers)

        return Later(made)
