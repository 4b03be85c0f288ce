from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TopupConfig(AppConfig):
    name = "topup"
    verbose_name = _("Recharge")

    def ready(self) -> None:
        """Say what this app adds to the audit, to /metrics and to what errors are answered with."""
        from voicehelper import metrics as all_metrics
        from voicehelper.api import errors
        from voicehelper.wallet import audit as whole_audit

        from . import audit, metrics, refusals

        whole_audit.register(audit.CHECKS)
        all_metrics.register(metrics.collect)
        errors.register(refusals.REFUSALS)
