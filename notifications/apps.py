from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "notifications"
    verbose_name = _("Alerts")

    def ready(self) -> None:
        """Say what this app adds to /metrics."""
        from voicehelper import metrics as all_metrics

        from . import metrics

        all_metrics.register(metrics.collect)
