"""`/metrics` for Prometheus: what the tables say, which every server does alike, and the requests this one answered."""

from collections.abc import Callable, Iterable, Iterator

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from . import traffic
from .version import VERSION

Collect = Callable[[], Iterable[Metric]]
_registered: list[Collect] = []


def register(collect: Collect) -> None:
    """Show what `collect` finds as well; apps do it when they are ready."""
    _registered.append(collect)


class Tables(Collector):
    """The metrics of every app."""

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("voicehelper", "What runs here.", {"version": VERSION})
        for collect in _registered:
            yield from collect()


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The text Prometheus reads. 404 to whoever does not send METRICS_TOKEN: figures are nobody else's business."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not settings.METRICS_TOKEN or not constant_time_compare(sent, settings.METRICS_TOKEN):
        raise Http404
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Tables())
    return HttpResponse(generate_latest(registry) + traffic.text(), content_type=CONTENT_TYPE_LATEST)
