"""What `/metrics` says of calls."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product

from django.db.models import Avg, Count, Sum
from prometheus_client.core import GaugeMetricFamily

from voicehelper import clock

from .models import Model, Usage

LATELY = timedelta(minutes=5)


def collect() -> Iterator[GaugeMetricFamily]:
    labels = ["model", "outcome"]
    calls = GaugeMetricFamily("voicehelper_calls_lately", "Calls of the last five minutes", labels=labels)
    quota = GaugeMetricFamily("voicehelper_calls_lately_quota", "Quota they were charged", labels=labels)
    latency = GaugeMetricFamily("voicehelper_calls_lately_mean_seconds", "How long they took", labels=labels)
    rows = (
        Usage.objects.filter(created__gte=clock.now() - LATELY)
        .values_list("model_name", "outcome")
        .annotate(Count("pk"), Sum("quota"), Avg("latency_ms"))
        .order_by()
    )
    seen = {(model, outcome): figures for model, outcome, *figures in rows}
    offered = Model.objects.filter(enabled=True).values_list("name", flat=True)
    # A model that nobody asked shows as much; how long nothing took is not a number.
    for key in sorted({*seen, *product(offered, Usage.Outcome.values)}):
        count, charged, latency_ms = seen.get(key, (0, 0, None))
        calls.add_metric(key, count)
        quota.add_metric(key, charged)
        if latency_ms is not None:
            latency.add_metric(key, latency_ms / 1000)
    yield from (calls, quota, latency)
