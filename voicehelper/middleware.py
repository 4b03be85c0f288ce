"""Middleware that no library gives in a line: request ids in logs, probes by address, addresses no page can have,
and the content security policy."""

import logging
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

log = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_request_id: ContextVar[str] = ContextVar("request_id", default="-")

# Unfold (the admin theme) uses Alpine, whose expressions need 'unsafe-eval', and inline styles. Our pages need neither.
_PAGES = (
    "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_ADMIN = _PAGES + "; script-src 'self' 'unsafe-eval' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"


@contextmanager
def known_as(name: str) -> Iterator[None]:
    """What is logged meanwhile carries this name in place of a request's id."""
    token = _request_id.set(name)
    try:
        yield
    finally:
        _request_id.reset(token)


class RequestId:
    """Gives each request an id for the logs and the X-Request-Id header of the answer. The client's own is not used:
    it would let strangers write our logs."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with known_as(secrets.token_hex(8)):
            response = self.get_response(request)
            response["X-Request-Id"] = _request_id.get()
            return response


class AskedByAddress:
    """Lets those who look after this server ask by its bare address, which is no host of ALLOWED_HOSTS: balancers,
    kubelets and Prometheus know no name. Their answers hold no address of ours, so none can be forged into them."""

    paths = frozenset({"/healthz", "/readyz", "/metrics"})

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info in self.paths and settings.ALLOWED_HOSTS:
            request.META["HTTP_HOST"] = settings.ALLOWED_HOSTS[0].lstrip(".")
            request.META.pop("HTTP_X_FORWARDED_HOST", None)
        return self.get_response(request)


class DatabaseDown:
    """Answers 503 when the database cannot be reached: never "success" to a provider, and plain words to everybody.
    Routes for programs say it in their own dialect (api/views.py)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if not isinstance(exception, OperationalError | InterfaceError):
            return None
        log.error("The database does not answer: %s", exception)
        return HttpResponse("fail: try again", content_type="text/plain", status=503, headers={"Retry-After": "5"})


class RefuseNul:
    """Answers 400 to a NUL in the address: no page of ours has one, and PostgreSQL's text cannot hold it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return HttpResponse("bad request", content_type="text/plain", status=400)
        return self.get_response(request)


class ContentSecurityPolicy:
    """Nothing is loaded from elsewhere, nothing inline runs on our pages, nobody frames us."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        inline = request.path.startswith("/admin/")
        response.setdefault("Content-Security-Policy", _ADMIN if inline else _PAGES)
        return response


class AddRequestId(logging.Filter):
    """Puts the request's id on every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _request_id.get()
        return True


class OneLine(logging.Formatter):
    """One record, one line: control characters that came in with a request cannot forge a second one."""

    _control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

    def format(self, record: logging.LogRecord) -> str:
        """A trace follows its record, indented: the text of an error cannot pass for a record either."""
        first, *trace = super().format(record).split("\n")
        return "\n".join([first, *(f"  {self._escape(line)}" for line in trace)])

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own hook
        return self._escape(super().formatMessage(record))

    def _escape(self, text: str) -> str:
        return self._control.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


class CompressedPages(GZipMiddleware):
    """Pages go compressed to whoever takes them so: a long conversation is a tenth of its size. Each gets padding of a
    random length, so that what a page repeats of an address tells nothing about its secrets (BREACH)."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        page = not response.streaming and response.get("Content-Type", "").startswith("text/html")
        return super().process_response(request, response) if page else response
