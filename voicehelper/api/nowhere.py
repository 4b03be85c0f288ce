"""What is answered where nothing is, and when we are at fault: JSON to programs, a page to people."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from .errors import NOTHING_HERE, OUR_FAULT, ErrorAnswer
from .views import coded

_KEYS = ("Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _json(NOTHING_HERE) if _is_program(request) else defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django has logged what happened."""
    return _json(OUR_FAULT) if _is_program(request) else defaults.server_error(request)


def _is_program(request: HttpRequest) -> bool:
    """By its address, or because it brings a key, or wants JSON and no page."""
    accepted = request.headers.get("Accept", "")
    wants_json = "json" in accepted and "html" not in accepted
    return request.path.startswith("/api/") or wants_json or any(name in request.headers for name in _KEYS)


def _json(answer: ErrorAnswer) -> HttpResponse:
    return JsonResponse(coded(answer), status=answer.status)
