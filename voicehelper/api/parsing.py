"""JSON bodies from strangers, and what they are answered in."""

from typing import IO, Any

from rest_framework.exceptions import NotAcceptable, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser


class StrictJSON(JSONParser):
    """DRF's, which forgets that JSON nested deeper than Python can follow is the client's mistake too."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError from error


class AnswerAnyway(DefaultContentNegotiation):
    """A client that accepts only what we have not is answered in what we have: a stream is asked for with
    `Accept: text/event-stream`, and what keeps it from beginning is said in JSON."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
