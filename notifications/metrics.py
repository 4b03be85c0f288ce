"""What `/metrics` says of alerts."""

from collections.abc import Iterator

from django.db.models import Count
from prometheus_client.core import GaugeMetricFamily

from .models import Alert


def collect() -> Iterator[GaugeMetricFamily]:
    open_alerts = GaugeMetricFamily("voicehelper_open_alerts", "Alerts nobody has resolved", labels=["level"])
    counted = dict(Alert.objects.filter(resolved_at=None).values_list("level").annotate(Count("pk")))
    for level in Alert.Level.values:
        open_alerts.add_metric([level], counted.get(level, 0))
    yield open_alerts
