from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "voicehelper.accounts"
    label = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from voicehelper import checks  # noqa: F401  # registers the start-up checks of the whole project
        from voicehelper.api import errors

        from . import refusals

        errors.register(refusals.REFUSALS)
