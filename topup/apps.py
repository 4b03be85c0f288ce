from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TopupConfig(AppConfig):
    name = "topup"
    verbose_name = _("Recharge")

    def ready(self) -> None:
        from . import refusals  # noqa: F401  # registers what this app's exceptions are answered with
