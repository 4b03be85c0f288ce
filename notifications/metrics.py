"""What `/metrics` says of alerts, and of the room there is."""

from collections.abc import Iterator

from django.db.models import Count
from prometheus_client.core import GaugeMetricFamily

from . import room
from .models import Alert


def collect() -> Iterator[GaugeMetricFamily]:
    open_alerts = GaugeMetricFamily("voicehelper_open_alerts", "Alerts nobody has resolved", labels=["level"])
    counted = dict(Alert.objects.filter(resolved_at=None).values_list("level").annotate(Count("pk")))
    for level in Alert.Level.values:
        open_alerts.add_metric([level], counted.get(level, 0))
    yield open_alerts
    sessions, disk = room.sessions(), room.disk()
    yield GaugeMetricFamily("voicehelper_database_sessions", "Sessions at PostgreSQL", sessions.used)
    yield GaugeMetricFamily("voicehelper_database_sessions_most", "How many it takes from us", sessions.most)
    yield GaugeMetricFamily("voicehelper_files_disk_used_ratio", "How full the disk of FILES_DIR is", disk.share)
