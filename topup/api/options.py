"""GET and PUT /api/option, for staff with the permission of each section they touch."""

import json
import logging
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from voicehelper.accounts.models import User
from voicehelper.accounts.own_password import PasswordRefused, check_own_password

from ..services.options import Editor, OptionsForbidden, OptionsRefused, read_options, visible_sections, write_options
from .dialect import UserView

log = logging.getLogger(__name__)

PASSWORD = "CurrentPassword"  # noqa: S105  # a key's name

# JSON can write both; PostgreSQL's text can hold neither.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class ExactJSONParser(JSONParser):
    """JSON whose numbers with a fraction arrive as Decimal: 0.95 must not become a float on its way to a price."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            value = json.loads(stream.read().decode(), parse_float=Decimal, parse_constant=Decimal)
            unstorable = any(map(_UNSTORABLE.search, _texts(value)))
        except (ValueError, ArithmeticError, RecursionError) as error:
            raise ParseError from error
        if unstorable:
            raise ParseError
        return value


def _texts(value: object) -> Iterator[str]:
    """Every string in a JSON value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _texts(list(pair))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


class SeesSettings(IsAdminUser):
    """Staff who may look at one section of the settings at least."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not super().has_permission(request, view):
            return False
        allowed = bool(visible_sections(cast(User, request.user)))
        if not allowed:
            log.warning("%s may see no settings: %s refused", request.user, request.method)
        return allowed


class Options(UserView):
    """The settings one may see. A secret is never returned, only whether it is set and its last four characters."""

    permission_classes = (SeesSettings,)
    parser_classes = (ExactJSONParser,)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return _all_of(cast(User, request.user))

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    def put(self, request: Request) -> Response:
        """Any subset, all or nothing; what is sensitive only with the caller's own password as CurrentPassword."""
        if not isinstance(request.data, dict):
            raise ValidationError("options")
        user, changes = cast(User, request.user), dict(request.data)
        typed = changes.pop(PASSWORD, "")
        password = typed if isinstance(typed, str) else ""
        try:
            write_options(changes, Editor(user, lambda: check_own_password(request._request, user, password)))
        except OptionsRefused as error:
            return Response({"success": False, "message": str(error), "data": error.errors}, status=400)
        except OptionsForbidden as error:
            log.warning("%s may not change these settings: %s", user, error)
            return Response(self.error_body(str(error)), status=403)
        except PasswordRefused as error:
            return _not_confirmed(self.error_body(str(error)), error.retry_after)
        return _all_of(user)


def _all_of(user: User) -> Response:
    return Response({"success": True, "message": "", "data": read_options(visible_sections(user))})


def _not_confirmed(body: dict[str, Any], retry_after: int) -> Response:
    if retry_after:
        return Response(body, status=429, headers={"Retry-After": str(retry_after)})
    return Response(body, status=403)
