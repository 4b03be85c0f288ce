from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WalletConfig(AppConfig):
    name = "voicehelper.wallet"
    label = "wallet"
    verbose_name = _("Wallet")

    def ready(self) -> None:
        """Say what this app adds to the audit and to /metrics."""
        from voicehelper import metrics as all_metrics

        from . import audit, metrics

        audit.register(audit.CHECKS)
        all_metrics.register(metrics.collect)
