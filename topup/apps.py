from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TopupConfig(AppConfig):
    name = "topup"
    verbose_name = _("Recharge")

    def ready(self) -> None:
        from voicehelper.wallet import worth

        from .models import RechargeSettings

        worth.sold_by(lambda: RechargeSettings.load().list_price())
