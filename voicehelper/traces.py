"""Traces by OpenTelemetry, when OTEL_EXPORTER_OTLP_ENDPOINT says where to: a span of each request and of each call to a
payment platform or a model provider. Without it nothing is loaded and nothing is kept.

The SDK reads its other variables itself (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, …). No
span has people's addresses, keys, bodies or prompts.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any


class TraceSpan:
    """Of one piece of work. This one is kept nowhere."""

    def answered(self, route: str, status: int) -> None:
        """A request: by which route, with which status (0: not at all)."""

    def note(self, **facts: str | int) -> None:
        """What else is known of the work."""


class _Kept(TraceSpan):
    def __init__(self, span: Any) -> None:
        self._span = span

    def answered(self, route: str, status: int) -> None:
        method = self._span.attributes["http.request.method"]
        self._span.update_name(f"{method} {route}")
        self._span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500 or not status:
            self._span.set_status(_failed())

    def note(self, **facts: str | int) -> None:
        self._span.set_attributes(facts)


_NOT_KEPT = nullcontext(TraceSpan())


def _failed() -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR)


@cache
def _tracer() -> Any:
    """None: traces are not kept."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    os.environ.setdefault("OTEL_SERVICE_NAME", "voicehelper")
    provider = TracerProvider(resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("voicehelper")


def request(scope: Any) -> AbstractContextManager[TraceSpan]:
    """While a request is answered. What the client says of a trace of its own is continued: it chooses no more than an
    id."""
    tracer = _tracer()
    return _NOT_KEPT if tracer is None else _request(tracer, scope)


@contextmanager
def _request(tracer: Any, scope: Any) -> Iterator[TraceSpan]:
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    facts = {"http.request.method": scope["method"], "url.scheme": scope.get("scheme", "http")}
    with tracer.start_as_current_span(scope["method"], extract(sent), SpanKind.SERVER, facts) as span:
        yield _Kept(span)


def call(name: str, **facts: str | int) -> AbstractContextManager[TraceSpan]:
    """While a far side is asked; an exception marks the span as failed."""
    tracer = _tracer()
    return _NOT_KEPT if tracer is None else _call(tracer, name, facts)


@contextmanager
def _call(tracer: Any, name: str, facts: dict[str, str | int]) -> Iterator[TraceSpan]:
    from opentelemetry.trace import SpanKind

    with tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=facts) as span:
        yield _Kept(span)
