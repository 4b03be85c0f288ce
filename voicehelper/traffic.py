"""What comes in: requests counted by route, how they were answered and how soon, for `/metrics`; and a span of each,
where traces are kept.

Each process counts for itself. Where several serve one port, PROMETHEUS_MULTIPROC_DIR names a folder in which they add
up (prometheus_client's own way).
"""

import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from . import traces

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]
Application = Callable[[Any, Receive, Send], Coroutine[Any, Any, None]]

# Where an application leaves the pattern of the route that answers, for this module.
ROUTE = "voicehelper.route"
# A path of no route: strangers choose paths, and each would be a series for ever.
NOWHERE = "none"
_CLASSES = ("2xx", "3xx", "4xx", "5xx")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

disable_created_metrics()  # type: ignore[no-untyped-call]  # as the library has it
_registry = CollectorRegistry()
_requests = Counter("voicehelper_http_requests", "Requests answered", ["route", "status"], registry=_registry)
_left = Counter("voicehelper_http_left", "Requests whose client left before any answer", ["route"], registry=_registry)
_seconds = Histogram(
    "voicehelper_http_request_seconds",
    "Seconds until the answer began",
    ["route"],
    buckets=_BUCKETS,
    registry=_registry,
)


def expect(*routes: str) -> None:
    """Show these routes from the first minute on, with 0: a rate needs a beginning."""
    for route in routes:
        _seconds.labels(route)
        _left.labels(route)
        for status in _CLASSES:
            _requests.labels(route, status)


def routes_of(resolver: URLResolver, above: str = "/") -> Iterator[str]:
    """The patterns of the product's routes; those of the admin and the sandbox show themselves when they are used."""
    for found in resolver.url_patterns:
        route = f"{above}{found.pattern}"
        if isinstance(found, URLPattern):
            yield route
        elif not route.startswith(("/admin/", "/sandbox/")):
            yield from routes_of(found, route)


def text() -> bytes:
    """What was counted, as Prometheus reads it."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest(_registry)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # as the library has it
    return generate_latest(together)


@cache
def _series(route: str, status_class: int) -> tuple[Histogram, Counter]:
    """Those of a route: looking them up by their labels costs as much as counting."""
    return _seconds.labels(route), _requests.labels(route, f"{status_class}xx")


def counted(application: Application) -> Application:
    """The application, with its requests counted."""

    async def count(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        # No coroutine of its own: every chunk of a stream passes here.
        def note_start(message: Message) -> Coroutine[Any, Any, None]:
            nonlocal status
            if not status and message["type"] == "http.response.start":
                status = message["status"]
                seconds, requests = _series(scope.get(ROUTE, NOWHERE), status // 100)
                seconds.observe(time.perf_counter() - started)
                requests.inc()
            return send(message)

        with traces.request(scope) as span:
            await application(scope, receive, note_start)
            route = scope.get(ROUTE, NOWHERE)
            span.answered(route, status)
            if not status:
                _left.labels(route).inc()

    return count
