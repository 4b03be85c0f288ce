"""Where a request came from, for the log of what operators change: the address, and by a page or by the API."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from voicehelper.net.addresses import client_address

PAGE, API, COMMAND = "page", "api", "command"

_request: ContextVar[HttpRequest | None] = ContextVar("asking_request", default=None)


@dataclass(frozen=True)
class ChangeOrigin:
    """`address` is an IP address, empty for what no request asked for; `way` is PAGE, API or COMMAND."""

    address: str
    way: str


def origin() -> ChangeOrigin:
    """Of the request that is being answered; without one it is a command or a task."""
    request = _request.get()
    if request is None:
        return ChangeOrigin("", COMMAND)
    return ChangeOrigin(client_address(request), API if request.path.startswith(("/api/", "/v1/")) else PAGE)


class NoteOrigin:
    """Remembers the request while it is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = _request.set(request)
        try:
            return self.get_response(request)
        finally:
            _request.reset(token)
