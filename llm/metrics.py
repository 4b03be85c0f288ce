"""What `/metrics` says of calls."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Avg, Count, Sum
from prometheus_client.core import GaugeMetricFamily

from voicehelper import clock

from .models import Usage

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
    for model, outcome, count, charged, latency_ms in rows:
        calls.add_metric([model, outcome], count)
        quota.add_metric([model, outcome], charged)
        latency.add_metric([model, outcome], latency_ms / 1000)
    yield from (calls, quota, latency)
