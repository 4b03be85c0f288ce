"""JSON bodies from strangers, and what they are answered in."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

from rest_framework.exceptions import NotAcceptable, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser

# JSON can write both; PostgreSQL's text can hold neither.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class StrictJSON(JSONParser):
    """DRF's, which forgets that JSON nested deeper than Python can follow is the client's mistake too."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError from error


class ExactJSON(JSONParser):
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


class AnswerAnyway(DefaultContentNegotiation):
    """A client that accepts only what we have not is answered in what we have: a stream is asked for with
    `Accept: text/event-stream`, and what keeps it from beginning is said in JSON."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
