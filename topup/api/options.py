"""GET and PUT /api/option, for staff."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from ..options import OptionsRefused, read_options, write_options
from .dialect import UserView

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


class Options(UserView):
    """All settings. A secret is never returned, only whether it is set and its last four characters."""

    permission_classes = (IsAdminUser,)
    parser_classes = (ExactJSONParser,)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        return Response({"success": True, "message": "", "data": read_options()})

    @extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)
    def put(self, request: Request) -> Response:
        if not isinstance(request.data, dict):
            raise ValidationError("options")
        try:
            write_options(request.data)
        except OptionsRefused as error:
            return Response({"success": False, "message": str(error), "data": error.errors}, status=400)
        return Response({"success": True, "message": "", "data": read_options()})
