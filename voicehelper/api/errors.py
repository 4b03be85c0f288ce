"""What is said when a route cannot answer: one registry for the whole house.

Each app has a `refusals.py`, a table from its exceptions to answers, and registers it in `ready()`. Edges let
what services raise pass: routes for programs are answered by `views.write_error`, in the shape of their dialect; pages
and /v1 ask `answer_to` for status and words, and put them into shapes of their own.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions

from .ratelimit import TooMany

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ErrorAnswer:
    """What is answered instead of what was asked for.

    `words` are for people, in their language; in a table, %(name)s in them is an attribute of the exception. `code` is
    for programs, where the dialect has codes. `detail` says which value was wrong. /v1 says `technical` instead of
    `words`, in English, to whoever writes programs, and names the parameter at fault, `param`. `more` stands in the
    body beside the words, `headers` beside Retry-After.
    """

    status: int
    words: str | Promise
    code: str = ""
    detail: str = ""
    retry_after_s: int = 0
    technical: str = ""
    param: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return str(self.words)

    @property
    def all_headers(self) -> dict[str, str]:
        wait = {"Retry-After": str(self.retry_after_s)} if self.retry_after_s else {}
        return wait | dict(self.headers)


# An answer, or what makes one of the exception.
Rule = ErrorAnswer | Callable[[Any], ErrorAnswer]

NOTHING_HERE = ErrorAnswer(404, _("There is nothing at this address"), "not_found")
OUR_FAULT = ErrorAnswer(
    500, _("Something went wrong on our side"), "internal_error", technical="Something went wrong on our side."
)
AWAY = ErrorAnswer(
    503,
    _("The service is not available for a moment, please try again"),
    "unavailable",
    retry_after_s=5,
    technical="The service is not available for a moment. Please try again.",
)
INVALID = ErrorAnswer(400, _("Invalid parameters"), "invalid_parameters")
_FORBIDDEN = ErrorAnswer(403, _("You may not do this"), "forbidden")


def _invalid_value(error: exceptions.ValidationError) -> ErrorAnswer:
    return replace(INVALID, detail=_first(error.detail))


def _first(detail: Any) -> str:
    """The first complaint in a tree of them, with the name of its field."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        return _first(inner) if name == "non_field_errors" else f"{name}: {_first(inner)}"
    return _first(detail[0]) if isinstance(detail, list) else str(detail)


def _too_many(error: TooMany) -> ErrorAnswer:
    words = _("Too many requests, please try again later")
    return ErrorAnswer(429, words, "rate_limited", retry_after_s=error.wait_s)


def database_away(error: Exception) -> ErrorAnswer:
    log.error("The database does not answer: %s", error)
    return AWAY


_RULES: dict[type[Exception], Rule] = {
    exceptions.ValidationError: _invalid_value,
    exceptions.ParseError: INVALID,
    exceptions.UnsupportedMediaType: replace(INVALID, status=415),
    exceptions.NotAuthenticated: ErrorAnswer(401, _("Please sign in first"), "not_signed_in"),
    exceptions.AuthenticationFailed: ErrorAnswer(
        401, _("Your session has expired, please sign in again"), "not_signed_in"
    ),
    exceptions.PermissionDenied: _FORBIDDEN,
    PermissionDenied: _FORBIDDEN,
    Http404: NOTHING_HERE,
    exceptions.APIException: lambda error: ErrorAnswer(error.status_code, str(error.detail), error.default_code),
    TooMany: _too_many,
    OperationalError: database_away,
    InterfaceError: database_away,
}


def register(rules: Mapping[type[Exception], Rule]) -> None:
    """What an app's exceptions are answered with. A rule for a class is one for its subclasses without their own."""
    _RULES.update(rules)


def known_answer(error: Exception) -> ErrorAnswer | None:
    """The answer to an error, its words in the current language; None: it is nobody's mistake but ours."""
    rule = next((_RULES[kind] for kind in type(error).__mro__ if kind in _RULES), None)
    if rule is None:
        return None
    if isinstance(rule, ErrorAnswer):
        return replace(rule, words=rule.text % vars(error))
    answer = rule(error)
    return replace(answer, words=answer.text)


def answer_to(error: Exception) -> ErrorAnswer:
    """The answer to whatever went wrong; what is nobody's fault but ours is logged and not explained."""
    answer = known_answer(error)
    if answer is None:
        log.exception("A request failed", exc_info=error)
        return replace(OUR_FAULT, words=OUR_FAULT.text)
    return answer
